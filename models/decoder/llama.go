package decoder

import (
	"encoding/json"
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"
)

// llamaArchitecture is Llama: RMSNorm before each half, rotary positions, grouped-query attention, SwiGLU.
var llamaArchitecture = &architecture{
	parse:     parseLlama,
	fields:    [6]string{"hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size", "max_position_embeddings"},
	tensors:   llamaTensors,
	embedding: "model.embed_tokens.weight",
	norm:      "model.norm.weight",
	block:     llamaBlock,
	finalNorm: (*pass).rmsNorm,
}

// parseLlama reads the fields of LlamaConfig that the graph needs and refuses what it does not do.
func parseLlama(b []byte) (Config, error) {
	x := struct {
		Vocab       int            `json:"vocab_size"`
		Dim         int            `json:"hidden_size"`
		FFN         int            `json:"intermediate_size"`
		Layers      int            `json:"num_hidden_layers"`
		Heads       int            `json:"num_attention_heads"`
		KVHeads     int            `json:"num_key_value_heads"`
		HeadDim     int            `json:"head_dim"`
		Context     int            `json:"max_position_embeddings"`
		Epsilon     float64        `json:"rms_norm_eps"`
		Theta       float64        `json:"rope_theta"`
		Tied        bool           `json:"tie_word_embeddings"`
		Activation  string         `json:"hidden_act"`
		Bias        bool           `json:"attention_bias"`
		MLPBias     bool           `json:"mlp_bias"`
		RopeScaling map[string]any `json:"rope_scaling"`
		Rope        struct {
			Theta float64 `json:"rope_theta"`
			Type  string  `json:"rope_type"`
		} `json:"rope_parameters"`
	}{Context: 2048, Epsilon: 1e-6, Activation: "silu"}
	if err := json.Unmarshal(b, &x); err != nil {
		return Config{}, err
	}
	if x.Theta == 0 {
		x.Theta = x.Rope.Theta
	}
	if x.Theta == 0 {
		x.Theta = 10000
	}
	if x.KVHeads == 0 {
		x.KVHeads = x.Heads
	}
	if x.HeadDim == 0 && x.Heads > 0 {
		x.HeadDim = x.Dim / x.Heads
	}
	switch {
	case x.Activation != "silu":
		return Config{}, fmt.Errorf("field hidden_act: %q is not supported; silu is", x.Activation)
	case x.Bias || x.MLPBias:
		return Config{}, fmt.Errorf("fields attention_bias, mlp_bias: biases are not supported")
	case x.RopeScaling != nil || (x.Rope.Type != "" && x.Rope.Type != "default"):
		return Config{}, fmt.Errorf("field rope_scaling: scaled rotary positions are not supported")
	}
	return Config{
		Vocab: x.Vocab, Dim: x.Dim, Layers: x.Layers, Heads: x.Heads, KVHeads: x.KVHeads, HeadDim: x.HeadDim, FFN: x.FFN,
		Epsilon: x.Epsilon, RopeTheta: x.Theta, MaxPositions: x.Context, Tied: x.Tied,
	}, nil
}

func llamaLayer(l int) string { return fmt.Sprintf("model.layers.%d.", l) }

func llamaTensors(c Config) map[string][]int {
	t := map[string][]int{"model.embed_tokens.weight": {c.Vocab, c.Dim}, "model.norm.weight": {c.Dim}}
	if !c.Tied {
		t["lm_head.weight"] = []int{c.Vocab, c.Dim}
	}
	for l := range c.Layers {
		p := llamaLayer(l)
		t[p+"input_layernorm.weight"] = []int{c.Dim}
		t[p+"post_attention_layernorm.weight"] = []int{c.Dim}
		t[p+"self_attn.q_proj.weight"] = []int{c.Heads * c.HeadDim, c.Dim}
		t[p+"self_attn.k_proj.weight"] = []int{c.KVHeads * c.HeadDim, c.Dim}
		t[p+"self_attn.v_proj.weight"] = []int{c.KVHeads * c.HeadDim, c.Dim}
		t[p+"self_attn.o_proj.weight"] = []int{c.Dim, c.Heads * c.HeadDim}
		t[p+"mlp.gate_proj.weight"] = []int{c.FFN, c.Dim}
		t[p+"mlp.up_proj.weight"] = []int{c.FFN, c.Dim}
		t[p+"mlp.down_proj.weight"] = []int{c.Dim, c.FFN}
	}
	return t
}

// llamaBlock maps x [T, D] to [T, D].
func llamaBlock(p *pass, x *Node, layer int) *Node {
	name := llamaLayer(layer)
	h := p.rmsNorm(x, name+"input_layernorm.weight")
	q := p.rope(p.heads(p.linear(h, name+"self_attn.q_proj.weight"), p.c.Heads))
	k := p.rope(p.heads(p.linear(h, name+"self_attn.k_proj.weight"), p.c.KVHeads))
	v := p.heads(p.linear(h, name+"self_attn.v_proj.weight"), p.c.KVHeads)
	x = Add(x, p.linear(p.attend(q, k, v, layer), name+"self_attn.o_proj.weight"))
	h = p.rmsNorm(x, name+"post_attention_layernorm.weight")
	gate := p.linear(h, name+"mlp.gate_proj.weight")
	up := p.linear(h, name+"mlp.up_proj.weight")
	h = Mul(Mul(gate, FastSigmoid(gate)), up)
	return Add(x, p.linear(h, name+"mlp.down_proj.weight"))
}
