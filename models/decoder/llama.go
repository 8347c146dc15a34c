package decoder

import (
	"encoding/json"
	"fmt"
	"math"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/profuser/profuser/models/decoder/lowrank"
)

// Decoders built as Llama is: RMSNorm before each half, rotary positions, grouped-query attention and a gated
// feed-forward layer. Each row says what its configuration means by missing fields and what its graph does otherwise.
var (
	llama = llamaLike(nil, func(x *llamaFields, v *variant) {
		v.qkvBias, v.outBias, v.ffnBias = x.Bias, x.Bias, x.MLPBias
	})
	// mistral sees a window of keys.
	mistral = llamaLike(func(x *llamaFields) { x.KVHeads, x.Context, x.Window = 8, 4096*32, 4096 },
		func(x *llamaFields, v *variant) { v.window = x.Window })
	// qwen2 has biases at query, key and value, and windows if asked for.
	qwen2 = llamaLike(qwenDefaults, func(x *llamaFields, v *variant) {
		v.qkvBias = true
		x.qwenWindows(v)
	})
	// qwen3 has a norm over each head of query and key.
	qwen3 = llamaLike(func(x *llamaFields) {
		qwenDefaults(x)
		x.HeadDim = 128
	}, func(x *llamaFields, v *variant) {
		v.qkvBias, v.outBias, v.qkNorm = x.Bias, x.Bias, true
		x.qwenWindows(v)
	})
	// phi3 fuses query, key and value, and gate and up.
	phi3 = llamaLike(func(x *llamaFields) { x.Context, x.Epsilon = 4096, 1e-5 },
		func(x *llamaFields, v *variant) { v.fused, v.window = true, x.Window })
	// gemma multiplies the embedding by √D and its norms by 1 + weight; its head is the embedding.
	gemma = llamaLike(func(x *llamaFields) {
		x.KVHeads, x.HeadDim, x.Context, x.Tied, x.Activation = 16, 256, 8192, true, "gelu_pytorch_tanh"
	}, func(x *llamaFields, v *variant) {
		v.qkvBias, v.outBias = x.Bias, x.Bias
		v.normPlusOne, v.embeddingScale = true, math.Sqrt(float64(x.Dim))
		if x.GemmaActivation != "" {
			v.activation = x.GemmaActivation
		} else if v.activation == "gelu" {
			v.activation = "gelu_pytorch_tanh" // as the first files have it; the model was trained with the approximation
		}
	})
)

// llamaLike makes a row of the table. defaults sets what missing fields mean; change says what the graph does otherwise.
func llamaLike(defaults func(x *llamaFields), change func(x *llamaFields, v *variant)) *architecture {
	return &architecture{
		parse: func(b []byte) (Config, error) {
			x := llamaFields{Context: 2048, Epsilon: 1e-6, Activation: "silu", WindowsFrom: 28}
			if defaults != nil {
				defaults(&x)
			}
			return x.parse(b, change)
		},
		fields:    [6]string{"hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size", "max_position_embeddings"},
		tensors:   llamaTensors,
		embedding: "model.embed_tokens",
		norm:      "model.norm",
		head:      "lm_head",
		block:     llamaBlock,
		finalNorm: (*pass).rmsNorm,
	}
}

// llamaFields are the fields of a config.json that the graph needs.
type llamaFields struct {
	Vocab           int      `json:"vocab_size"`
	Dim             int      `json:"hidden_size"`
	FFN             int      `json:"intermediate_size"`
	Layers          int      `json:"num_hidden_layers"`
	Heads           int      `json:"num_attention_heads"`
	KVHeads         int      `json:"num_key_value_heads"`
	HeadDim         int      `json:"head_dim"`
	Context         int      `json:"max_position_embeddings"`
	Epsilon         float64  `json:"rms_norm_eps"`
	Tied            bool     `json:"tie_word_embeddings"`
	Activation      string   `json:"hidden_act"`
	GemmaActivation string   `json:"hidden_activation"`
	Bias            bool     `json:"attention_bias"`
	MLPBias         bool     `json:"mlp_bias"`
	Window          int      `json:"sliding_window"`
	UseWindow       bool     `json:"use_sliding_window"`
	WindowsFrom     int      `json:"max_window_layers"`
	LayerTypes      []string `json:"layer_types"`
	ropeFields
}

func qwenDefaults(x *llamaFields) { x.KVHeads, x.Context, x.Window = 32, 32768, 4096 }

// parse reads config.json over the defaults. null leaves a default, except where it means none.
func (x *llamaFields) parse(b []byte, change func(x *llamaFields, v *variant)) (Config, error) {
	if err := json.Unmarshal(b, x); err != nil {
		return Config{}, err
	}
	given := map[string]json.RawMessage{}
	if err := json.Unmarshal(b, &given); err != nil {
		return Config{}, err
	}
	null := func(name string) bool { return string(given[name]) == "null" }
	if null("sliding_window") {
		x.Window = 0
	}
	if x.KVHeads == 0 || null("num_key_value_heads") {
		x.KVHeads = x.Heads
	}
	if (x.HeadDim == 0 || null("head_dim")) && x.Heads > 0 {
		x.HeadDim = x.Dim / x.Heads
	}
	c := Config{
		Vocab: x.Vocab, Dim: x.Dim, Layers: x.Layers, Heads: x.Heads, KVHeads: x.KVHeads, HeadDim: x.HeadDim, FFN: x.FFN,
		Epsilon: x.Epsilon, MaxPositions: x.Context, Tied: x.Tied, v: variant{activation: x.Activation},
	}
	for i, t := range x.LayerTypes {
		if t != "full_attention" && t != "sliding_attention" {
			return Config{}, fmt.Errorf("field layer_types[%d]: %q is not supported; full_attention and sliding_attention are", i, t)
		}
	}
	change(x, &c.v)
	return c, x.apply(&c, 10000, 1)
}

// qwenWindows sets the windows of the layers from max_window_layers on, or of those that layer_types names.
func (x *llamaFields) qwenWindows(v *variant) {
	if !x.UseWindow {
		return
	}
	from, kinds := x.WindowsFrom, x.LayerTypes
	v.window = x.Window
	v.windowed = func(layer int) bool {
		if layer < len(kinds) {
			return kinds[layer] == "sliding_attention"
		}
		return layer >= from
	}
}

func llamaLayer(l int) string { return fmt.Sprintf("model.layers.%d.", l) }

func llamaTensors(c Config) map[string][]int {
	t := tensorList{"model.embed_tokens.weight": {c.Vocab, c.Dim}, "model.norm.weight": {c.Dim}}
	if !c.Tied {
		t["lm_head.weight"] = []int{c.Vocab, c.Dim}
	}
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	for l := range c.Layers {
		p := llamaLayer(l)
		t[p+"input_layernorm.weight"] = []int{c.Dim}
		t[p+"post_attention_layernorm.weight"] = []int{c.Dim}
		if c.v.qkNorm {
			t[p+"self_attn.q_norm.weight"] = []int{c.HeadDim}
			t[p+"self_attn.k_norm.weight"] = []int{c.HeadDim}
		}
		if c.v.fused {
			t.linear(p+"self_attn.qkv_proj", q+2*kv, c.Dim, c.v.qkvBias)
			t.linear(p+"mlp.gate_up_proj", 2*c.FFN, c.Dim, c.v.ffnBias)
		} else {
			t.linear(p+"self_attn.q_proj", q, c.Dim, c.v.qkvBias)
			t.linear(p+"self_attn.k_proj", kv, c.Dim, c.v.qkvBias)
			t.linear(p+"self_attn.v_proj", kv, c.Dim, c.v.qkvBias)
			t.linear(p+"mlp.gate_proj", c.FFN, c.Dim, c.v.ffnBias)
			t.linear(p+"mlp.up_proj", c.FFN, c.Dim, c.v.ffnBias)
		}
		t.linear(p+"self_attn.o_proj", c.Dim, q, c.v.outBias)
		t.linear(p+"mlp.down_proj", c.Dim, c.FFN, c.v.ffnBias)
	}
	return t
}

// llamaBlock maps x [T, D] to [T, D].
func llamaBlock(p *pass, x *Node, layer int) *Node {
	name := llamaLayer(layer)
	h := p.rmsNorm(x, name+"input_layernorm")
	q, k, v := p.llamaQKV(h, name+"self_attn.")
	if p.c.v.qkNorm {
		q, k = p.rmsNorm(q, name+"self_attn.q_norm"), p.rmsNorm(k, name+"self_attn.k_norm")
	}
	x = Add(x, p.linear(p.attend(p.rope(q), p.rope(k), v, layer), name+"self_attn.o_proj"))
	h = p.rmsNorm(x, name+"post_attention_layernorm")
	var gate, up *Node
	if p.c.v.fused {
		parts := p.cut(h, name+"mlp.gate_up_proj", p.c.FFN, p.c.FFN)
		gate, up = parts[0], parts[1]
	} else {
		gate, up = p.linear(h, name+"mlp.gate_proj"), p.linear(h, name+"mlp.up_proj")
	}
	return Add(x, p.linear(Mul(p.activate(gate), up), name+"mlp.down_proj"))
}

// llamaQKV maps h [T, D] to query [B, H, S, C], key and value [B, K, S, C].
func (p *pass) llamaQKV(h *Node, name string) (q, k, v *Node) {
	c := p.c
	if c.v.fused {
		kv := c.KVHeads * c.HeadDim
		parts := p.cut(h, name+"qkv_proj", c.Heads*c.HeadDim, kv, kv)
		return p.heads(parts[0], c.Heads), p.heads(parts[1], c.KVHeads), p.heads(parts[2], c.KVHeads)
	}
	return p.heads(p.linear(h, name+"q_proj"), c.Heads), p.heads(p.linear(h, name+"k_proj"), c.KVHeads), p.heads(p.linear(h, name+"v_proj"), c.KVHeads)
}

// cut multiplies h [T, D] by the parts of a fused matrix, of so many rows each.
func (p *pass) cut(h *Node, name string, sizes ...int) []*Node {
	var out []*Node
	from := 0
	if turned := p.turned(name); turned != nil {
		all := Dot(h, turned).General([]int{1}, nil, []int{0}, nil)
		for _, n := range sizes {
			out = append(out, SliceAxis(all, 1, AxisRange(from, from+n)))
			from += n
		}
		return out
	}
	w, low := p.matrix(name+".weight"), lowrank.Of(p.scope.Store(), p.g, name)
	for _, n := range sizes {
		y := TimesTransposed(h, SliceAxis(w, 0, AxisRange(from, from+n)))
		if low != nil {
			y = Add(y, low.Times(h, from, from+n))
		}
		out = append(out, y)
		from += n
	}
	return out
}
