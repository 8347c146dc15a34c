package pipelines_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/pipelines"
	"github.com/profuser/profuser/pipelines/changes"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/transformtest"
)

// upToFuse are the steps without evaluate.
var upToFuse = pipelines.Steps[:len(pipelines.Steps)-1]

// redo makes steps with models that need no weights and may make again what changed.
func redo(t *testing.T, dir, out string, again changes.Again, set ...string) (string, error) {
	t.Helper()
	c, err := config.Load(filepath.Join(dir, "fusion.yaml"), set)
	if err != nil {
		t.Fatal(err)
	}
	c.Out = out
	var printed strings.Builder
	r, err := pipelines.New(t.Context(), c, &printed)
	if err != nil {
		return "", err
	}
	transformtest.Use(nil)
	r.MayRedo(again)
	err = r.Do(t.Context(), upToFuse...)
	return printed.String(), err
}

// digests are the checksums of all parts of a run, by dataset and part, whichever revision holds them.
func digests(t *testing.T, out string) map[string]string {
	t.Helper()
	store, err := dataset.OpenStore(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}
	names, err := dataset.Names(t.Context(), store, "")
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	for _, name := range names {
		d, err := dataset.Open(t.Context(), store, name)
		if err != nil {
			t.Fatal(err)
		}
		surplus, err := d.Surplus(t.Context())
		if err != nil || len(surplus) > 0 {
			t.Errorf("%s: nobody reads %v, %v", name, surplus, err)
		}
		for part := range d.Parts() {
			if _, err := d.Data(t.Context(), part); err != nil {
				t.Errorf("%s: %v", d.Key(part), err)
			}
			sums[fmt.Sprint(name, " ", part)] = d.Manifest.Parts[part].SHA256
		}
	}
	return sums
}

func mustRedo(t *testing.T, dir, out string, again changes.Again, set ...string) string {
	t.Helper()
	text, err := redo(t, dir, out, again, set...)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestRedo: a change is listed with its key and refused before any work; made again, the parts are those of a fresh run,
// on a local folder and in a bucket, beside the old ones or after removing them; and back again.
func TestRedo(t *testing.T) {
	dir := project(t)
	const hotter = "generate.max_new_tokens=20"
	fresh := [2]string{filepath.Join(dir, "fresh"), filepath.Join(dir, "hotter")}
	mustRedo(t, dir, fresh[0], changes.Again{})
	mustRedo(t, dir, fresh[1], changes.Again{}, hotter)
	want := [2]map[string]string{digests(t, fresh[0]), digests(t, fresh[1])}
	for _, out := range []string{filepath.Join(dir, "out"), "mem://again/run"} {
		mustRedo(t, dir, out, changes.Again{})
		text, err := redo(t, dir, out, changes.Again{}, hotter)
		if err == nil || !strings.Contains(err.Error(), "generations/target, generations/sage, rewards/judge-a, rewards/judge-b, selections, fusion/inference, fusion/training in "+out) {
			t.Errorf("error %v", err)
		}
		for _, line := range []string{"generate  generations/sage    changed  generate.max_new_tokens: 24 → 20\n", "reward    rewards/judge-a     changed  made from generations/target, generations/sage\n"} {
			if !strings.Contains(text, line) || strings.Contains(text, "crossentropy") {
				t.Errorf("listed:\n%s", text)
			}
		}
		if diff := cmp.Diff(want[0], digests(t, out)); diff != "" {
			t.Errorf("a refused run changed something:\n%s", diff)
		}
		text = mustRedo(t, dir, out, changes.Again{Redo: true}, hotter)
		if diff := cmp.Diff(want[1], digests(t, out)); diff != "" || !strings.Contains(text, "crossentropy sage        finished before") {
			t.Errorf("made again (-fresh +made again):\n%s\n%s", diff, text)
		}
		if text = mustRedo(t, dir, out, changes.Again{Redo: true}, hotter); strings.Contains(text, "rows in") {
			t.Errorf("then nothing is left to do, but:\n%s", text)
		}
		mustRedo(t, dir, out, changes.Again{Overwrite: true})
		if diff := cmp.Diff(want[0], digests(t, out)); diff != "" {
			t.Errorf("overwritten (-fresh +overwritten):\n%s", diff)
		}
	}
}

// TestChangedInput: a changed line makes everything again, with another number of parts.
func TestChangedInput(t *testing.T) {
	dir := project(t)
	out, file := filepath.Join(dir, "out"), filepath.Join(dir, "prompts.jsonl")
	mustRedo(t, dir, out, changes.Again{})
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(data), "\n")
	if err := os.WriteFile(file, []byte(strings.Join(lines[1:5], "")), 0o666); err != nil {
		t.Fatal(err)
	}
	text, err := redo(t, dir, out, changes.Again{})
	if err == nil || !strings.Contains(text, "ingest        prompts              changed  prompts.files: "+file+" has changed: ") || !strings.Contains(text, "made from prompts, which is changed") {
		t.Errorf("%v\n%s", err, text)
	}
	mustRedo(t, dir, out, changes.Again{Redo: true})
	fresh := filepath.Join(dir, "fresh")
	mustRedo(t, dir, fresh, changes.Again{})
	if diff := cmp.Diff(digests(t, fresh), digests(t, out)); diff != "" {
		t.Errorf("(-fresh +made again):\n%s", diff)
	}
}

// TestAppend: appended prompts become parts of every dataset, old parts are not touched, and what was there before is a
// duplicate.
func TestAppend(t *testing.T) {
	dir := project(t)
	out, file := filepath.Join(dir, "out"), filepath.Join(dir, "prompts.jsonl")
	mustRedo(t, dir, out, changes.Again{})
	before := digests(t, out)
	more, err := os.ReadFile("../data/prompts.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(more), "\n")
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(lines[2] + strings.Join(lines[8:12], ""))
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	text := mustRedo(t, dir, out, changes.Again{})
	if !strings.Contains(text, "ingest                       12 rows in 5 parts, 1 rejected map[duplicate:1]  prompts\n") || !strings.Contains(text, "fusion/training") {
		t.Errorf("printed:\n%s", text)
	}
	after := digests(t, out)
	for part, sum := range before {
		if after[part] != sum {
			t.Errorf("%s was touched", part)
		}
	}
	if rows := read[schemas.FusionExample](t, out, "fusion/training"); len(rows) != 12 || len(after)*3 != len(before)*5 {
		t.Errorf("%d rows, %d parts after %d", len(rows), len(after), len(before))
	}
	if text = mustRedo(t, dir, out, changes.Again{}); strings.Contains(text, "rows in") {
		t.Errorf("then nothing is left to do, but:\n%s", text)
	}
}

// TestLeftParts: parts that a killed run left without a manifest are kept only if they were made from what is there now.
func TestLeftParts(t *testing.T) {
	dir := project(t)
	out, fresh := filepath.Join(dir, "out"), filepath.Join(dir, "fresh")
	for _, to := range []string{out, fresh} {
		mustRedo(t, dir, to, changes.Again{})
	}
	want := digests(t, fresh)
	for _, path := range []string{"rewards/judge-a/_MANIFEST-000001.json", "rewards/judge-a/part-000002.parquet", "selections/_MANIFEST-000001.json"} {
		if err := os.Remove(filepath.Join(out, path)); err != nil {
			t.Fatal(err)
		}
	}
	// A part of the reward model made from other responses.
	store, err := dataset.OpenStore(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}
	footer, _, err := dataset.PartFooter(t.Context(), store, "rewards/judge-a", 1)
	if err != nil {
		t.Fatal(err)
	}
	footer.Inputs[1].SHA256 = strings.Repeat("0", 64)
	data, err := dataset.EncodePart([]schemas.Reward{}, footer)
	if err := errors.Join(err, store.Remove(t.Context(), "rewards/judge-a/"+dataset.PartName(1)), store.Create(t.Context(), "rewards/judge-a/"+dataset.PartName(1), data)); err != nil {
		t.Fatal(err)
	}
	mustRedo(t, dir, out, changes.Again{})
	if diff := cmp.Diff(want, digests(t, out)); diff != "" {
		t.Errorf("(-fresh +resumed):\n%s", diff)
	}
}

// TestRetryRejected: rejects of a bad hour are made again when the servers are back, here and downstream, and then every
// part is that of a run without faults; a retry without success leaves whole datasets too.
func TestRetryRejected(t *testing.T) {
	s := newServed(t, 40, "attempts: 2, max_wait: 2ms")
	clean, out := filepath.Join(filepath.Dir(s.file), "clean"), filepath.Join(filepath.Dir(s.file), "out")
	at := func(out string) *pipelines.Run {
		t.Helper()
		r, err := prepare(t, s.file, out)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	s.switchTo(false, 0)
	if err := at(clean).Do(t.Context(), upToFuse...); err != nil {
		t.Fatal(err)
	}
	if err := at(out).Do(t.Context(), "ingest", "crossentropy"); err != nil {
		t.Fatal(err)
	}
	r := at(out)
	s.servers[1].Status.Store(400) // sage refuses everything
	s.servers[1].On.Store(true)
	if err := r.Do(t.Context(), "generate"); err != nil {
		t.Fatal(err)
	}
	s.switchTo(false, 0)
	if err := at(out).Do(t.Context(), upToFuse...); err != nil {
		t.Fatal(err)
	}
	r = at(out)
	s.servers[1].Status.Store(400)
	s.servers[1].On.Store(true)
	before := digests(t, out)
	if err := r.RetryRejected(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if after := digests(t, out); len(after) != len(before) || after["generations/sage 0"] == before["generations/sage 0"] { // rejects name their request
		t.Errorf("a retry without success: %v", after)
	}
	s.switchTo(false, 0)
	if err := at(out).RetryRejected(t.Context(), []string{"ingest"}); err == nil || !strings.Contains(err.Error(), "mend them in the input file") {
		t.Errorf("retrying ingest: %v", err)
	}
	if err := at(out).RetryRejected(t.Context(), []string{"generate"}); err != nil {
		t.Fatal(err)
	}
	got, want := digests(t, out), digests(t, clean)
	for _, x := range []map[string]string{got, want} {
		for part := range x { // the statistics of scores are those of different answers
			if !strings.HasPrefix(part, "generations/") && !strings.HasPrefix(part, "rewards/") {
				delete(x, part)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-without faults +retried):\n%s", diff)
	}
	store, err := dataset.OpenStore(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}
	d, err := dataset.Open(t.Context(), store, "generations/sage")
	if err != nil || d.Manifest.Reason != "retry-rejected" || d.Manifest.Number != 3 || d.Manifest.Rejects != 0 {
		t.Errorf("manifest %d, reason %q, %d rejects, %v", d.Manifest.Number, d.Manifest.Reason, d.Manifest.Rejects, err)
	}
	if rows := read[schemas.FusionExample](t, out, "fusion/inference"); len(rows) == 0 {
		t.Error("no examples")
	}
}
