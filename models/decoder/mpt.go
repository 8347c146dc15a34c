package decoder

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
)

// mptArchitecture is MPT: LayerNorm without bias, ALiBi, one matrix for query, key and value, exact GELU, tied head.
var mptArchitecture = &architecture{
	parse:     parseMPT,
	fields:    [6]string{"d_model", "n_layers", "n_heads", "n_heads", "expansion_ratio", "max_seq_len"},
	tensors:   mptTensors,
	embedding: "transformer.wte",
	norm:      "transformer.norm_f",
	block:     mptBlock,
	finalNorm: (*pass).layerNorm,
	bias:      (*pass).alibi,
}

// parseMPT reads the fields of MptConfig that the graph needs and refuses what it does not do.
func parseMPT(b []byte) (Config, error) {
	x := struct {
		Vocab      int     `json:"vocab_size"`
		Dim        int     `json:"d_model"`
		Heads      int     `json:"n_heads"`
		Layers     int     `json:"n_layers"`
		Expansion  float64 `json:"expansion_ratio"`
		Context    int     `json:"max_seq_len"`
		Epsilon    float64 `json:"layer_norm_epsilon"`
		NoBias     *bool   `json:"no_bias"`
		LogitScale any     `json:"logit_scale"`
		Tied       *bool   `json:"tie_word_embeddings"`
		Attention  struct {
			Alibi   *bool   `json:"alibi"`
			BiasMax float64 `json:"alibi_bias_max"`
			ClipQKV float64 `json:"clip_qkv"`
			QKLayer bool    `json:"qk_ln"`
			Prefix  bool    `json:"prefix_lm"`
			Scale   float64 `json:"softmax_scale"`
		} `json:"attn_config"`
	}{Expansion: 4, Context: 2048, Epsilon: 1e-5}
	x.Attention.BiasMax = 8
	if err := json.Unmarshal(b, &x); err != nil {
		return Config{}, err
	}
	switch {
	case x.NoBias != nil && !*x.NoBias:
		return Config{}, fmt.Errorf("field no_bias: biases are not supported")
	case x.Attention.Alibi != nil && !*x.Attention.Alibi:
		return Config{}, fmt.Errorf("field attn_config.alibi: learned positions are not supported")
	case x.Attention.ClipQKV < 0:
		return Config{}, fmt.Errorf("field attn_config.clip_qkv: %g must not be negative", x.Attention.ClipQKV)
	case x.Attention.QKLayer:
		return Config{}, fmt.Errorf("field attn_config.qk_ln: norms of query and key are not supported")
	case x.Attention.Prefix:
		return Config{}, fmt.Errorf("field attn_config.prefix_lm: attention to later tokens is not supported")
	case x.Attention.Scale < 0:
		return Config{}, fmt.Errorf("field attn_config.softmax_scale: %g must not be negative", x.Attention.Scale)
	case x.LogitScale != nil:
		return Config{}, fmt.Errorf("field logit_scale: scaled logits are not supported")
	case x.Tied != nil && !*x.Tied:
		return Config{}, fmt.Errorf("field tie_word_embeddings: a separate output head is not supported")
	case x.Heads <= 0 || x.Dim%x.Heads != 0:
		return Config{}, fmt.Errorf("field n_heads: %d must divide d_model %d", x.Heads, x.Dim)
	}
	return Config{
		Vocab: x.Vocab, Dim: x.Dim, Layers: x.Layers, Heads: x.Heads, KVHeads: x.Heads, HeadDim: x.Dim / x.Heads,
		FFN: int(x.Expansion * float64(x.Dim)), Epsilon: x.Epsilon, AlibiBiasMax: x.Attention.BiasMax, MaxPositions: x.Context, Tied: true,
		v: variant{activation: "gelu", clip: x.Attention.ClipQKV, scoreScale: x.Attention.Scale},
	}, nil
}

func mptLayer(l int) string { return fmt.Sprintf("transformer.blocks.%d.", l) }

func mptTensors(c Config) map[string][]int {
	t := map[string][]int{"transformer.wte.weight": {c.Vocab, c.Dim}, "transformer.norm_f.weight": {c.Dim}}
	for l := range c.Layers {
		p := mptLayer(l)
		t[p+"norm_1.weight"] = []int{c.Dim}
		t[p+"norm_2.weight"] = []int{c.Dim}
		t[p+"attn.Wqkv.weight"] = []int{3 * c.Dim, c.Dim}
		t[p+"attn.out_proj.weight"] = []int{c.Dim, c.Dim}
		t[p+"ffn.up_proj.weight"] = []int{c.FFN, c.Dim}
		t[p+"ffn.down_proj.weight"] = []int{c.Dim, c.FFN}
	}
	return t
}

// mptBlock maps x [T, D] to [T, D].
func mptBlock(p *pass, x *Node, layer int) *Node {
	name := mptLayer(layer)
	h := p.layerNorm(x, name+"norm_1")
	parts := p.cut(h, name+"attn.Wqkv", p.c.Dim, p.c.Dim, p.c.Dim)
	part := func(i int) *Node {
		y := parts[i]
		if bound := p.c.v.clip; bound != 0 {
			y = ClipScalar(y, -bound, bound)
		}
		return p.heads(y, p.c.Heads)
	}
	x = Add(x, p.linear(p.attend(part(0), part(1), part(2), layer), name+"attn.out_proj"))
	h = p.activate(p.linear(p.layerNorm(x, name+"norm_2"), name+"ffn.up_proj"))
	return Add(x, p.linear(h, name+"ffn.down_proj"))
}

// alibi is slope_h · (k - (N-1)) as [1 or B, H, 1, N] over the N keys' positions: the bias by distance up to a constant a
// row, which the softmax does not see.
func (p *pass) alibi() *Node {
	n := p.keys
	slopes := Reshape(Const(p.g, alibiSlopes(p.c.Heads, p.c.AlibiBiasMax)), 1, p.c.Heads, 1, 1)
	at := AddScalar(ConvertDType(p.keyPositions(), dtypes.Float32), float64(1-n))
	return Mul(slopes, at)
}

// alibiSlopes are 2^(-i·max/n) for i = 1..n; for n heads that are no power of two the odd ones of the next power come
// first. Source: Press et al. 2021 (arXiv 2108.12409) and MPT's build_alibi_bias.
func alibiSlopes(heads int, biasMax float64) []float32 {
	n := 1
	for n < heads {
		n *= 2
	}
	all := make([]float32, n)
	for i := range all {
		all[i] = float32(math.Exp2(-float64(i+1) * biasMax / float64(n)))
	}
	if n == heads {
		return all
	}
	var out []float32
	for i := 1; i < n; i += 2 {
		out = append(out, all[i])
	}
	for i := 0; i < n; i += 2 {
		out = append(out, all[i])
	}
	return out[:heads]
}
