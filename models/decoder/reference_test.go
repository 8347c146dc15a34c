package decoder

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/processor"
)

// The reference is a slow decoder in float64, written from the definitions of Hugging Face's modules, position by
// position and head by head. It shares no code with the graphs.

type weights map[string][]float64

func (w weights) linear(x []float64, name string) []float64 {
	m := w[name]
	y := make([]float64, len(m)/len(x))
	for o := range y {
		for i, v := range x {
			y[o] += v * m[o*len(x)+i]
		}
	}
	return y
}

// norm scales by the root mean square, after removing the mean if centred.
func (w weights) norm(x []float64, name string, eps float64, centred bool) []float64 {
	var mean, square float64
	if centred {
		for _, v := range x {
			mean += v / float64(len(x))
		}
	}
	for _, v := range x {
		square += (v - mean) * (v - mean) / float64(len(x))
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = (v - mean) / math.Sqrt(square+eps) * w[name][i]
	}
	return y
}

func add(a, b []float64) {
	for i := range a {
		a[i] += b[i]
	}
}

// attention of all positions; slopes are ALiBi's, nil for none.
func attention(c Config, q, k, v [][]float64, slopes []float64) [][]float64 {
	d := c.HeadDim
	out := make([][]float64, len(q))
	for t := range q {
		out[t] = make([]float64, c.Heads*d)
		for h := range c.Heads {
			kh := h / (c.Heads / c.KVHeads)
			score, total := make([]float64, t+1), 0.0
			for j := range score {
				for i := range d {
					score[j] += q[t][h*d+i] * k[j][kh*d+i] / math.Sqrt(float64(d))
				}
				if slopes != nil {
					score[j] -= slopes[h] * float64(t-j)
				}
				score[j] = math.Exp(score[j])
				total += score[j]
			}
			for j, p := range score {
				for i := range d {
					out[t][h*d+i] += p / total * v[j][kh*d+i]
				}
			}
		}
	}
	return out
}

func rotate(x []float64, position int, c Config) {
	half := c.HeadDim / 2
	for h := 0; h < len(x); h += c.HeadDim {
		for i := range half {
			angle := float64(position) / math.Pow(c.RopeTheta, float64(2*i)/float64(c.HeadDim))
			a, b := x[h+i], x[h+half+i]
			x[h+i], x[h+half+i] = a*math.Cos(angle)-b*math.Sin(angle), b*math.Cos(angle)+a*math.Sin(angle)
		}
	}
}

func embed(c Config, w weights, name string, tokens []int32) [][]float64 {
	var x [][]float64
	for _, id := range tokens {
		x = append(x, append([]float64{}, w[name][int(id)*c.Dim:(int(id)+1)*c.Dim]...))
	}
	return x
}

func referenceLlama(c Config, w weights, tokens []int32) [][]float64 {
	x := embed(c, w, "model.embed_tokens.weight", tokens)
	for l := range c.Layers {
		p := fmt.Sprintf("model.layers.%d.", l)
		var q, k, v [][]float64
		for t := range x {
			h := w.norm(x[t], p+"input_layernorm.weight", c.Epsilon, false)
			q, k = append(q, w.linear(h, p+"self_attn.q_proj.weight")), append(k, w.linear(h, p+"self_attn.k_proj.weight"))
			v = append(v, w.linear(h, p+"self_attn.v_proj.weight"))
			rotate(q[t], t, c)
			rotate(k[t], t, c)
		}
		for t, o := range attention(c, q, k, v, nil) {
			add(x[t], w.linear(o, p+"self_attn.o_proj.weight"))
			h := w.norm(x[t], p+"post_attention_layernorm.weight", c.Epsilon, false)
			gate, up := w.linear(h, p+"mlp.gate_proj.weight"), w.linear(h, p+"mlp.up_proj.weight")
			for i, g := range gate {
				up[i] *= g / (1 + math.Exp(-g))
			}
			add(x[t], w.linear(up, p+"mlp.down_proj.weight"))
		}
	}
	head := "lm_head.weight"
	if c.Tied {
		head = "model.embed_tokens.weight"
	}
	for t := range x {
		x[t] = w.linear(w.norm(x[t], "model.norm.weight", c.Epsilon, false), head)
	}
	return x
}

func referenceMPT(c Config, w weights, tokens []int32) [][]float64 {
	slopes := make([]float64, c.Heads) // a power of two of heads
	for i := range slopes {
		slopes[i] = math.Pow(2, -c.AlibiBiasMax*float64(i+1)/float64(c.Heads))
	}
	x := embed(c, w, "transformer.wte.weight", tokens)
	for l := range c.Layers {
		p := fmt.Sprintf("transformer.blocks.%d.", l)
		var q, k, v [][]float64
		for t := range x {
			a := w.linear(w.norm(x[t], p+"norm_1.weight", c.Epsilon, true), p+"attn.Wqkv.weight")
			q, k, v = append(q, a[:c.Dim]), append(k, a[c.Dim:2*c.Dim]), append(v, a[2*c.Dim:])
		}
		for t, o := range attention(c, q, k, v, slopes) {
			add(x[t], w.linear(o, p+"attn.out_proj.weight"))
			u := w.linear(w.norm(x[t], p+"norm_2.weight", c.Epsilon, true), p+"ffn.up_proj.weight")
			for i := range u {
				u[i] = u[i] / 2 * (1 + math.Erf(u[i]/math.Sqrt2))
			}
			add(x[t], w.linear(u, p+"ffn.down_proj.weight"))
		}
	}
	for t := range x {
		x[t] = w.linear(w.norm(x[t], "transformer.norm_f.weight", c.Epsilon, true), "transformer.wte.weight")
	}
	return x
}

// randomStore has weights large enough that every part of the graph matters.
func randomStore(t *testing.T, c Config) (*model.Store, weights) {
	t.Helper()
	a, err := lookup(c.Architecture)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(7, 7))
	store, w := model.NewStore(), weights{}
	for name, shape := range a.tensors(c) {
		x := initial(random, name, shape, c.v.normPlusOne)
		scale := 1.0 // norms stay near one
		for i := range x {
			x[i] = float32(float64(x[i])*scale + 0.1*random.NormFloat64())
			w[name] = append(w[name], float64(x[i]))
		}
		store.VariableWithValue(Path(name), tensors.FromFlatDataAndDimensions(x, shape...))
	}
	return store, w
}

func testBackend(t *testing.T) compute.Backend {
	t.Helper()
	b, err := processor.Open(os.Getenv("BACKEND")) // "" is the Go backend
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Finalize)
	return b
}

func call(t *testing.T, b compute.Backend, store *model.Store, f any, inputs ...any) []float32 {
	t.Helper()
	x, err := model.NewExec(b, store, f.(func(*model.Scope, []*Node) []*Node))
	if err != nil {
		t.Fatal(err)
	}
	out, err := x.Call(inputs...)
	if err != nil {
		t.Fatal(err)
	}
	flat, err := tensors.CopyFlatData[float32](out[0])
	if err != nil {
		t.Fatal(err)
	}
	return flat
}

func TestLogitsEqualTheReference(t *testing.T) {
	llama := `{"architectures":["LlamaForCausalLM"],"vocab_size":61,"hidden_size":32,"intermediate_size":40,"num_hidden_layers":3,"num_attention_heads":4,"max_position_embeddings":64,`
	for name, c := range map[string]struct {
		json      string
		reference func(Config, weights, []int32) [][]float64
	}{
		"llama":               {llama + `"tie_word_embeddings":true}`, referenceLlama},
		"llama, untied":       {llama + `"rope_theta":500}`, referenceLlama},
		"llama, two kv heads": {llama + `"num_key_value_heads":2}`, referenceLlama},
		"llama, one kv head":  {llama + `"num_key_value_heads":1}`, referenceLlama},
		"llama, wide heads":   {llama + `"head_dim":12}`, referenceLlama},
		"mpt":                 {`{"architectures":["MptForCausalLM"],"vocab_size":61,"d_model":32,"n_heads":4,"n_layers":3,"max_seq_len":64,"expansion_ratio":2}`, referenceMPT},
		"mpt, other bias max": {`{"architectures":["MPTForCausalLM"],"vocab_size":61,"d_model":32,"n_heads":8,"n_layers":2,"max_seq_len":64,"attn_config":{"alibi":true,"alibi_bias_max":4}}`, referenceMPT},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := ParseConfig([]byte(c.json))
			if err != nil {
				t.Fatal(err)
			}
			store, w := randomStore(t, config)
			tokens := []int32{3, 14, 15, 9, 26, 53, 58, 9, 7, 9, 32, 38, 46, 0, 60}
			m := New(config)
			got := call(t, testBackend(t), store, func(s *model.Scope, in []*Node) []*Node { return []*Node{m.Logits(s, in[0])} },
				tensors.FromFlatDataAndDimensions(tokens, 1, len(tokens)))
			var largest, worst float64
			for p, row := range c.reference(config, w, tokens) {
				for v, want := range row {
					largest = math.Max(largest, math.Abs(want))
					worst = math.Max(worst, math.Abs(want-float64(got[p*config.Vocab+v])))
				}
			}
			if worst > 1e-4 || largest < 0.5 {
				t.Errorf("logits differ by up to %g, the largest is %g; want at most 1e-4", worst, largest)
			}
		})
	}
}

func TestRewardReadsTheLastToken(t *testing.T) {
	c, err := ParseConfig([]byte(`{"architectures":["LlamaForCausalLM"],"vocab_size":61,"hidden_size":32,"intermediate_size":40,"num_hidden_layers":2,"num_attention_heads":4,"tie_word_embeddings":true}`))
	if err != nil {
		t.Fatal(err)
	}
	if c, err = c.Rewarding(); err != nil {
		t.Fatal(err)
	}
	store, w := randomStore(t, c)
	m := New(c)
	got := call(t, testBackend(t), store, func(s *model.Scope, in []*Node) []*Node { return []*Node{m.Reward(s, in[0], in[1])} },
		tensors.FromFlatDataAndDimensions([]int32{5, 6, 7, 0, 0, 8, 9, 10, 11, 12}, 2, 5), tensors.FromFlatDataAndDimensions([]int32{2, 4}, 2))
	for i, tokens := range [][]int32{{5, 6, 7}, {8, 9, 10, 11, 12}} {
		x := referenceHidden(c, w, tokens)
		want := w.linear(x[len(x)-1], "score.weight")[0]
		if d := math.Abs(want - float64(got[i])); d > 1e-4 {
			t.Errorf("row %d: reward %g, reference %g", i, got[i], want)
		}
	}
}

// referenceHidden is the reference's last norm: its logits with the identity as the head.
func referenceHidden(c Config, w weights, tokens []int32) [][]float64 {
	identity := weights{}
	for k, v := range w {
		identity[k] = v
	}
	c.Tied = false
	identity["lm_head.weight"] = make([]float64, c.Dim*c.Dim)
	for i := range c.Dim {
		identity["lm_head.weight"][i*c.Dim+i] = 1
	}
	return referenceLlama(c, identity, tokens)
}
