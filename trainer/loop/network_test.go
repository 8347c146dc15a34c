package loop

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/trainer/lora"
	"github.com/profuser/profuser/trainer/optim"
	"github.com/profuser/profuser/trainer/trainertest"
)

// rewarding is a tiny reward model with tied embeddings, whose language-model head still works.
func rewarding(t testing.TB) (decoder.Config, *model.Store) {
	t.Helper()
	c, err := decoder.ParseConfig([]byte(trainertest.Llama))
	if err != nil {
		t.Fatal(err)
	}
	store, err := decoder.InitStore(c, 5)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = c.Rewarding(); err != nil {
		t.Fatal(err)
	}
	if err := decoder.AddRewardHead(store, c); err != nil {
		t.Fatal(err)
	}
	tensors.MustMutableFlatData(store.GetVariable(decoder.Path("score.weight")).MustValue(), func(x []float32) {
		for i := range x {
			x[i] = float32(i%3) - 1
		}
	})
	return c, store
}

// TestNetworks compares both implementations with two heads on overlapping positions, of all weights and of adapters.
func TestNetworks(t *testing.T) {
	t.Run("all", func(t *testing.T) { compareNetworks(t, func(decoder.Config, *model.Store) {}) })
	t.Run("adapters", func(t *testing.T) {
		compareNetworks(t, func(c decoder.Config, store *model.Store) {
			if _, err := lora.Add(store, c, lora.Options{Rank: 3, Alpha: 5, Targets: []string{"q_proj", "v_proj", "o_proj", "up_proj", "down_proj"}}, 1); err != nil {
				t.Fatal(err)
			}
			random := rand.New(rand.NewPCG(3, 4))
			for v := range store.IterVariables() {
				if strings.Contains(v.Path(), "lora_B") {
					tensors.MustMutableFlatData(v.MustValue(), func(x []float32) {
						for i := range x {
							x[i] = float32(0.1 * random.NormFloat64())
						}
					})
				}
			}
		})
	})
}

func compareNetworks(t *testing.T, prepare func(c decoder.Config, store *model.Store)) {
	t.Helper()
	var results, gradients [2][][]float32
	for i := range results {
		c, store := rewarding(t)
		prepare(c, store)
		l, err := NewLearner("", store, optim.Default(), func(scope *model.Scope, in []*graph.Node) ([]*graph.Node, map[string]*graph.Node) {
			n := NewNetwork(scope, c, in[0])
			if _, ok := n.(taped); !ok {
				t.Error("the Go backend does not get the hand-written pass")
			}
			if i == 1 {
				d := in[0].Shape().Dimensions
				m := decoder.New(c)
				n = &differentiated{scope: scope, m: m, c: c, hidden: graph.Reshape(m.Hidden(scope, in[0]), d[0]*d[1], c.Dim)}
			}
			logits, back := n.Rows(in[1], "")
			back(graph.MulScalar(graph.Sin(logits), 0.5))
			scores, back := n.Rows(in[2], "score.weight")
			back(graph.Cos(scores))
			return []*graph.Node{logits, scores}, n.Gradients()
		})
		if err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(1, 2))
		tokens := make([]int32, 3*8)
		for j := range tokens {
			tokens[j] = random.Int32N(300)
		}
		if results[i], err = l.Accumulate(tensors.FromFlatDataAndDimensions(tokens, 3, 8), []int32{1, 5, 9, 5}, []int32{7, 5, 23}); err != nil {
			t.Fatal(err)
		}
		gradients[i] = l.Gradients()
	}
	for i, what := range []string{"logits", "scores"} {
		alike(t, what, results[0][i], results[1][i])
	}
	for i := range gradients[0] {
		alike(t, "gradient", gradients[0][i], gradients[1][i])
	}
}

func alike(t *testing.T, what string, a, b []float32) {
	t.Helper()
	var worst, size float64
	for i := range a {
		worst, size = max(worst, math.Abs(float64(a[i]-b[i]))), max(size, math.Abs(float64(a[i])))
	}
	if len(a) != len(b) || worst > 1e-5*size || size == 0 {
		t.Errorf("%s differ by %g of %g", what, worst, size)
	}
}

// TestTrainable: a target is a plain Llama or MPT; what the backward pass would get wrong is refused.
func TestTrainable(t *testing.T) {
	shape := `"vocab_size":48,"hidden_size":16,"intermediate_size":24,"num_hidden_layers":2,"num_attention_heads":4,"d_model":16,"n_heads":4,"n_layers":2,"num_key_value_heads":2`
	for config, want := range map[string]string{
		`{"architectures":["LlamaForCausalLM"],` + shape + `}`:                                             "",
		`{"architectures":["MptForCausalLM"],` + shape + `}`:                                               "",
		`{"architectures":["LlamaForCausalLM"],"attention_bias":true,` + shape + `}`:                       "LlamaForCausalLM with options",
		`{"architectures":["LlamaForCausalLM"],"rope_scaling":{"type":"linear","factor":2},` + shape + `}`: "LlamaForCausalLM with options",
		`{"architectures":["MptForCausalLM"],"attn_config":{"clip_qkv":6},` + shape + `}`:                  "MptForCausalLM with options",
		`{"architectures":["Qwen2ForCausalLM"],` + shape + `}`:                                             "Qwen2ForCausalLM cannot be trained",
		`{"architectures":["GPTNeoXForCausalLM"],"rotary_pct":1,` + shape + `}`:                            "GPTNeoXForCausalLM cannot be trained",
	} {
		c, err := decoder.ParseConfig([]byte(config))
		if err != nil {
			t.Fatal(err)
		}
		if err := Trainable(c); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", config, err, want)
		}
	}
}
