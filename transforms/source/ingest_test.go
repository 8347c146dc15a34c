package source_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/sink"
	"github.com/profuser/profuser/transforms/source"
	"github.com/profuser/profuser/transforms/transformtest"
)

func TestMain(m *testing.M) { os.Exit(transformtest.Main(m)) }

// ingest reads files into parts of rows.
func ingest(ctx context.Context, url string, rows int, files ...string) error {
	store, err := dataset.OpenStore(ctx, url)
	if err != nil {
		return err
	}
	if err := dataset.Begin(ctx, store, "prompts", dataset.Header{Schema: schemas.PromptSchema, ConfigDigest: "test"}); err != nil {
		return err
	}
	p, s := beam.NewPipelineWithRoot()
	source.Ingest(s, source.Step{
		Files: files, Columns: source.Columns{Messages: "messages", Reference: "reference", ExternalID: "id", Tags: "tags"}, Turns: source.TurnsLast,
		PartRows: rows, Store: url, Output: "prompts", Footer: dataset.Footer{ConfigDigest: "test"},
	})
	return ptest.Run(p)
}

func ExampleIngest() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "prompts.jsonl")
	lines := `{"messages": "2+2?", "reference": "Four."}
{"messages": "2+3?", "reference": "Five."}
{"messages": "2+2?", "reference": "4"}
`
	if err := os.WriteFile(file, []byte(lines), 0o666); err != nil {
		fmt.Println(err)
		return
	}
	if err := ingest(ctx, dir+"/out", 2, file); err != nil {
		fmt.Println(err)
		return
	}
	rows, err := transformtest.Read[schemas.Prompt](ctx, dir+"/out", "prompts")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range rows {
		fmt.Println(p.Messages[0].Content, *p.Reference)
	}
	// Output:
	// 2+2? Four.
	// 2+3? Five.
}

// write makes files of n questions; every fifth repeats the first.
func write(t *testing.T, files, n int) (paths []string) {
	t.Helper()
	dir := t.TempDir()
	for k := range files {
		var b strings.Builder
		for i := range n {
			if i%5 == 4 {
				i, k := 0, 0
				fmt.Fprintf(&b, `{"messages":"What is %d of %d?"}`+"\n\n", i, k)
				continue
			}
			fmt.Fprintf(&b, `{"messages":"What is %d of %d?","id":"%d-%d"}`+"\n", i, k, k, i)
		}
		path := filepath.Join(dir, fmt.Sprintf("%d.jsonl", k))
		if err := os.WriteFile(path, []byte(strings.TrimSuffix(b.String(), "\n")), 0o666); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// TestPartsDoNotMatter: the prompts are the same for any size of parts, and duplicates go wherever they stand.
func TestPartsDoNotMatter(t *testing.T) {
	paths := write(t, 3, 23)
	var want []schemas.Prompt
	for i, rows := range []int{100, 7, 1} {
		url := t.TempDir()
		if err := ingest(t.Context(), url, rows, paths...); err != nil {
			t.Fatal(err)
		}
		got, err := transformtest.Read[schemas.Prompt](t.Context(), url, "prompts")
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			want = got
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got) != 3*19 {
			t.Errorf("parts of %d rows, %d prompts (-one part a file +these):\n%s", rows, len(got), diff)
		}
	}
}

// TestRejects: a bad line is named by file, line and field; without a budget there is no manifest.
func TestRejects(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "bad.jsonl")
	lines := "{\"messages\":\"good\"}\n\n{\"messages\":[]}\n{\"messages\":\"other\",\"id\":\"a\"}\n{\"messages\":\"another\",\"id\":\"a\"}\n"
	if err := os.WriteFile(file, []byte(lines), 0o666); err != nil {
		t.Fatal(err)
	}
	url := dir + "/out"
	if err := ingest(t.Context(), url, 10, file); err != nil {
		t.Fatal(err)
	}
	store, err := dataset.OpenStore(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	_, err = source.Commit(t.Context(), store, "prompts", dataset.CommitOptions{})
	var over *dataset.RejectsError
	if !errors.As(err, &over) || !strings.Contains(err.Error(), file+":3: messages: ") {
		t.Errorf("error %v, want one that names %s:3 and messages", err, file)
	}
	if _, err := dataset.Open(t.Context(), store, "prompts"); err == nil {
		t.Error("the dataset was committed")
	}
	rows, _, err := dataset.PartFooter(t.Context(), store, "prompts", 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows.Rejects) != 2 || rows.Rejects[1].Code != source.CodeConflict || !strings.Contains(rows.Rejects[1].Message, ":5: external id: ") {
		t.Errorf("rejects %+v", rows.Rejects)
	}
}

// TestNothing: files without rows, and files that are not there, are named.
func TestNothing(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.jsonl")
	if err := os.WriteFile(empty, []byte("\n\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{empty: "no rows in the 1 input files", dir + "/none.jsonl": "none.jsonl", dir: "is a folder"} {
		err := ingest(t.Context(), t.TempDir(), 10, path)
		if text, ok := sink.FaultText(err); !ok || !strings.Contains(text, want) {
			t.Errorf("%s: fault %q of %v, want %q", path, text, err, want)
		}
	}
}

// TestChangedFile: a file that changed between two attempts is an error, nothing is mixed.
func TestChangedFile(t *testing.T) {
	url := t.TempDir()
	paths := write(t, 1, 4)
	if err := ingest(t.Context(), url, 2, paths...); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(paths[0], []byte(`{"messages":"new"}`), 0o666); err != nil {
		t.Fatal(err)
	}
	err := ingest(t.Context(), url, 2, paths...)
	if text, ok := sink.FaultText(err); !ok || !strings.Contains(text, "is not what it was") {
		t.Errorf("fault %q of %v", text, err)
	}
}

// appendTo adds text to a file.
func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// grow ingests what is new in files.
func grow(t *testing.T, url string, rows int, files ...string) error {
	t.Helper()
	ctx := t.Context()
	store, err := dataset.OpenStore(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	before, _, err := source.Files(ctx, store, "prompts", 1)
	if err != nil {
		t.Fatal(err)
	}
	g, err := source.Compare(ctx, before, files)
	if err != nil || len(g.Changes) > 0 || !g.Grown {
		t.Fatalf("%+v, %v", g, err)
	}
	d, err := dataset.Open(ctx, store, "prompts")
	if err != nil {
		t.Fatal(err)
	}
	p, s := beam.NewPipelineWithRoot()
	source.Ingest(s, source.Step{
		Files: files, Columns: source.Columns{Messages: "messages", Reference: "reference", ExternalID: "id", Tags: "tags"}, Turns: source.TurnsLast,
		PartRows: rows, Store: url, Output: "prompts", Footer: dataset.Footer{ConfigDigest: "test"}, Known: g.Known, From: d.Parts(), MaxRejects: 1,
	})
	return ptest.Run(p)
}

// TestGrowth: appended lines and new files become parts after the last, duplicates of old prompts are found, line numbers
// go on, old parts keep their files, and what was appended in between is where it was after a third growth.
func TestGrowth(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first.jsonl"), filepath.Join(dir, "second.jsonl")
	line := func(n int) string { return fmt.Sprintf(`{"messages":"question %d"}`, n) }
	if err := os.WriteFile(first, []byte(line(0)+"\n"+line(1)+"\n"+line(2)), 0o666); err != nil {
		t.Fatal(err)
	}
	url := filepath.Join(dir, "out")
	if err := ingest(ctx, url, 2, first); err != nil {
		t.Fatal(err)
	}
	store, err := dataset.OpenStore(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(filepath.Join(url, "prompts", dataset.PartName(1)))
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, first, "\n"+line(3)+"\n"+line(1)+"\n"+`{"messages":[]}`+"\n")
	if err := os.WriteFile(second, []byte(line(4)+"\n"+line(3)+"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := grow(t, url, 2, second, first); err != nil {
		t.Fatal(err)
	}
	appendTo(t, first, line(0)+"\n"+line(5)+"\n")
	if err := grow(t, url, 2, second, first); err != nil {
		t.Fatal(err)
	}
	d, err := dataset.Open(ctx, store, "prompts")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for k := range d.Parts() {
		rows, f, err := dataset.Rows[schemas.Prompt](ctx, d, k)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range rows {
			got = append(got, fmt.Sprint(k, " ", p.Messages[0].Content))
		}
		for _, r := range f.Rejects {
			got = append(got, fmt.Sprint(k, " ", r.Code, " ", strings.TrimPrefix(r.Message, dir)))
		}
	}
	want := []string{
		"0 question 0", "0 question 1", "1 question 2",
		"2 question 4", "2 question 3",
		"3 duplicate /first.jsonl:4: messages: an earlier row has the same", "3 duplicate /first.jsonl:5: messages: an earlier row has the same",
		"4 bad_messages /first.jsonl:6: messages: is empty, want at least one user turn",
		"5 question 5", "5 duplicate /first.jsonl:7: messages: an earlier row has the same",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows and rejects (-want +got):\n%s", diff)
	}
	var files []string
	for _, f := range d.Manifest.Inputs {
		files = append(files, fmt.Sprintf("%s from %d, %d parts from %d", filepath.Base(f.Path), f.Offset, f.Parts, f.FirstPart))
	}
	if diff := cmp.Diff([]string{"first.jsonl from 0, 2 parts from 0", "second.jsonl from 0, 1 parts from 2", "first.jsonl from 77, 2 parts from 3", "first.jsonl from 146, 1 parts from 5"}, files); diff != "" || d.Manifest.Number != 3 {
		t.Errorf("manifest %d, inputs (-want +got):\n%s", d.Manifest.Number, diff)
	}
	if now, err := os.ReadFile(filepath.Join(url, "prompts", dataset.PartName(1))); err != nil || string(now) != string(old) {
		t.Errorf("part 1 was touched, %v", err)
	}
	// Nothing new, and what is no growth.
	compare := func(want string, files ...string) {
		t.Helper()
		g, err := source.Compare(ctx, d.Manifest.Inputs, files)
		if err != nil || g.Grown || !strings.Contains(strings.Join(g.Changes, "; "), want) || (want == "") != (len(g.Changes) == 0) {
			t.Errorf("%+v, %v, want changes with %q", g, err, want)
		}
	}
	compare("", first, second)
	moved := filepath.Join(dir, "moved.jsonl")
	if err := os.Rename(second, moved); err != nil {
		t.Fatal(err)
	}
	compare("", moved, first)
	compare("second.jsonl is not among them any more", first)
	data, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, want string }{
		{string(data[:len(data)-3]), "it had 198 bytes or more, now 195"},
		{strings.Replace(string(data), "question 1", "question 7", 1), "SHA-256"},
		{strings.TrimSuffix(string(data), "\n") + " \n", "SHA-256"},
	} {
		if err := os.WriteFile(first, []byte(c.text), 0o666); err != nil {
			t.Fatal(err)
		}
		compare(c.want, first, moved)
	}
	half := filepath.Join(dir, "half.jsonl")
	if err := os.WriteFile(half, []byte(`{"messages":"a"}`), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := ingest(ctx, url+"2", 2, half); err != nil {
		t.Fatal(err)
	}
	if store, err = dataset.OpenStore(ctx, url+"2"); err != nil {
		t.Fatal(err)
	}
	if d, err = dataset.Open(ctx, store, "prompts"); err != nil {
		t.Fatal(err)
	}
	appendTo(t, half, "{}\n")
	compare("the row that ended at byte 16 goes on now", half)
}
