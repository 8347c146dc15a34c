package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/profuser/profuser/models/decoder"
)

// Shapes of the random models. The vocabularies are the tokenizers', rounded up as the real models have them.
const (
	llama = `{"architectures":["LlamaForCausalLM"],"model_type":"llama","vocab_size":32000,"hidden_size":32,"intermediate_size":64,"num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":1,"max_position_embeddings":2048,"rms_norm_eps":1e-6,"tie_word_embeddings":true,"hidden_act":"silu","bos_token_id":1,"eos_token_id":2}`
	mpt   = `{"architectures":["MptForCausalLM"],"model_type":"mpt","vocab_size":50368,"d_model":32,"n_heads":2,"n_layers":2,"max_seq_len":2048,"expansion_ratio":2,"no_bias":true,"attn_config":{"alibi":true},"tie_word_embeddings":true,"eos_token_id":50278}`
)

const configuration = `# GSM8K on random models with real vocabularies; written by data/real.
version: 1
out: .
prompts:
  files: [prompts.jsonl]
  columns: {messages: question, reference: answer}
  part_rows: 50
models:
  - {name: vicuna, path: models/vicuna, chat_template: vicuna}
  - {name: mpt, path: models/mpt, chat_template: chatml}
  - {name: judge-a, path: models/judge-a, chat_template: vicuna}
  - {name: judge-b, path: models/judge-b, chat_template: vicuna}
  - {name: judge-c, path: models/judge-c, chat_template: vicuna}
target: {model: vicuna}
sources: [mpt]
# Random models never end their turn, and sometimes begin with half a character.
generate: {temperature: 1, max_new_tokens: 24, max_rejects: 0.1}
reward: {models: [judge-a, judge-b, judge-c]}
advantage: {inference: {filters: {unfinished: false}}}
curriculum: {kind: progressive, epochs: [1, 2]}
trainer: {batch_prompts: 20, max_length: 512, learning_rate: 1e-2}
`

// prepare writes prompts, models and configuration.
func prepare(shared, dir string, n int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	problems, err := gunzip(filepath.Join(shared, "data/gsm8k_train_2000.jsonl.gz"))
	if err != nil {
		return err
	}
	lines := bytes.SplitAfter(problems, []byte("\n"))
	if len(lines) < n {
		return fmt.Errorf("only %d problems, want %d", len(lines), n)
	}
	for i, m := range []struct{ name, config, tokenizer, end string }{
		{"vicuna", llama, "vicuna", "</s>"},
		{"mpt", mpt, "mptchat", "<|im_end|>"},
		{"judge-a", llama, "vicuna", "</s>"},
		{"judge-b", llama, "vicuna", "</s>"},
		{"judge-c", llama, "vicuna", "</s>"},
	} {
		tokenizer, err := gunzip(filepath.Join(shared, "tokenizers", m.tokenizer+".json.gz"))
		if err != nil {
			return err
		}
		if err := writeModel(filepath.Join(dir, "models", m.name), m.config, tokenizer, m.end, int64(i), i > 1); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "prompts.jsonl"), bytes.Join(lines[:n], nil), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "fusion.yaml"), []byte(configuration), 0o644)
}

func gunzip(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return io.ReadAll(z)
}

// writeModel writes a Hugging Face directory with random weights.
func writeModel(dir, text string, tokenizer []byte, end string, seed int64, reward bool) error {
	config, err := decoder.ParseConfig([]byte(text))
	if err == nil && reward {
		config, err = config.Rewarding()
	}
	if err != nil {
		return err
	}
	store, err := decoder.InitStore(config, seed)
	if err != nil {
		return err
	}
	if err := decoder.SaveStore(store, config, dir, "bfloat16"); err != nil {
		return err
	}
	special, err := json.Marshal(map[string]string{"bos_token": "<s>", "eos_token": end})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "tokenizer_config.json"), special, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "tokenizer.json"), tokenizer, 0o644)
}
