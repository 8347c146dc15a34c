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
func languageModel(c decoder.Config) loop.Build {
	return func(scope *model.Scope, in []*Node) ([]*Node, map[string]*Node) {
		network := loop.NewNetwork(scope, c, in[0])
		logits, backward := network.Rows(in[1], "")
		loss, gradient := objective.CrossEntropy(logits, in[2], in[3])
		backward(gradient)
		return []*Node{loss}, network.Gradients()
	}
}

// rewardModel is the graph of pairs: inputs tokens [2n, S], last [2n] (flat places), and index, gold, weight [A] of the
// chosen answers. Its sums: loss, pairs ranked right, and with a language-model weight that loss.
func rewardModel(c decoder.Config, weight float64) loop.Build {
	return func(scope *model.Scope, in []*Node) ([]*Node, map[string]*Node) {
		network := loop.NewNetwork(scope, c, in[0])
		scores, scoresBackward := network.Rows(in[1], "score.weight")
		loss, right, gradient := objective.BradleyTerry(scores)
		scoresBackward(gradient)
		if weight == 0 {
			return []*Node{loss, right}, network.Gradients()
		}
		logits, logitsBackward := network.Rows(in[2], "")
		language, gradient := objective.CrossEntropy(logits, in[3], in[4])
		logitsBackward(MulScalar(gradient, weight))
		return []*Node{Add(loss, MulScalar(language, weight)), right, language}, network.Gradients()
	}
}
