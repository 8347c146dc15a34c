package chat

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/models/tokenizer"
)

// TestStops: what each file of a directory says, in its order; a tokenizer alone has </s> or nothing.
func TestStops(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "data", "tokenizers", "mpt", "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"alone":    {nil, []string{"</s>"}},
		"config":   {map[string]string{"tokenizer_config.json": `{"eos_token": "<|system|>"}`}, []string{"<|system|>"}},
		"template": {map[string]string{"tokenizer_config.json": `{"eos_token": {"content": "</s>"}, "chat_template": "{% for m in messages %}{{ m.content }}<|user|>{% endfor %}"}`, "config.json": `{"eos_token_id": [1, 2]}`}, []string{"<|user|>", "</s>", "<s>"}},
		"unknown":  {map[string]string{"tokenizer_config.json": `{"eos_token": "<nothing>"}`, "config.json": `{"eos_token_id": 999999}`}, nil},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), data, 0o644); err != nil {
			t.Fatal(err)
		}
		for file, content := range c.files {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		tok, err := tokenizer.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{dir, filepath.Join(dir, "tokenizer.json")} {
			ids, err := Stops(path, tok)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, id := range ids {
				got = append(got, tok.Token(id))
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("%s (-want +got):\n%s", name, d)
			}
		}
	}
	dir := t.TempDir()
	if _, err := Stops(filepath.Join(dir, "none"), nil); err == nil {
		t.Error("a folder that is not there was read")
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"vocab_size": 50368}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if n, err := VocabSize(dir); err != nil || n != 50368 {
		t.Errorf("vocabulary of %d, %v", n, err)
	}
}
