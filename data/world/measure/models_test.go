package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/profuser/profuser/data/world"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/models/safetensors"
)

const modelFolder = "../../models"

// made skips the test of a model that `make demo-models` has yet to make.
func made(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(modelFolder, name, "model.safetensors")); err != nil {
			t.Skipf("data/models/%s is not there: make demo-models makes it", name)
		}
	}
}

// TestDirectories: every demo model is a Hugging Face directory of the kind, size and tokenizer that data/README.md says.
func TestDirectories(t *testing.T) {
	const mebibyte = 1 << 20
	tests := []struct {
		name, tokenizer, headTensor string
		bytes                       int64
	}{
		{"base", "llama", "", 4 * mebibyte},
		{"target", "llama", "", 4 * mebibyte},
		{"reckoner", "llama", "", 4 * mebibyte},
		{"sage", "mpt", "", 4 * mebibyte},
		{"judge-a", "llama", "score.weight", 2 * mebibyte},
		{"judge-b", "llama", "score.weight", 2 * mebibyte},
		{"judge-c", "llama", "score.weight", 2 * mebibyte},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			made(t, test.name)
			dir := filepath.Join(modelFolder, test.name)
			if _, _, err := engine.Check(dir, chat.Options{}); err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{"tokenizer.json", "tokenizer_config.json"} {
				got, err := os.ReadFile(filepath.Join(dir, file))
				if err != nil {
					t.Fatal(err)
				}
				want, err := os.ReadFile(filepath.Join("../../tokenizers", test.tokenizer, file))
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%s is not the one of data/tokenizers/%s", file, test.tokenizer)
				}
			}
			weights := filepath.Join(dir, "model.safetensors")
			info, err := os.Stat(weights)
			if err != nil {
				t.Fatal(err)
			}
			if info.Size() > test.bytes {
				t.Errorf("weights of %d bytes, at most %d fit the repository", info.Size(), test.bytes)
			}
			checkTensors(t, weights, test.headTensor)
		})
	}
}

// checkTensors: all weights are bfloat16, and the head is there.
func checkTensors(t *testing.T, path, head string) {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found := false
	for _, tensor := range f.Tensors() {
		found = found || tensor.Name == head
		if tensor.DType != "BF16" {
			t.Errorf("%s is %s, want BF16", tensor.Name, tensor.DType)
		}
	}
	if head != "" && !found {
		t.Errorf("no tensor %s", head)
	}
}

// table makes one of the command's tables and reads it back: row, column, share.
func table(t *testing.T, write func(w io.Writer) error) map[string]map[string]float64 {
	t.Helper()
	var stdout strings.Builder
	if err := write(&stdout); err != nil {
		t.Fatal(err)
	}
	t.Log(stdout.String())
	out := map[string]map[string]float64{}
	for line := range strings.Lines(stdout.String()) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if len(cells) != len(labels)+1 {
			continue
		}
		shares := map[string]float64{}
		for k, cell := range cells[1:] {
			if share, err := strconv.ParseFloat(cell, 64); err == nil {
				shares[labels[k]] = share
			}
		}
		out[cells[0]] = shares
	}
	return out
}

// TestModelsAreAble: a source is above 0.8 on every skill, the target middling, so that there is something to fuse.
func TestModelsAreAble(t *testing.T) {
	if testing.Short() {
		t.Skip("answers 750 prompts")
	}
	made(t, "target", "reckoner", "sage")
	got := table(t, func(w io.Writer) error {
		return answers(w, modelFolder, []string{"target", "reckoner", "sage"}, "../../heldout.jsonl")
	})
	for _, skill := range world.Skills {
		if best := max(got["reckoner"][skill], got["sage"][skill]); best <= 0.8 {
			t.Errorf("%s: the best source has %.2f, want above 0.8", skill, best)
		}
	}
	if all := got["target"]["all"]; all < 0.35 || all > 0.7 {
		t.Errorf("the target has %.2f, want a middling share", all)
	}
}

// TestJudgesAreAble: every reward model tells more than three quarters of the pairs of each skill.
func TestJudgesAreAble(t *testing.T) {
	if testing.Short() {
		t.Skip("scores 3000 answers")
	}
	judges := []string{"judge-a", "judge-b", "judge-c"}
	made(t, judges...)
	dir := t.TempDir()
	if err := world.WriteAll(dir, world.Training(1, 0, 0, 500)); err != nil {
		t.Fatal(err)
	}
	got := table(t, func(w io.Writer) error { return rewards(w, modelFolder, judges, dir) })
	for _, name := range judges {
		for _, skill := range world.Skills {
			if share := got[name][skill]; share <= 0.75 {
				t.Errorf("%s tells %.2f of the pairs of %s, want above 0.75", name, share, skill)
			}
		}
	}
}
