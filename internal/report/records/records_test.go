package records

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/internal/dataset"
)

type line struct {
	N int `json:"n"`
}

// TestLines: whole lines are read, a last one that is being written is not, a broken one is named.
func TestLines(t *testing.T) {
	ctx := t.Context()
	store, err := dataset.OpenStore(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Lines[line](ctx, store, "metrics.jsonl"); got != nil || err != nil {
		t.Errorf("a missing file gives %v, %v", got, err)
	}
	if err := store.Create(ctx, "metrics.jsonl", []byte("{\"n\":1}\n{\"n\":2}\n{\"n\":")); err != nil {
		t.Fatal(err)
	}
	got, err := Lines[line](ctx, store, "metrics.jsonl")
	if d := cmp.Diff([]line{{1}, {2}}, got); err != nil || d != "" {
		t.Error(err, d)
	}
	if err := store.Create(ctx, "broken.jsonl", []byte("{\"n\":1}\n{\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := Lines[line](ctx, store, "broken.jsonl"); err == nil || !strings.Contains(err.Error(), "reading broken.jsonl, line 2: ") {
		t.Errorf("error %v, want the file and the line", err)
	}
}

// TestSteps: records come in the order of the job, unknown steps last.
func TestSteps(t *testing.T) {
	ctx := t.Context()
	store, err := dataset.OpenStore(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"by-hand", "train", "ingest", "evaluate-reward"} {
		if err := store.Create(ctx, "steps/"+step+".json", []byte(`{"step":"`+step+`","seconds":2,"rows":3}`)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Steps(ctx, store)
	want := []Step{{"ingest", 2, 0, 3}, {"train", 2, 0, 3}, {"evaluate-reward", 2, 0, 3}, {"by-hand", 2, 0, 3}}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Error(err, d)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("{\"n\":1}\n{"))
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = Parse[line](data) })
}
