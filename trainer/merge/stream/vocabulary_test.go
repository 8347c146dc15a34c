package stream

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tokens writes a byte-level tokenizer of whole tokens, special ones in angle brackets.
func tokens(t *testing.T, dir string, list ...string) {
	t.Helper()
	vocabulary := map[string]int{}
	var added []map[string]any
	for id, token := range list {
		vocabulary[token] = id
		if strings.HasPrefix(token, "<") {
			added = append(added, map[string]any{"id": id, "content": token, "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false})
		}
	}
	b, err := json.Marshal(map[string]any{
		"version": "1.0", "added_tokens": added, "pre_tokenizer": map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
		"decoder": map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
		"model":   map[string]any{"type": "BPE", "vocab": vocabulary, "merges": []string{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestOverlap: rows of tokens with equal bytes are merged, the base's rows stay for the others.
func TestOverlap(t *testing.T) {
	dir := t.TempDir()
	base, other := filepath.Join(dir, "base"), filepath.Join(dir, "other")
	norm := weights("model.norm.weight", []int{2}, 1, 1)
	save(t, base, `{}`, weights("model.embed_tokens.weight", []int{5, 2}, 0, 1, 10, 11, 20, 21, 30, 31, 40, 41), weights("lm_head.weight", []int{5, 2}, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4), norm)
	save(t, other, `{}`, weights("model.embed_tokens.weight", []int{6, 2}, 100, 101, 110, 111, 120, 121, 130, 131, 140, 141, 150, 151), weights("lm_head.weight", []int{6, 2}, 0, 0, 10, 10, 20, 20, 30, 30, 40, 40, 50, 50), norm)
	tokens(t, base, "<s>", "a", "b", "c") // and a row of padding
	tokens(t, other, "b", "c", "x", "<s>", "<pad>", "y")
	config := "merge_method: linear\nbase_model: base\nmodels: [{model: base}, {model: other}]\nparameters: {weight: 1}\n"
	o := Options{Config: recipeFile(t, dir, config), Out: filepath.Join(dir, "out"), ShardSize: 1e9, Log: io.Discard}
	if err := Merge(t.Context(), o); err == nil || !strings.Contains(err.Error(), "have different vocabularies (4 and 6 tokens, 5 and 6 rows): `embed: overlap` in the merge file") {
		t.Fatal(err)
	}
	o.Config = recipeFile(t, dir, config+"embed: overlap\n")
	for _, o.Chunk = range []int{1, 100} {
		o.Out = filepath.Join(t.TempDir(), "out")
		got := merged(t, o)
		want := map[string][]float32{
			"model.embed_tokens.weight": {65, 66, 10, 11, 60, 61, 70, 71, 40, 41}, "lm_head.weight": {15, 15, 1, 1, 1, 1, 6.5, 6.5, 4, 4}, "model.norm.weight": {1, 1},
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
	var log strings.Builder
	o.DryRun, o.Log = true, &log
	if err := Merge(t.Context(), o); err != nil || !strings.Contains(log.String(), "model.embed_tokens.weight: 3 of 5 rows matched") {
		t.Error(err, log.String())
	}
	// As many tokens, of other bytes: refused too.
	tokens(t, other, "<s>", "a", "b", "z")
	save(t, other, `{}`, weights("model.embed_tokens.weight", []int{5, 2}, 0, 1, 10, 11, 20, 21, 30, 31, 40, 41), weights("lm_head.weight", []int{5, 2}, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4), norm)
	o.Config = recipeFile(t, dir, config)
	if err := Merge(t.Context(), o); err == nil || !strings.Contains(err.Error(), "different vocabularies (4 and 4 tokens, 5 and 5 rows)") {
		t.Error(err)
	}
}
