package decoder

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const tinyLlama = `{"architectures":["LlamaForCausalLM"],"vocab_size":48,"hidden_size":16,"intermediate_size":24,"num_hidden_layers":2,"num_attention_heads":4}`

const tinyMPT = `{"architectures":["MptForCausalLM"],"vocab_size":48,"d_model":16,"n_heads":4,"n_layers":2,"max_seq_len":64}`

// with sets fields of a configuration; nil removes one.
func with(t *testing.T, config string, fields map[string]any) string {
	t.Helper()
	all := map[string]any{}
	if err := json.Unmarshal([]byte(config), &all); err != nil {
		t.Fatal(err)
	}
	for k, v := range fields {
		if all[k] = v; v == nil {
			delete(all, k)
		}
	}
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestParseConfig(t *testing.T) {
	llama := Config{
		Architecture: "LlamaForCausalLM", Vocab: 48, Dim: 16, Layers: 2, Heads: 4, KVHeads: 4, HeadDim: 4, FFN: 24,
		Epsilon: 1e-6, RopeTheta: 10000, MaxPositions: 2048,
	}
	mpt := Config{
		Architecture: "MptForCausalLM", Vocab: 48, Dim: 16, Layers: 2, Heads: 4, KVHeads: 4, HeadDim: 4, FFN: 64,
		Epsilon: 1e-5, AlibiBiasMax: 8, MaxPositions: 64, Tied: true,
	}
	type m = map[string]any
	changed := func(c Config, f func(*Config)) Config {
		f(&c)
		return c
	}
	for name, c := range map[string]struct {
		config string
		want   Config
	}{
		"llama, defaults": {tinyLlama, llama},
		"llama, old theta": {with(t, tinyLlama, m{"rope_theta": 5e5, "rope_scaling": nil, "tie_word_embeddings": true}), changed(llama, func(c *Config) {
			c.RopeTheta, c.Tied = 5e5, true
		})},
		"llama, new theta": {with(t, tinyLlama, m{"rope_parameters": m{"rope_theta": 7e4, "rope_type": "default"}}), changed(llama, func(c *Config) { c.RopeTheta = 7e4 })},
		"llama, grouped":   {with(t, tinyLlama, m{"num_key_value_heads": 2, "head_dim": 6}), changed(llama, func(c *Config) { c.KVHeads, c.HeadDim = 2, 6 })},
		"mistral, no window": {
			with(t, tinyLlama, m{"architectures": []string{"MistralForCausalLM"}, "num_key_value_heads": 2, "sliding_window": nil}),
			changed(llama, func(c *Config) { c.Architecture, c.KVHeads, c.MaxPositions = "MistralForCausalLM", 2, 131072 }),
		},
		"gemma, defaults": {
			with(t, tinyLlama, m{"architectures": []string{"GemmaForCausalLM"}, "num_key_value_heads": 1}),
			changed(llama, func(c *Config) {
				c.Architecture, c.KVHeads, c.HeadDim, c.MaxPositions, c.Tied = "GemmaForCausalLM", 1, 256, 8192, true
			}),
		},
		"mpt, defaults": {tinyMPT, mpt},
		"mpt, all given": {with(t, tinyMPT, m{
			"expansion_ratio": 2, "layer_norm_epsilon": 1e-6, "no_bias": true, "logit_scale": nil, "tie_word_embeddings": true,
			"attn_config": m{"alibi": true, "alibi_bias_max": 4, "clip_qkv": nil, "softmax_scale": nil, "prefix_lm": false},
		}), changed(mpt, func(c *Config) { c.FFN, c.Epsilon, c.AlibiBiasMax = 32, 1e-6, 4 })},
		"mpt, odd head width": {with(t, tinyMPT, m{"d_model": 12}), changed(mpt, func(c *Config) { c.Dim, c.HeadDim, c.FFN = 12, 3, 48 })},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseConfig([]byte(c.config))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got, cmpopts.IgnoreUnexported(Config{})); d != "" {
				t.Errorf("configuration (-want +got):\n%s", d)
			}
		})
	}
}

// TestPlain: what the trainer's backward pass may be asked to do.
func TestPlain(t *testing.T) {
	type m = map[string]any
	for name, c := range map[string]struct {
		config string
		plain  bool
	}{
		"llama": {tinyLlama, true}, "mpt": {tinyMPT, true},
		"dynamic":      {with(t, tinyLlama, m{"rope_scaling": m{"type": "dynamic", "factor": 2}}), true},
		"linear":       {with(t, tinyLlama, m{"rope_scaling": m{"type": "linear", "factor": 2}}), false},
		"bias":         {with(t, tinyLlama, m{"attention_bias": true}), false},
		"ffn bias":     {with(t, tinyLlama, m{"mlp_bias": true}), false},
		"activation":   {with(t, tinyLlama, m{"hidden_act": "gelu"}), false},
		"partial":      {with(t, tinyLlama, m{"partial_rotary_factor": 0.5}), false},
		"clip":         {with(t, tinyMPT, m{"attn_config": m{"clip_qkv": 6}}), false},
		"scale":        {with(t, tinyMPT, m{"attn_config": m{"softmax_scale": 0.5}}), false},
		"other biases": {with(t, tinyMPT, m{"attn_config": m{"alibi_bias_max": 4}}), true},
	} {
		if got := parse(t, c.config).Plain(); got != c.plain {
			t.Errorf("%s: plain is %v", name, got)
		}
	}
}

func TestParseConfigRefuses(t *testing.T) {
	type m = map[string]any
	for name, c := range map[string]struct{ config, want string }{
		"no JSON":              {`{`, "unexpected end"},
		"no architectures":     {`{"vocab_size":1}`, "field architectures"},
		"unknown architecture": {`{"architectures":["GPT2LMHeadModel"]}`, "known: GPTNeoXForCausalLM, GemmaForCausalLM, GemmaForSequenceClassification, LlamaForCausalLM"},
		"text for a number":    {with(t, tinyLlama, m{"vocab_size": "many"}), "vocab_size"},
		"no vocabulary":        {with(t, tinyLlama, m{"vocab_size": nil}), "field vocab_size: 0"},
		"no width":             {with(t, tinyLlama, m{"hidden_size": nil}), "field hidden_size: 0"},
		"negative layers":      {with(t, tinyLlama, m{"num_hidden_layers": -1}), "field num_hidden_layers: -1"},
		"no heads":             {with(t, tinyLlama, m{"num_attention_heads": nil}), "field num_attention_heads"},
		"no feed-forward":      {with(t, tinyLlama, m{"intermediate_size": nil}), "field intermediate_size"},
		"uneven groups":        {with(t, tinyLlama, m{"num_key_value_heads": 3}), "field num_key_value_heads: 4 heads cannot share 3"},
		"odd head":             {with(t, tinyLlama, m{"head_dim": 5}), "field head_dim: 5"},
		"activation":           {with(t, tinyLlama, m{"hidden_act": "relu6"}), `field hidden_act: "relu6"`},
		"yarn":                 {with(t, tinyLlama, m{"rope_scaling": m{"type": "yarn", "factor": 2}}), `field rope_scaling: type "yarn"`},
		"longrope":             {with(t, tinyLlama, m{"rope_parameters": m{"rope_type": "longrope"}}), `field rope_scaling: type "longrope"`},
		"scaling without much": {with(t, tinyLlama, m{"rope_scaling": m{"type": "linear"}}), "field rope_scaling.factor: 0"},
		"half a llama3":        {with(t, tinyLlama, m{"rope_parameters": m{"rope_type": "llama3", "factor": 8}}), "low_freq_factor"},
		"negative theta":       {with(t, tinyLlama, m{"rope_theta": -1}), "field rope_theta: -1"},
		"no rotary values":     {with(t, tinyLlama, m{"partial_rotary_factor": 0.25}), "field head_dim: 1 of 4"},
		"too many turned":      {with(t, tinyLlama, m{"partial_rotary_factor": 1.5}), "field partial_rotary_factor: 1.5"},
		"negative window":      {with(t, tinyLlama, m{"architectures": []string{"MistralForCausalLM"}, "num_key_value_heads": 2, "sliding_window": -1}), "field sliding_window: -1"},
		"chunked layers":       {with(t, tinyLlama, m{"architectures": []string{"Qwen2ForCausalLM"}, "layer_types": []string{"chunked_attention"}}), "field layer_types[0]"},
		"neox width":           {with(t, tinyLlama, m{"architectures": []string{"GPTNeoXForCausalLM"}, "hidden_size": 18}), "field num_attention_heads: 4 must divide"},
		"mpt width":            {with(t, tinyMPT, m{"d_model": 18}), "field n_heads: 4 must divide d_model 18"},
		"mpt no width":         {with(t, tinyMPT, m{"d_model": nil}), "field d_model: 0"},
		"mpt expansion":        {with(t, tinyMPT, m{"expansion_ratio": 0}), "field expansion_ratio: 0"},
		"mpt bias":             {with(t, tinyMPT, m{"no_bias": false}), "field no_bias"},
		"mpt positions":        {with(t, tinyMPT, m{"attn_config": m{"alibi": false}}), "field attn_config.alibi"},
		"mpt clip":             {with(t, tinyMPT, m{"attn_config": m{"clip_qkv": -6}}), "field attn_config.clip_qkv"},
		"mpt norms":            {with(t, tinyMPT, m{"attn_config": m{"qk_ln": true}}), "field attn_config.qk_ln"},
		"mpt prefix":           {with(t, tinyMPT, m{"attn_config": m{"prefix_lm": true}}), "field attn_config.prefix_lm"},
		"mpt softmax scale":    {with(t, tinyMPT, m{"attn_config": m{"softmax_scale": -0.5}}), "field attn_config.softmax_scale"},
		"mpt logit scale":      {with(t, tinyMPT, m{"logit_scale": "inv_sqrt_d_model"}), "field logit_scale"},
		"mpt untied":           {with(t, tinyMPT, m{"tie_word_embeddings": false}), "field tie_word_embeddings"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseConfig([]byte(c.config)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want an error with %q, got %v", c.want, err)
			}
		})
	}
	dir := t.TempDir()
	if _, err := ReadConfig(dir); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "config.json")) {
		t.Errorf("no config.json: %v", err)
	}
	path := filepath.Join(dir, "config.json")
	if err := os.WriteFile(path, []byte(`{}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadConfig(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("an empty config.json: %v", err)
	}
}

// FuzzParseConfig: a configuration that is taken describes tensors of positive sizes.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(tinyLlama))
	f.Add([]byte(tinyMPT))
	for _, name := range slices.Concat(goldenModels, goldenRewards) {
		b, err := os.ReadFile(filepath.Join("testdata", name, "config.json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseConfig(b)
		if err != nil || c.Layers > 100 {
			return
		}
		for name, shape := range New(c).a.tensors(c) {
			for _, d := range shape {
				if d <= 0 {
					t.Fatalf("%s has shape %v", name, shape)
				}
			}
		}
	})
}
