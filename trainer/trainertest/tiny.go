// Package trainertest owns what the trainer's tests train: a tokenizer and models small enough to train in a test.
//
// Flow in: a folder; flow out: in it the files of a Hugging Face model directory: a byte-pair tokenizer without merges
// (one token a printable ASCII character, bytes for all else), its chat template and config.json of a Llama or MPT model
// of a few thousand weights. Everything is constant: no seed, no clock.
//
// Not here: anything that a program links; only tests import this package. It writes no weights: training or
// models/decoder makes those.
package trainertest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Template renders <u>text</s> for user turns and <a>text</s> for answers.
const Template = `{% for m in messages %}{% if m['role'] == 'assistant' %}{{ '<a>' + m['content'] + '</s>' }}{% else %}{{ '<u>' + m['content'] + '</s>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<a>' }}{% endif %}`

// Vocabulary is the number of tokens: three specials, 256 bytes and 95 characters, rounded up to a model's size.
const Vocabulary = 360

// Llama is the config.json of a tiny Llama.
const Llama = `{"architectures":["LlamaForCausalLM"],"model_type":"llama","vocab_size":360,"hidden_size":16,"intermediate_size":24,"num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":2,"max_position_embeddings":128,"rms_norm_eps":1e-6,"tie_word_embeddings":true,"hidden_act":"silu","eos_token_id":0}
`

// MPT is the config.json of a tiny MPT.
const MPT = `{"architectures":["MptForCausalLM"],"model_type":"mpt","vocab_size":360,"d_model":16,"n_heads":2,"n_layers":2,"max_seq_len":128,"expansion_ratio":2,"no_bias":true,"eos_token_id":0}
`

// WriteTokenizer writes tokenizer.json, tokenizer_config.json and generation_config.json into a folder.
func WriteTokenizer(dir string) error {
	vocabulary := map[string]int{}
	type added struct {
		ID         int    `json:"id"`
		Content    string `json:"content"`
		SingleWord bool   `json:"single_word"`
		Lstrip     bool   `json:"lstrip"`
		Rstrip     bool   `json:"rstrip"`
		Normalized bool   `json:"normalized"`
		Special    bool   `json:"special"`
	}
	var specials []added
	put := func(token string) { vocabulary[token] = len(vocabulary) }
	for i, token := range []string{"</s>", "<u>", "<a>"} {
		put(token)
		specials = append(specials, added{ID: i, Content: token, Special: true})
	}
	for b := range 256 {
		put(fmt.Sprintf("<0x%02X>", b))
	}
	for c := rune(32); c < 127; c++ {
		put(string(c))
	}
	files := map[string]any{
		"tokenizer.json": map[string]any{
			"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": specials, "normalizer": nil, "pre_tokenizer": nil, "post_processor": nil,
			"decoder": map[string]any{"type": "Sequence", "decoders": []any{map[string]any{"type": "ByteFallback"}, map[string]any{"type": "Fuse"}}},
			"model":   map[string]any{"type": "BPE", "dropout": nil, "unk_token": nil, "fuse_unk": false, "byte_fallback": true, "vocab": vocabulary, "merges": []string{}},
		},
		"tokenizer_config.json":  map[string]any{"chat_template": Template, "eos_token": "</s>"},
		"generation_config.json": map[string]any{"eos_token_id": 0},
	}
	for name, content := range files {
		b, err := json.MarshalIndent(content, "", " ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), append(b, '\n'), 0o644); err != nil {
			return err
		}
	}
	return nil
}
