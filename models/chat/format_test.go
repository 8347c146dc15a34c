package chat

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/models/tokenizer"
	"github.com/profuser/profuser/schemas"
)

// sharedFolder is ../shared seen from the repository's root; the test is skipped without it.
func sharedFolder(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Skip("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	shared := filepath.Join(filepath.Dir(dir), "shared")
	if _, err := os.Stat(shared); err != nil {
		t.Skip("real tokenizers are not here: no ../shared")
	}
	return shared
}

// realModel makes a model directory of a real tokenizer and the files given as name → content.
func realModel(t testing.TB, name string, files map[string]string) string {
	t.Helper()
	packed, err := os.Open(filepath.Join(sharedFolder(t), name))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	z, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, tokenizer.FileName, string(data))
	for file, content := range files {
		write(t, dir, file, content)
	}
	return dir
}

func write(t testing.TB, dir, file, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// readTemplate is the source of a template of testdata.
func readTemplate(t testing.TB, name string) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("testdata", "templates", name+".jinja"))
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// realFormats are real models' formats.
func realFormats(t testing.TB) map[string]*Format {
	t.Helper()
	chatML, _ := builtin("chatml")
	quoted, err := json.Marshal(chatML)
	if err != nil {
		t.Fatal(err)
	}
	formats := map[string]*Format{}
	for name, model := range map[string]struct {
		file    string
		files   map[string]string
		options Options
	}{
		"vicuna": {"tokenizers/vicuna.json.gz", map[string]string{
			"tokenizer_config.json":  `{"bos_token": {"content": "<s>"}, "eos_token": {"content": "</s>"}}`,
			"generation_config.json": `{"eos_token_id": 2}`,
		}, Options{ChatTemplate: "vicuna"}},
		"llama-2": {"tokenizers/llama2.json.gz", map[string]string{
			"tokenizer_config.json": `{"bos_token": "<s>", "eos_token": "</s>"}`,
		}, Options{ChatTemplate: "llama-2"}},
		"mpt": {"tokenizers/mptchat.json.gz", map[string]string{
			"tokenizer_config.json":  `{"eos_token": "<|im_end|>", "chat_template": ` + string(quoted) + `}`,
			"generation_config.json": `{"eos_token_id": [0, 50278]}`,
		}, Options{}},
		"mistral": {"tokenizers/mistral03.json.gz", map[string]string{
			"tokenizer_config.json": `{"bos_token": "<s>", "eos_token": "</s>"}`,
			"chat_template.jinja":   readTemplate(t, "mistral-v0.3"),
		}, Options{}},
		"llama-2 of its own": {"tokenizers/llama2.json.gz", map[string]string{
			"tokenizer_config.json": `{"bos_token": "<s>", "eos_token": "</s>"}`,
			"chat_template.jinja":   readTemplate(t, "llama-2"),
		}, Options{}},
	} {
		f, err := Load(realModel(t, model.file, model.files), model.options)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		formats[name] = f
	}
	return formats
}

var question = []schemas.Message{{Role: "user", Content: "What is 6 times 7?"}}

func TestAnswerUndoesEncode(t *testing.T) {
	for name, f := range realFormats(t) {
		for _, text := range []string{
			"Forty-two.", "forty two", "42", "\nforty", "\n\nforty", "\n", "🙂 yes", "é", "日本語", "", "a", "(x)", "\tx", "x\n", "x ", "- a\n- b\n",
		} {
			for _, closed := range []bool{true, false} {
				e, err := f.Encode(question, text, closed)
				if err != nil {
					t.Fatal(err)
				}
				got, starts, gotClosed := f.Answer(e.TextIDs)
				if got != text || gotClosed != closed {
					t.Errorf("%s: answer of %q is %q, closed %v", name, text, got, gotClosed)
				}
				if diff := cmp.Diff(e.Starts, starts); diff != "" && len(e.Starts) > 0 {
					t.Errorf("%s: %q: starts (-encode +answer):\n%s", name, text, diff)
				}
				prompt, err := f.Prompt(question)
				if err != nil {
					t.Fatal(err)
				}
				if !startsWith(e.PromptIDs, prompt) {
					t.Errorf("%s: %q: prompt %v is no prefix of %v", name, text, prompt, e.PromptIDs)
				}
			}
		}
	}
}
