package reverse

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute"
	_ "github.com/gomlx/compute/gobackend"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/decoder"
)

var configs = map[string]string{
	"llama":         `{"architectures":["LlamaForCausalLM"],"vocab_size":19,"hidden_size":16,"intermediate_size":24,"num_hidden_layers":2,"num_attention_heads":2,"max_position_embeddings":32,"tie_word_embeddings":true,"hidden_act":"silu"}`,
	"llama grouped": `{"architectures":["LlamaForCausalLM"],"vocab_size":19,"hidden_size":16,"intermediate_size":24,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"max_position_embeddings":32,"tie_word_embeddings":false,"hidden_act":"silu"}`,
	"mpt":           `{"architectures":["MptForCausalLM"],"vocab_size":19,"d_model":16,"n_heads":2,"n_layers":2,"max_seq_len":32,"expansion_ratio":2}`,
	"mpt 3 heads":   `{"architectures":["MptForCausalLM"],"vocab_size":19,"d_model":12,"n_heads":3,"n_layers":1,"max_seq_len":32,"expansion_ratio":2}`,
}

// TestAgainstDifferentiation compares logits and every weight's gradient with models/decoder and automatic
// differentiation.
func TestAgainstDifferentiation(t *testing.T) {
	for name, text := range configs {
		t.Run(name, func(t *testing.T) {
			c, err := decoder.ParseConfig([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			store, err := decoder.InitStore(c, 3)
			if err != nil {
				t.Fatal(err)
			}
			random := rand.New(rand.NewPCG(1, 2))
			var names []string
			for v := range store.IterVariables() { // larger weights than the initial ones, norms other than one
				names = append(names, decoder.TensorName(v.Path()))
				tensors.MustMutableFlatData(v.MustValue(), func(x []float32) {
					for i := range x {
						x[i] = 8*x[i]*min(1, float32(v.Shape().Rank()-1)) + float32(2-v.Shape().Rank())*(1+0.3*random.Float32())
					}
				})
			}
			const b, s, a = 3, 7, 9
			tokens, index := make([]int32, b*s), make([]int32, a)
			for i := range tokens {
				tokens[i] = random.Int32N(int32(c.Vocab))
			}
			for i := range index {
				index[i] = random.Int32N(b * s)
			}
			out := make([]float32, a*c.Vocab)
			for i := range out {
				out[i] = float32(random.NormFloat64())
			}
			args := []any{tensors.FromFlatDataAndDimensions(tokens, b, s), tensors.FromFlatDataAndDimensions(index, a), tensors.FromFlatDataAndDimensions(out, a, c.Vocab)}
			backend, err := compute.NewWithConfig("go:ops_sequential")
			if err != nil {
				t.Fatal(err)
			}
			want := model.MustNewExec(backend, store, func(scope *model.Scope, in []*Node) []*Node {
				m := decoder.New(c)
				hidden := Reshape(m.Hidden(scope, in[0]), b*s, c.Dim)
				logits := m.Head(scope, Gather(hidden, Reshape(in[1], a, 1)))
				var weights []*Node
				for _, n := range names {
					weights = append(weights, store.GetVariable(decoder.Path(n)).NodeValue(in[0].Graph()))
				}
				return append([]*Node{logits}, Gradient(ReduceAllSum(Mul(logits, in[2])), weights...)...)
			}).MustCall(args...)
			got := model.MustNewExec(backend, store, func(scope *model.Scope, in []*Node) []*Node {
				tape := New(scope, c, in[0])
				logits, back := tape.Pick(in[1]).Head(tape.HeadName())
				back(in[2])
				gradients := tape.Gradients()
				outs := []*Node{logits}
				for _, n := range names {
					outs = append(outs, gradients[n])
				}
				return outs
			}).MustCall(args...)
			for i := range want {
				what := "logits"
				if i > 0 {
					what = names[i-1]
				}
				x, y := tensors.MustCopyFlatData[float32](want[i]), tensors.MustCopyFlatData[float32](got[i])
				var worst, size float64
				for j := range x {
					worst = max(worst, math.Abs(float64(x[j]-y[j])))
					size = max(size, math.Abs(float64(x[j])))
				}
				if !(worst <= 2e-5*size) || size == 0 {
					t.Errorf("%s differs by %g of %g", what, worst, size)
				}
			}
		})
	}
}
