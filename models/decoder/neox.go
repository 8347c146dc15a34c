package decoder

import (
	"encoding/json"
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"
)

// neoxArchitecture is GPT-NeoX (Pythia): LayerNorm and matrices with biases, positions that turn a part of each head, one
// matrix for query, key and value, head by head, and attention and feed-forward layer side by side.
var neoxArchitecture = &architecture{
	parse:     parseNeoX,
	fields:    [6]string{"hidden_size", "num_hidden_layers", "num_attention_heads", "num_attention_heads", "intermediate_size", "max_position_embeddings"},
	tensors:   neoxTensors,
	embedding: "gpt_neox.embed_in",
	norm:      "gpt_neox.final_layer_norm",
	head:      "embed_out",
	block:     neoxBlock,
	finalNorm: (*pass).layerNorm,
}

// parseNeoX reads the fields of GPTNeoXConfig that the graph needs.
func parseNeoX(b []byte) (Config, error) {
	x := struct {
		Vocab      int     `json:"vocab_size"`
		Dim        int     `json:"hidden_size"`
		FFN        int     `json:"intermediate_size"`
		Layers     int     `json:"num_hidden_layers"`
		Heads      int     `json:"num_attention_heads"`
		Context    int     `json:"max_position_embeddings"`
		Epsilon    float64 `json:"layer_norm_eps"`
		Tied       bool    `json:"tie_word_embeddings"`
		Activation string  `json:"hidden_act"`
		Bias       bool    `json:"attention_bias"`
		Parallel   bool    `json:"use_parallel_residual"`
		Portion    float64 `json:"rotary_pct"`
		Theta      float64 `json:"rotary_emb_base"`
		ropeFields
	}{Context: 2048, Epsilon: 1e-5, Activation: "gelu", Bias: true, Parallel: true, Portion: 0.25, Theta: 10000}
	if err := json.Unmarshal(b, &x); err != nil {
		return Config{}, err
	}
	if x.Heads <= 0 || x.Dim%x.Heads != 0 {
		return Config{}, fmt.Errorf("field num_attention_heads: %d must divide hidden_size %d", x.Heads, x.Dim)
	}
	c := Config{
		Vocab: x.Vocab, Dim: x.Dim, Layers: x.Layers, Heads: x.Heads, KVHeads: x.Heads, HeadDim: x.Dim / x.Heads, FFN: x.FFN,
		Epsilon: x.Epsilon, MaxPositions: x.Context, Tied: x.Tied,
		v: variant{activation: x.Activation, qkvBias: x.Bias, outBias: x.Bias, ffnBias: true, parallel: x.Parallel},
	}
	return c, x.apply(&c, x.Theta, x.Portion)
}

func neoxLayer(l int) string { return fmt.Sprintf("gpt_neox.layers.%d.", l) }

func neoxTensors(c Config) map[string][]int {
	t := tensorList{"gpt_neox.embed_in.weight": {c.Vocab, c.Dim}}
	if !c.Tied {
		t["embed_out.weight"] = []int{c.Vocab, c.Dim}
	}
	norms := []string{"gpt_neox.final_layer_norm"}
	for l := range c.Layers {
		p := neoxLayer(l)
		norms = append(norms, p+"input_layernorm", p+"post_attention_layernorm")
		t.linear(p+"attention.query_key_value", 3*c.Dim, c.Dim, c.v.qkvBias)
		t.linear(p+"attention.dense", c.Dim, c.Dim, c.v.outBias)
		t.linear(p+"mlp.dense_h_to_4h", c.FFN, c.Dim, c.v.ffnBias)
		t.linear(p+"mlp.dense_4h_to_h", c.Dim, c.FFN, c.v.ffnBias)
	}
	for _, n := range norms {
		t[n+".weight"], t[n+".bias"] = []int{c.Dim}, []int{c.Dim}
	}
	return t
}

// neoxBlock maps x [T, D] to [T, D].
func neoxBlock(p *pass, x *Node, layer int) *Node {
	name, c := neoxLayer(layer), p.c
	all := p.linear(p.layerNorm(x, name+"input_layernorm"), name+"attention.query_key_value")
	all = Reshape(all, p.b*p.s, c.Heads, 3, c.HeadDim)
	part := func(i int) *Node {
		return p.heads(Reshape(SliceAxis(all, 2, AxisElem(i)), p.b*p.s, c.Dim), c.Heads)
	}
	attended := p.linear(p.attend(p.rope(part(0)), p.rope(part(1)), part(2), layer), name+"attention.dense")
	from := x
	x = Add(x, attended)
	if !c.v.parallel {
		from = x
	}
	h := p.activate(p.linear(p.layerNorm(from, name+"post_attention_layernorm"), name+"mlp.dense_h_to_4h"))
	return Add(x, p.linear(h, name+"mlp.dense_4h_to_h"))
}
