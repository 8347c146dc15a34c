package pretrain

import (
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/trainer/loop"
	"github.com/profuser/profuser/trainer/optim"
)

const (
	tinyLlama = `{"architectures":["LlamaForCausalLM"],"vocab_size":768,"hidden_size":128,"intermediate_size":352,"num_hidden_layers":4,"num_attention_heads":4,"max_position_embeddings":512,"tie_word_embeddings":true,"hidden_act":"silu"}`
	tinyMPT   = `{"architectures":["MptForCausalLM"],"vocab_size":768,"d_model":128,"n_heads":4,"n_layers":4,"max_seq_len":512}`
)

func cpu() float64 {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}

// BenchmarkStep measures one step of 64 rows by 48 tokens, 40 % of them predicting.
func BenchmarkStep(b *testing.B) {
	for _, config := range []string{tinyLlama, tinyMPT} {
		c, err := decoder.ParseConfig([]byte(config))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.Architecture, func(b *testing.B) {
			store, err := decoder.InitStore(c, 1)
			if err != nil {
				b.Fatal(err)
			}
			l, err := loop.NewLearner("", store, optim.Default(), languageModel(c))
			if err != nil {
				b.Fatal(err)
			}
			rows, s, a := 64, 48, 1280
			if os.Getenv("ROWS") != "" {
				fmt.Sscan(os.Getenv("ROWS"), &rows)
				a = rows * 20
			}
			random := rand.New(rand.NewPCG(1, 2))
			tokens, index, gold, weight := make([]int32, rows*s), make([]int32, a), make([]int32, a), make([]float32, a)
			for i := range tokens {
				tokens[i] = random.Int32N(768)
			}
			for i := range index {
				index[i], gold[i], weight[i] = int32(i*2), random.Int32N(768), 1
			}
			step := func() {
				_, err := l.Accumulate(tensors.FromFlatDataAndDimensions(tokens, rows, s), tensors.FromFlatDataAndDimensions(index, a),
					tensors.FromFlatDataAndDimensions(gold, a), tensors.FromFlatDataAndDimensions(weight, a))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := l.Apply(1e-3, 1/float64(a)); err != nil {
					b.Fatal(err)
				}
			}
			step()
			start := cpu()
			for b.Loop() {
				step()
			}
			b.ReportMetric(float64(b.N*rows*s)/(cpu()-start), "tokens/cpu-s")
		})
	}
}
