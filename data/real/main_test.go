package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/engine"
)

const shared = "../../../shared"

// TestPrepare: the folder has models that load with the real tokenizers, and the problems.
func TestPrepare(t *testing.T) {
	if _, err := os.Stat(filepath.Join(shared, "tokenizers")); err != nil {
		t.Skip("needs ../shared with the tokenizers of Vicuna and MPT and the problems of GSM8K")
	}
	dir := t.TempDir()
	var stderr strings.Builder
	if code := run([]string{"-shared", shared, "-dir", dir, "-prompts", "3"}, &stderr, &stderr); code != 0 {
		t.Fatalf("status %d: %s", code, stderr.String())
	}
	for name, want := range map[string]struct {
		template   string
		vocabulary int
		reward     bool
	}{"vicuna": {"vicuna", 32000, false}, "mpt": {"chatml", 50368, false}, "judge-b": {"vicuna", 32000, true}} {
		config, _, err := engine.Check(filepath.Join(dir, "models", name), chat.Options{ChatTemplate: want.template})
		if err != nil {
			t.Error(err)
		}
		if config.VocabSize() != want.vocabulary || config.Reward() != want.reward {
			t.Errorf("%s: vocabulary %d, reward head %v", name, config.VocabSize(), config.Reward())
		}
	}
	problems, err := os.ReadFile(filepath.Join(dir, "prompts.jsonl"))
	if err != nil || bytes.Count(problems, []byte("\n")) != 3 {
		t.Errorf("%d problems, error %v", bytes.Count(problems, []byte("\n")), err)
	}
	if code := run([]string{"-check", "-dir", dir}, &stderr, &stderr); code != 1 {
		t.Errorf("checking a folder without results gave status %d", code)
	}
}

// TestLosses: means of the first and last quarter of one stage's steps.
func TestLosses(t *testing.T) {
	var metrics strings.Builder
	for _, line := range []string{
		`{"step":1,"stage":"inference","loss":9}`, `{"step":2,"stage":"training","loss":8}`, `{"step":3,"stage":"training","loss":4}`,
		`{"step":4,"stage":"training","loss":3}`, `{"step":5,"stage":"training","loss":2}`, `{"end":"stage","stage":"training","held_out":1}`,
	} {
		metrics.WriteString(line + "\n")
	}
	first, last, err := losses([]byte(metrics.String()), "training")
	if err != nil || first != 8 || last != 2 {
		t.Errorf("first %v, last %v, error %v", first, last, err)
	}
	if _, _, err := losses([]byte(metrics.String()), "inference"); err == nil {
		t.Error("a stage of one step has quarters")
	}
}
