package dataset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/schemas"
)

// made is a part of prompts as a revision makes it: the rows say which, unless they stay as they were.
func made(t *testing.T, config string, part, version int, rejects ...schemas.Rejected) []byte {
	t.Helper()
	messages := []schemas.Message{{Role: schemas.RoleUser, Content: fmt.Sprintf("part %d, version %d", part, version)}}
	data, err := EncodePart([]schemas.Prompt{{ID: schemas.PromptID(messages), Messages: messages}}, Footer{ConfigDigest: config, Part: part, Rejects: rejects})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// contents are the first messages of a dataset's parts, as a reader finds them.
func contents(t *testing.T, s Store, name string) (texts []string) {
	t.Helper()
	d, err := Open(t.Context(), s, name)
	if err != nil {
		t.Fatal(err)
	}
	for part := range d.Parts() {
		rows, _, err := Rows[schemas.Prompt](t.Context(), d, part)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, rows[0].Messages[0].Content)
	}
	return texts
}

// files lists what lies in the dataset's folder, its name left out.
func files(t *testing.T, s Store, name string) []string {
	t.Helper()
	keys, err := s.List(t.Context(), name+"/")
	if err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		keys[i] = strings.TrimPrefix(keys[i], name+"/")
	}
	return keys
}

// revise does what a step does to a dataset: begin a revision, create some parts' files, commit.
func revise(t *testing.T, s Store, h Header, parts map[int][]byte, o CommitOptions) error {
	t.Helper()
	ctx := t.Context()
	if err := Begin(ctx, s, "prompts", h); err != nil {
		return err
	}
	for part, data := range parts {
		if err := s.Create(ctx, "prompts/"+PartFile(part, h.Revision), data); err != nil && !errors.Is(err, ErrExists) {
			return err
		}
	}
	o.Revision = h.Revision
	first, err := Commit(ctx, s, "prompts", o)
	if err != nil {
		return err
	}
	again, err := Commit(ctx, s, "prompts", o) // the job commits, and who submitted it
	if err == nil && !cmp.Equal(first, again) {
		t.Errorf("committed again: %+v, before %+v", again, first)
	}
	return err
}

var lost = schemas.Rejected{Step: "generate", Code: "server", Message: "gone", Attempts: 8}

// TestRevisions: all parts under another configuration, one part under the same, parts that come out as they were, and
// further parts; what nobody reads is gone afterwards.
func TestRevisions(t *testing.T) {
	eachStore(t, func(t *testing.T, s Store) {
		step := func(h Header, parts map[int][]byte, o CommitOptions, texts, there []string) {
			t.Helper()
			h.Schema, o.MaxRejects = schemas.PromptSchema, 0.5
			if err := revise(t, s, h, parts, o); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(texts, contents(t, s, "prompts")); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(there, files(t, s, "prompts")); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		}
		step(Header{ConfigDigest: "one", Revision: 1}, map[int][]byte{0: made(t, "one", 0, 1), 1: made(t, "one", 1, 1, lost)}, CommitOptions{Parts: 2},
			[]string{"part 0, version 1", "part 1, version 1"},
			[]string{"_DATASET.json", "_MANIFEST-000001.json", "part-000000.parquet", "part-000001.parquet", "rejected/part-000001.parquet"})
		step(Header{ConfigDigest: "one", Revision: 2}, map[int][]byte{1: made(t, "one", 1, 2)}, CommitOptions{Parts: 2, Reason: "retry"},
			[]string{"part 0, version 1", "part 1, version 2"},
			[]string{"_DATASET-000002.json", "_DATASET.json", "_MANIFEST-000001.json", "_MANIFEST-000002.json", "part-000000.parquet", "part-000001.r2.parquet"})
		step(Header{ConfigDigest: "one", Revision: 3}, map[int][]byte{0: made(t, "one", 0, 1)}, CommitOptions{Parts: 2},
			[]string{"part 0, version 1", "part 1, version 2"},
			[]string{"_DATASET-000002.json", "_DATASET.json", "_MANIFEST-000001.json", "_MANIFEST-000002.json", "part-000000.parquet", "part-000001.r2.parquet"})
		step(Header{ConfigDigest: "two", Revision: 3}, map[int][]byte{0: made(t, "two", 0, 3), 1: made(t, "two", 1, 3, lost), 2: made(t, "two", 2, 3)}, CommitOptions{Parts: 3},
			[]string{"part 0, version 3", "part 1, version 3", "part 2, version 3"},
			[]string{"_DATASET-000002.json", "_DATASET-000003.json", "_DATASET.json", "_MANIFEST-000001.json", "_MANIFEST-000002.json", "_MANIFEST-000003.json", "part-000000.r3.parquet", "part-000001.r3.parquet", "part-000002.r3.parquet", "rejected/part-000001.r3.parquet"})
		step(Header{ConfigDigest: "two", Revision: 3}, map[int][]byte{3: made(t, "two", 3, 3)}, CommitOptions{Parts: 4},
			[]string{"part 0, version 3", "part 1, version 3", "part 2, version 3", "part 3, version 3"},
			[]string{"_DATASET-000002.json", "_DATASET-000003.json", "_DATASET.json", "_MANIFEST-000001.json", "_MANIFEST-000002.json", "_MANIFEST-000003.json", "_MANIFEST-000004.json", "part-000000.r3.parquet", "part-000001.r3.parquet", "part-000002.r3.parquet", "part-000003.r3.parquet", "rejected/part-000001.r3.parquet"})
		d, err := Open(t.Context(), s, "prompts")
		if err != nil || d.Manifest.Rejects != 1 || d.Manifest.RejectCodes["server"] != 1 || d.Manifest.Rows != 4 {
			t.Errorf("manifest %+v, %v: want the reject of the part that was kept", d.Manifest, err)
		}
		names, err := Names(t.Context(), s, "")
		if diff := cmp.Diff([]string{"prompts"}, names); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
		if err := Clear(t.Context(), s, "prompts"); err != nil || len(files(t, s, "prompts")) != 0 {
			t.Errorf("after clearing: %v, %v", files(t, s, "prompts"), err)
		}
	})
}

// TestRevisionOverBudget: a redo that may not be committed leaves the old dataset with its rejected/, and goes on later.
func TestRevisionOverBudget(t *testing.T) {
	eachStore(t, func(t *testing.T, s Store) {
		h := Header{Schema: schemas.PromptSchema, ConfigDigest: "one", Revision: 1}
		if err := revise(t, s, h, map[int][]byte{0: made(t, "one", 0, 1, lost)}, CommitOptions{Parts: 1, MaxRejects: 1}); err != nil {
			t.Fatal(err)
		}
		h.Revision = 2
		parts := map[int][]byte{0: made(t, "one", 0, 2, lost, lost)}
		err := revise(t, s, h, parts, CommitOptions{Parts: 1, MaxRejects: 1})
		fails(t, err, "prompts: 2 of 3 records were rejected, max_rejects allows 1: server 2; first: server no id: gone (all in prompts/rejected)")
		if got := contents(t, s, "prompts"); got[0] != "part 0, version 1" {
			t.Errorf("reading %v", got)
		}
		want := []string{"_DATASET-000002.json", "_DATASET.json", "_MANIFEST-000001.json", "part-000000.parquet", "part-000000.r2.parquet", "rejected/part-000000.parquet", "rejected/part-000000.r2.parquet"}
		if diff := cmp.Diff(want, files(t, s, "prompts")); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
		if err := revise(t, s, h, parts, CommitOptions{Parts: 1, MaxRejects: 2}); err != nil {
			t.Fatal(err)
		}
		if got := contents(t, s, "prompts"); got[0] != "part 0, version 2" {
			t.Errorf("reading %v", got)
		}
	})
}

// TestStaleParts: a part made from another part than the one committed now is no part of the dataset.
func TestStaleParts(t *testing.T) {
	eachStore(t, func(t *testing.T, s Store) {
		ctx := t.Context()
		begun(t, s)
		if _, err := Commit(ctx, s, "prompts", CommitOptions{Parts: 2}); err != nil {
			t.Fatal(err)
		}
		d, err := Open(ctx, s, "prompts")
		if err != nil {
			t.Fatal(err)
		}
		if err := Begin(ctx, s, "copies", promptHeader); err != nil {
			t.Fatal(err)
		}
		copyOf := func(part int, sum string) {
			t.Helper()
			in := Input{Path: "prompts/" + PartName(part), SHA256: sum}
			data, err := EncodePart(samplePrompts(1), Footer{ConfigDigest: "c0ffee", Part: part, Inputs: []Input{in}})
			if err := errors.Join(err, s.Remove(ctx, "copies/"+PartName(part)), s.Create(ctx, "copies/"+PartName(part), data)); err != nil {
				t.Fatal(err)
			}
		}
		o := CommitOptions{Parts: 2, Sources: []string{"prompts"}}
		copyOf(0, d.Input(0).SHA256)
		copyOf(1, strings.Repeat("0", 64))
		_, err = Commit(ctx, s, "copies", o)
		fails(t, err, "copies/part-000001.parquet: was made from other parts than those that are committed now")
		st, err := Look(ctx, s, "copies")
		footers, footersErr := st.Uncommitted(ctx, 1)
		if err := errors.Join(err, footersErr); err != nil || InputsDigest(footers[0].Inputs) != InputsDigest([]Input{d.Input(0)}) || footers[1].Inputs[0].SHA256[0] != '0' {
			t.Fatalf("footers %v, %v", footers, err)
		}
		if err := st.Drop(ctx, 1, 1); err != nil {
			t.Fatal(err)
		}
		_, err = Commit(ctx, s, "copies", o)
		fails(t, err, "1 of 2 parts are missing, the first is part-000001.parquet: run the step again")
		copyOf(1, d.Input(1).SHA256)
		m, err := Commit(ctx, s, "copies", o)
		if err != nil || m.Parts[0].Inputs != InputsDigest([]Input{d.Input(0)}) {
			t.Fatalf("%+v, %v", m, err)
		}
		if st, err = Look(ctx, s, "copies"); err != nil || st.Drop(ctx, 1, 1) == nil || !st.Whole(1) {
			t.Errorf("a committed part was dropped, %v", err)
		}
		// The inputs of a committed part change: it must be made again.
		if err := Begin(ctx, s, "prompts", Header{Schema: schemas.PromptSchema, ConfigDigest: "c0ffee", Revision: 2}); err != nil {
			t.Fatal(err)
		}
		if err := s.Create(ctx, "prompts/"+PartFile(1, 2), made(t, "c0ffee", 1, 9)); err != nil {
			t.Fatal(err)
		}
		if _, err := Commit(ctx, s, "prompts", CommitOptions{Parts: 2}); err != nil {
			t.Fatal(err)
		}
		_, err = Commit(ctx, s, "copies", o)
		fails(t, err, "copies/part-000001.parquet: was made from other parts")
	})
}

// dying is a store that a process loses after some writes.
type dying struct {
	Store
	left int
}

var errDied = errors.New("killed")

func (d *dying) Create(ctx context.Context, key string, data []byte) error {
	if d.left--; d.left < 0 {
		return errDied
	}
	return d.Store.Create(ctx, key, data)
}

func (d *dying) Remove(ctx context.Context, key string) error {
	if d.left--; d.left < 0 {
		return errDied
	}
	return d.Store.Remove(ctx, key)
}

// TestKilledRevision: whenever a redo is killed, readers see the old dataset or the new one, whole; the same calls again
// end with the new one and nothing beside it.
func TestKilledRevision(t *testing.T) {
	old := Header{Schema: schemas.PromptSchema, ConfigDigest: "one", Revision: 1}
	again := Header{Schema: schemas.PromptSchema, ConfigDigest: "two", Revision: 2}
	var parts [2]map[int][]byte
	for i, config := range []string{"one", "two"} {
		parts[i] = map[int][]byte{}
		for part := range 3 {
			parts[i][part] = made(t, config, part, i, lost)
		}
	}
	o := CommitOptions{Parts: 3, MaxRejects: 0.5}
	finished := false
	for writes := 0; !finished; writes++ {
		s, err := OpenStore(t.Context(), fmt.Sprintf("mem://%s/%d", t.Name(), writes))
		if err != nil {
			t.Fatal(err)
		}
		if err := revise(t, s, old, parts[0], o); err != nil {
			t.Fatal(err)
		}
		err = revise(t, &dying{s, writes}, again, parts[1], o)
		if finished = err == nil; !finished && !errors.Is(err, errDied) {
			t.Fatal(err)
		}
		got := contents(t, s, "prompts")
		if !slices.Equal(got, []string{"part 0, version 0", "part 1, version 0", "part 2, version 0"}) && !slices.Equal(got, []string{"part 0, version 1", "part 1, version 1", "part 2, version 1"}) {
			t.Errorf("killed after %d writes, readers see %v", writes, got)
		}
		if err := revise(t, s, again, parts[1], o); err != nil {
			t.Fatalf("after %d writes: %v", writes, err)
		}
		want := []string{"_DATASET-000002.json", "_DATASET.json", "_MANIFEST-000001.json", "_MANIFEST-000002.json"}
		for _, folder := range []string{"", "rejected/"} {
			for part := range 3 {
				want = append(want, folder+PartFile(part, 2))
			}
		}
		if diff := cmp.Diff(want, files(t, s, "prompts")); diff != "" {
			t.Errorf("after %d writes (-want +got):\n%s", writes, diff)
		}
	}
}
