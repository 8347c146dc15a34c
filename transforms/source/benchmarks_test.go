package source

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
)

// TestEachText: every kind of file gives all its texts.
func TestEachText(t *testing.T) {
	messages := []schemas.Message{{Role: schemas.RoleUser, Content: "a question"}}
	parquet, err := dataset.EncodePart([]schemas.Prompt{{ID: schemas.PromptID(messages), Messages: messages, Tags: []string{"a tag"}}}, dataset.Footer{})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data string
		want []string
	}{
		"items.jsonl": {`{"question": "a?", "choices": ["b", {"text": "c"}], "n": 3, "none": null}` + "\n\n" + `["d"] "e"`, []string{"a?", "b", "c", "d", "e"}},
		"items.csv":   {"question,answer\n\"a, \"\"b\"\"\",c\nd\n", []string{"answer", `a, "b"`, "c", "d", "question"}},
		"items.TSV":   {"a b\tc \"d\"\n", []string{"a b", `c "d"`}},
		"items.txt":   {"one\ntwo\r\n \n\nthree", []string{"one\ntwo\r\n", "three"}},
		"items":       {string(parquet), []string{messages[0].Content, "a tag", schemas.PromptID(messages), schemas.RoleUser}},
	} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(c.data), 0o666); err != nil {
			t.Fatal(err)
		}
		var got []string
		if err := eachText(t.Context(), file, func(text string) { got = append(got, text) }); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		slices.Sort(got)
		slices.Sort(c.want)
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// TestBadBenchmarks: a file that cannot be read is an error with its name and place, before any work.
func TestBadBenchmarks(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ data, want string }{
		"cut.jsonl":   {"{\"a\": \"b\"}\n{\"a", "item 2: malformed JSON"},
		"cut.csv":     {"a\n\"b", "line 2"},
		"empty.txt":   {"\n \n", "has no texts"},
		"cut.parquet": {"PAR1 and no more", "opening Parquet file of 16 bytes"},
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(c.data), 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := NewBenchmarks(t.Context(), []string{file}, 13)
		if err == nil || !strings.Contains(err.Error(), "benchmark file "+file) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := NewBenchmarks(t.Context(), []string{filepath.Join(dir, "none.txt")}, 13); err == nil || !strings.Contains(err.Error(), "none.txt") {
		t.Errorf("a missing file: %v", err)
	}
}

// FuzzTexts: no bytes crash a reader, and plain text loses nothing but blank lines.
func FuzzTexts(f *testing.F) {
	for _, data := range []string{"", "a,b\n\"c\"\n", `{"a":["b",{"c":"d"}]} [1]`, "one\n\ntwo\n", "\xff\"\n", "a\tb\n"} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		drop := func(string) {}
		for _, read := range []func(r io.Reader) error{
			func(r io.Reader) error { return jsonTexts(t.Context(), r, drop) },
			func(r io.Reader) error { return csvTexts(t.Context(), r, ".csv", drop) },
			func(r io.Reader) error { return csvTexts(t.Context(), r, ".tsv", drop) },
		} {
			_ = read(bytes.NewReader(data)) // an error is fine
		}
		var all strings.Builder
		if err := paragraphs(context.Background(), bytes.NewReader(data), func(text string) { all.WriteString(text) }); err != nil {
			t.Fatal(err)
		}
		var want strings.Builder
		for line := range bytes.Lines(data) {
			if len(bytes.TrimSpace(line)) > 0 {
				want.Write(line)
			}
		}
		if all.String() != want.String() {
			t.Fatalf("%q became %q", data, all.String())
		}
	})
}

// TestParquetInput: rows of a Parquet file become the prompts that the same rows as JSON lines do, in the same parts.
func TestParquetInput(t *testing.T) {
	type message struct {
		Role    string `parquet:"role"`
		Content string `parquet:"content"`
	}
	type row struct {
		ID        int64     `parquet:"id"`
		Messages  []message `parquet:"messages,list"`
		Reference *string   `parquet:"reference,optional"`
		Tags      []string  `parquet:"tags,list"`
		Score     float64   `parquet:"score"`
	}
	answer := "Four."
	var file bytes.Buffer
	w := dataset.NewRowWriter[row](&file)
	rows := []row{
		{ID: 7, Messages: []message{{"system", "Be short."}, {"user", "2 + 2?"}}, Reference: &answer, Tags: []string{"sums"}, Score: 0.5},
		{ID: 8, Messages: []message{{"user", "a"}, {"user", "b"}}},
		{ID: 9, Messages: []message{{"user", "ä?"}}},
	}
	if err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "rows.parquet"), filepath.Join(dir, "rows.jsonl")}
	lines := `{"id": 7, "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "2 + 2?"}], "reference": "Four.", "tags": ["sums"], "score": 0.5}
{"id": 8, "messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], "reference": null, "tags": [], "score": 0}
{"id": 9, "messages": [{"role": "user", "content": "ä?"}], "reference": null, "tags": [], "score": 0}
`
	for i, data := range []string{file.String(), lines} {
		if err := os.WriteFile(files[i], []byte(data), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	var got [2][]entry
	for i, path := range files {
		if err := CheckInput(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		x, err := readIndex(t.Context(), 0, path, nil, 2)
		if err != nil || len(x.Pieces[0].Chunks) != 2 {
			t.Fatalf("%d chunks, %v", len(x.Pieces[0].Chunks), err)
		}
		for k, c := range x.Pieces[0].Chunks {
			if c.Line != int64(2*k+1) {
				t.Errorf("chunk %d begins at row %d", k, c.Line)
			}
			err := c.lines(t.Context(), func(line []byte, _ int64) error {
				got[i] = append(got[i], entries(bytes.Clone(line), columns, TurnsLast)...)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if d := cmp.Diff(got[1], got[0], cmp.AllowUnexported(entry{}, fault{})); d != "" || len(got[0]) != 3 || got[0][1].fault == nil {
		t.Errorf("JSON lines (-) against Parquet (+):\n%s", d)
	}
}
