package decoder

import (
	"os"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/processor"
)

// BenchmarkGradient is forward and backward of a batch of the demo's models: 16 rows of 48 tokens, dim 128, 4 layers.
func BenchmarkGradient(b *testing.B) {
	for name, config := range map[string]string{
		"llama": `{"architectures":["LlamaForCausalLM"],"vocab_size":768,"hidden_size":128,"intermediate_size":352,"num_hidden_layers":4,"num_attention_heads":4,"tie_word_embeddings":true}`,
		"mpt":   `{"architectures":["MptForCausalLM"],"vocab_size":768,"d_model":128,"n_heads":4,"n_layers":4,"max_seq_len":256}`,
	} {
		b.Run(name, func(b *testing.B) {
			c, err := ParseConfig([]byte(config))
			if err != nil {
				b.Fatal(err)
			}
			store, err := InitStore(c, 1)
			if err != nil {
				b.Fatal(err)
			}
			backend, err := processor.Open(os.Getenv("BACKEND"))
			if err != nil {
				b.Fatal(err)
			}
			defer backend.Finalize()
			m := New(c)
			x, err := model.NewExec(backend, store, func(s *model.Scope, in []*Node) []*Node {
				loss := ReduceAllMean(LogSoftmax(m.Logits(s, in[0]), -1))
				var weights []*Node
				for v := range s.Store().IterVariables() {
					weights = append(weights, v.NodeValue(loss.Graph()))
				}
				return Gradient(loss, weights...)
			})
			if err != nil {
				b.Fatal(err)
			}
			ids := make([]int32, 16*48)
			for i := range ids {
				ids[i] = int32(i * 37 % c.Vocab)
			}
			for b.Loop() {
				out, err := x.Call(tensors.FromFlatDataAndDimensions(ids, 16, 48))
				if err != nil {
					b.Fatal(err)
				}
				for _, t := range out {
					t.MustFinalizeAll()
				}
			}
			b.ReportMetric(float64(b.N*len(ids))/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}
