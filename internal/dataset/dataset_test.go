package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/profuser/profuser/schemas"
)

var promptHeader = Header{Schema: schemas.PromptSchema, ConfigDigest: "c0ffee"}

// put creates one part with rows and rejects.
func put(t *testing.T, s Store, part int, rows []schemas.Prompt, rejects ...schemas.Rejected) {
	t.Helper()
	data, err := EncodePart(rows, Footer{ConfigDigest: "c0ffee", Part: part, Rejects: rejects})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Create(t.Context(), "prompts/"+PartName(part), data); err != nil {
		t.Fatal(err)
	}
}

// begun is a store with the header and two parts of prompts: rows 0 to 2 and 3 to 4.
func begun(t *testing.T, s Store) []schemas.Prompt {
	t.Helper()
	if err := Begin(t.Context(), s, "prompts", promptHeader); err != nil {
		t.Fatal(err)
	}
	rows := samplePrompts(5)
	put(t, s, 0, rows[:3])
	put(t, s, 1, rows[3:])
	return rows
}

// fails checks an error's text.
func fails(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want one line with %q", err, want)
	}
}

func TestCommitAndRead(t *testing.T) {
	eachStore(t, func(t *testing.T, s Store) {
		ctx := t.Context()
		want := begun(t, s)
		_, err := Open(ctx, s, "prompts")
		fails(t, err, "no valid manifest (_MANIFEST-000001.json)")
		first, err := Commit(ctx, s, "prompts", CommitOptions{Parts: 2})
		if err != nil || first.Number != 1 || first.Rows != 5 {
			t.Fatalf("manifest %+v, %v", first, err)
		}
		if again, err := Commit(ctx, s, "prompts", CommitOptions{Parts: 2}); err != nil || again.Number != 1 {
			t.Errorf("committing again made manifest %d, %v", again.Number, err)
		}
		d, err := Open(ctx, s, "prompts")
		if err != nil {
			t.Fatal(err)
		}
		var got []schemas.Prompt
		for k := range d.Parts() {
			rows, footer, err := Rows[schemas.Prompt](ctx, d, k)
			if err != nil || footer.Part != k {
				t.Fatal(err, footer.Part)
			}
			got = append(got, rows...)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
		if all, err := All[schemas.Prompt](ctx, s, "prompts"); err != nil || !cmp.Equal(got, all) {
			t.Errorf("all rows at once are %d, %v; want the same %d", len(all), err, len(got))
		}
		_, _, err = Rows[schemas.Prompt](ctx, d, 2)
		fails(t, err, "has the parts 0 to 1, not 2")
		_, _, err = Rows[schemas.Reward](ctx, d, 0)
		fails(t, err, "want reward/1")

		put(t, s, 2, nil)
		if next, err := Commit(ctx, s, "prompts", CommitOptions{Parts: 3}); err != nil || next.Number != 2 || len(next.Parts) != 3 {
			t.Errorf("with a third part: manifest %d of %d parts, %v", next.Number, len(next.Parts), err)
		}
		// A broken newest manifest does not count.
		if err := s.Create(ctx, "prompts/_MANIFEST-000003.json", []byte("{")); err != nil {
			t.Fatal(err)
		}
		if d, err := Open(ctx, s, "prompts"); err != nil || d.Manifest.Number != 2 {
			t.Errorf("opened manifest %d, %v", d.Manifest.Number, err)
		}
	})
}

// TestRejects: rejected/ follows from the footers, duplicates are outside the budget, the error names the first fault.
func TestRejects(t *testing.T) {
	eachStore(t, func(t *testing.T, s Store) {
		ctx := t.Context()
		if err := Begin(ctx, s, "prompts", promptHeader); err != nil {
			t.Fatal(err)
		}
		fault := schemas.Rejected{Step: "ingest", Code: "bad_messages", Message: "p.jsonl:4: messages: is empty", Attempts: 1}
		twice := schemas.Rejected{ID: strings.Repeat("a", 32), Step: "ingest", Code: schemas.CodeDuplicate, Message: "p.jsonl:5", Attempts: 1}
		put(t, s, 0, samplePrompts(3), twice)
		put(t, s, 1, nil, twice, fault)
		_, err := Commit(ctx, s, "prompts", CommitOptions{Parts: 2, MaxRejects: 0.2})
		var over *RejectsError
		if !errors.As(err, &over) || over.Rejects != 1 || over.Records != 4 {
			t.Fatalf("error %v", err)
		}
		fails(t, err, "prompts: 1 of 4 records were rejected, max_rejects allows a share of 0.2: bad_messages 1; first: bad_messages no id: p.jsonl:4: messages: is empty (all in prompts/rejected)")
		if keys, err := s.List(ctx, "prompts/_MANIFEST"); err != nil || len(keys) != 0 {
			t.Errorf("manifests %v, %v", keys, err)
		}
		data, err := s.Read(ctx, "prompts/rejected/"+PartName(1))
		if err != nil {
			t.Fatal(err)
		}
		rows, _, err := DecodePart[schemas.Rejected](data)
		if diff := cmp.Diff([]schemas.Rejected{twice, fault}, rows); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
		m, err := Commit(ctx, s, "prompts", CommitOptions{Parts: 2, MaxRejects: 0.25})
		if diff := cmp.Diff(map[string]int64{"bad_messages": 1, "duplicate": 2}, m.RejectCodes); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	})
}

func TestCommitRefuses(t *testing.T) {
	eachStore(t, func(t *testing.T, s Store) {
		ctx := t.Context()
		_, err := Open(ctx, s, "prompts")
		fails(t, err, "_DATASET.json is missing: no step has begun it")
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v is not fs.ErrNotExist", err)
		}
		begun(t, s)
		_, err = Commit(ctx, s, "prompts", CommitOptions{Parts: 4})
		fails(t, err, "2 of 4 parts are missing, the first is part-000002.parquet: run the step again")
		_, err = Commit(ctx, s, "prompts", CommitOptions{Parts: 1})
		fails(t, err, "part-000001.parquet is there although the dataset has 1 parts")
		if err := s.Create(ctx, "prompts/"+PartName(2), []byte("junk")); err != nil {
			t.Fatal(err)
		}
		_, err = Commit(ctx, s, "prompts", CommitOptions{Parts: 3})
		fails(t, err, "prompts/part-000002.parquet: ")
		data, err := EncodePart(samplePrompts(1), Footer{ConfigDigest: "other", Part: 2})
		if err := errors.Join(err, s.Remove(ctx, "prompts/"+PartName(2)), s.Create(ctx, "prompts/"+PartName(2), data)); err != nil {
			t.Fatal(err)
		}
		_, err = Commit(ctx, s, "prompts", CommitOptions{Parts: 3})
		fails(t, err, `profuser.config_digest is "other", the dataset's is "c0ffee"`)
	})
}

// TestChangedPart: bytes that are not the manifest's are not read.
func TestChangedPart(t *testing.T) {
	eachStore(t, func(t *testing.T, s Store) {
		ctx := t.Context()
		begun(t, s)
		if _, err := Commit(ctx, s, "prompts", CommitOptions{Parts: 2}); err != nil {
			t.Fatal(err)
		}
		d, err := Open(ctx, s, "prompts")
		if err := errors.Join(err, s.Remove(ctx, "prompts/"+PartName(1))); err != nil {
			t.Fatal(err)
		}
		put(t, s, 1, samplePrompts(1))
		_, _, err = Rows[schemas.Prompt](ctx, d, 1)
		fails(t, err, "it was changed or damaged")
		_, err = All[schemas.Prompt](ctx, s, "prompts")
		fails(t, err, "it was changed or damaged")
	})
}

// TestBeginRefuses: a dataset of another configuration is named before any work, with the field that differs.
func TestBeginRefuses(t *testing.T) {
	eachStore(t, func(t *testing.T, s Store) {
		h := Header{Schema: schemas.FusionExampleSchema, ConfigDigest: "c0ffee", TargetTokenizer: "aa"}
		for range 2 {
			if err := Begin(t.Context(), s, "fusion/training", h); err != nil {
				t.Fatal(err)
			}
		}
		for field, change := range map[string]func(h *Header){
			"configuration digest": func(h *Header) { h.ConfigDigest = "other" },
			"target tokenizer":     func(h *Header) { h.TargetTokenizer = "bb" },
			"source model":         func(h *Header) { h.SourceModel = "sage" },
			"chat template":        func(h *Header) { h.ChatTemplate = "x" },
		} {
			other := h
			change(&other)
			fails(t, Begin(t.Context(), s, "fusion/training", other), fmt.Sprintf("was made with %s ", field))
		}
		h.Schema = "fusion_example/9"
		fails(t, Begin(t.Context(), s, "fusion/training", h), "newer than this build")
	})
}

func TestCheckTokenizers(t *testing.T) {
	d := &Dataset{Header: Header{SourceTokenizer: "aa", TargetTokenizer: "bb"}, name: "fusion/training", store: &localStore{dir: "out"}}
	if err := errors.Join(d.CheckSourceTokenizer("aa"), d.CheckTargetTokenizer("bb")); err != nil {
		t.Error(err)
	}
	fails(t, d.CheckSourceTokenizer("x"), `dataset fusion/training in out was made with the source tokenizer with fingerprint "aa", this source has "x"`)
	fails(t, d.CheckTargetTokenizer("x"), "fuse again for this target")
}

func TestPartNumber(t *testing.T) {
	for file, want := range map[string][2]int{
		"part-000012.parquet": {12, 1}, "part-1234567.parquet": {1234567, 1}, "part-000012.r2.parquet": {12, 2}, "part-000000.r17.parquet": {0, 17},
		"part-12.parquet": {}, "part--00001.parquet": {}, "x": {}, "part-000012.parquet.tmp": {}, "part-000012.r1.parquet": {}, "part-000012.r02.parquet": {}, "part-000012.rx.parquet": {},
	} {
		n, revision, ok := partNumber(file)
		if ok != (want[1] > 0) || ok && [2]int{n, revision} != want {
			t.Errorf("%s: %d, %d, %v", file, n, revision, ok)
		}
	}
}
