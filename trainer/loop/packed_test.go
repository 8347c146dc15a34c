package loop

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/trainer/batch"
	"github.com/profuser/profuser/trainer/optim"
	"github.com/profuser/profuser/trainer/reverse"
	"github.com/profuser/profuser/trainer/trainertest"
)

// TestPacked compares logits and gradients of packed rows with those of the same texts in rows of their own, in both
// implementations and both kinds of positions.
func TestPacked(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var texts []batch.Sequence
	for _, n := range []int{9, 5, 30, 17, 12, 3, 22} {
		q := batch.Sequence{Prompt: 1}
		for range n {
			q.IDs = append(q.IDs, random.Int32N(300))
		}
		texts = append(texts, q)
	}
	rows := [][]int{{2}, {6, 0}, {3, 4}, {1, 5}}
	var packed [][]batch.Sequence
	var order []batch.Sequence // unpacked, in the packed order, so that predicting positions go together
	for _, row := range rows {
		var r []batch.Sequence
		for _, i := range row {
			r, order = append(r, texts[i]), append(order, texts[i])
		}
		packed = append(packed, r)
	}
	apart := batch.Pack(order, len(order), 32, 1)
	together := batch.PackTogether(packed, 5, 32, 0)
	stacked := append(append(append([]int32{}, together.Tokens...), together.Positions...), together.Blocks...)
	for name, text := range map[string]string{"llama": trainertest.Llama, "mpt": trainertest.MPT} {
		t.Run(name, func(t *testing.T) {
			var logits, gradients [4][][]float32
			for i := range logits {
				c, store := sharp(t, text)
				l, err := NewLearner("", store, optim.Default(), func(scope *model.Scope, in []*graph.Node) ([]*graph.Node, map[string]*graph.Node) {
					n := NewNetwork(scope, c, in[0])
					if i >= 2 {
						n = byDifferentiation(scope, c, in[0])
					}
					out, back := n.Rows(in[1], "")
					back(graph.MulScalar(graph.Sin(out), 0.5))
					return []*graph.Node{out}, n.Gradients()
				})
				if err != nil {
					t.Fatal(err)
				}
				inputs := []any{tensors.FromFlatDataAndDimensions(apart.Tokens, apart.B, apart.S), apart.Index}
				if i%2 == 1 {
					inputs = []any{tensors.FromFlatDataAndDimensions(stacked, 3, together.B, together.S), together.Index}
				}
				if logits[i], err = l.Accumulate(inputs...); err != nil {
					t.Fatal(err)
				}
				gradients[i] = l.Gradients()
			}
			for i := 1; i < len(logits); i++ {
				alike(t, fmt.Sprint("logits of way ", i), logits[0][0], logits[i][0])
				for j := range gradients[0] {
					alike(t, fmt.Sprintf("gradient %d of way %d", j, i), gradients[0][j], gradients[i][j])
				}
			}
			if v := logits[0][0][0]; math.IsNaN(float64(v)) {
				t.Error("no logits")
			}
		})
	}
}

// byDifferentiation is NewNetwork on other backends than the Go backend.
func byDifferentiation(scope *model.Scope, c decoder.Config, tokens *graph.Node) Network {
	m := decoder.New(c)
	var hidden *graph.Node
	if ids, positions, blocks := reverse.Unstack(tokens); blocks != nil {
		hidden = m.Tree(scope, ids, positions, blocks)
	} else {
		hidden = m.Hidden(scope, tokens)
	}
	return &differentiated{scope: scope, m: m, c: c, hidden: graph.Reshape(hidden, hidden.Shape().Size()/c.Dim, c.Dim)}
}
