package identity

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/trainer/trainertest"
)

// world is a model's folder and a dataset of prompts.
func world(t *testing.T, prompts int) (target string, sets []Set) {
	t.Helper()
	target = t.TempDir()
	if err := trainertest.WriteTokenizer(target); err != nil {
		t.Fatal(err)
	}
	format, err := chat.Load(target, chat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	store, err := dataset.OpenStore(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := trainertest.WriteFusion(ctx, store, format, prompts); err != nil {
		t.Fatal(err)
	}
	d, err := dataset.Open(ctx, store, "fusion/training")
	if err != nil {
		t.Fatal(err)
	}
	return target, []Set{{Name: d.Name(), Short: "training", Dataset: d}}
}

func identify(t *testing.T, keys map[string]string, sets []Set, target string) Identity {
	t.Helper()
	digest := ""
	for _, key := range []string{"objective.beta", "trainer.clip", "trainer.moments"} {
		digest += keys[key] + ";"
	}
	id, err := Of(Settings{Digest: digest, Keys: keys}, sets, target)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestRefuse names keys, parts and files.
func TestRefuse(t *testing.T) {
	target, sets := world(t, 24)
	keys := map[string]string{"objective.beta": "0.1", "trainer.clip": "1"}
	was := identify(t, keys, sets, target)
	if again := identify(t, keys, sets, target); cmp.Diff(was, again) != "" || again.Refuse("x", was.Digest, was.Items) != nil {
		t.Error("the same training is another one")
	}
	if err := os.WriteFile(filepath.Join(target, "tokenizer_config.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(target, "new.json"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(target, "generation_config.json")); err != nil {
		t.Fatal(err)
	}
	_, other := world(t, 20) // the last part is shorter
	now := identify(t, map[string]string{"objective.beta": "0.5", "trainer.moments": "bfloat16"}, other, target)
	const want = "checkpoint c is of another training: objective.beta was 0.1, is 0.5; trainer.clip was 1, is not set; trainer.moments was not set, is bfloat16; " +
		"fusion/training/part-000002.parquet has changed; target file generation_config.json is gone; target file new.json is new; and 1 more: " +
		"go back to that, choose another out, or start over with --resume never"
	if err := now.Refuse("checkpoint c", was.Digest, was.Items); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	err := now.Refuse("checkpoint c", was.Digest, nil)
	if err == nil || !strings.Contains(err.Error(), "is of another configuration, model or dataset (digest "+was.Digest[:12]+", now "+now.Digest[:12]+")") {
		t.Errorf("without items: %v", err)
	}
	if err := now.Refuse("checkpoint c", was.Digest, now.Items); err == nil || !strings.Contains(err.Error(), "(digest ") {
		t.Errorf("equal items, another digest: %v", err)
	}
}

// TestLargeFiles are known by both ends and their size.
func TestLargeFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.safetensors")
	sum := func(at int64, text string, size int64) string {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(size); err != nil { // sparse
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte(text), at); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		id, err := Of(Settings{}, nil, filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		return id.Digest
	}
	const size = 2*sketchWhole + 10
	seen := map[string]bool{sum(5, "a", size): true, sum(5, "b", size): true, sum(size-3, "a", size): true, sum(5, "a", size+1): true}
	if len(seen) != 4 {
		t.Errorf("%d of 4 files are told apart", len(seen))
	}
}
