package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	dir := t.TempDir()
	var stderr strings.Builder
	out, texts := filepath.Join(dir, "data"), filepath.Join(dir, "texts")
	if code := run([]string{"-out", out, "-models", texts, "-conversations", "5", "-pairs", "3"}, &stderr); code != 0 {
		t.Fatalf("status %d: %s", code, stderr.String())
	}
	for name, lines := range map[string]int{
		"data/prompts.jsonl": 600, "data/heldout.jsonl": 250, "data/tokenizers/llama/tokenizer_config.json": 1,
		"texts/sage.jsonl": 5, "texts/judge-a.jsonl": 3, "texts/judge-a-heldout.jsonl": 1000,
	} {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(data), "\n"); n != lines {
			t.Errorf("%s has %d lines, want %d", name, n, lines)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"unknown flag", []string{"-colour"}, 2, "-colour"},
		{"seed that is no number", []string{"-seed", "x"}, 2, "-seed"},
		{"folder that is a file", []string{"-out", file}, 1, file},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stderr strings.Builder
			if code := run(test.args, &stderr); code != test.code || !strings.Contains(stderr.String(), test.want) {
				t.Errorf("status %d, %q; want %d and %q", code, stderr.String(), test.code, test.want)
			}
		})
	}
}
