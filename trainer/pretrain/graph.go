package pretrain

import (
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/trainer/loop"
	"github.com/profuser/profuser/trainer/objective"
)

// languageModel is the graph of next-token training: inputs tokens [B, S], index [A], gold [A], weight [A]. The head and
// the loss see only the A positions that predict something. The one sum is the cross-entropy in nats.
func languageModel(m *decoder.Model) loop.Build {
	return func(scope *model.Scope, in []*Node) ([]*Node, *Node) {
		hidden := m.Hidden(scope, in[0])
		loss, logits, gradient := answers(scope, m, hidden, in[1], in[2], in[3])
		return []*Node{loss}, objective.Backward(logits, gradient)
	}
}

// answers is the cross-entropy at chosen positions of hidden states [B, S, D].
func answers(scope *model.Scope, m *decoder.Model, hidden, index, gold, weight *Node) (loss, logits, gradient *Node) {
	d := hidden.Shape().Dimensions
	a := index.Shape().Dimensions[0]
	picked := Gather(Reshape(hidden, d[0]*d[1], d[2]), Reshape(index, a, 1))
	logits = m.Head(scope, picked)
	loss, gradient = objective.CrossEntropy(logits, gold, weight)
	return loss, logits, gradient
}
