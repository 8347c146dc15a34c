package source

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSample(t *testing.T) {
	dir := t.TempDir()
	var lines []string
	for i := range 1000 {
		lines = append(lines, fmt.Sprintf(`{"messages": "question %d", "reference": "answer"}`, i))
	}
	lines[10], lines[20], lines[30] = "", `{"messages": 7}`, lines[31]
	a, b := filepath.Join(dir, "a.jsonl"), filepath.Join(dir, "b.jsonl")
	for file, part := range map[string][]string{a: lines[:300], b: lines[300:]} {
		if err := os.WriteFile(file, []byte(strings.Join(part, "\r\n")), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	columns := Columns{Messages: "messages", Reference: "reference", ExternalID: "id", Tags: "tags"}
	sample := func(n int, seed uint64) Sampled {
		s, err := Sample(t.Context(), []string{a, b}, columns, TurnsLast, n, seed)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	all := sample(0, 1)
	if all.Lines != 999 || all.Read != 999 || len(all.Prompts) != 997 || all.Faulty != 2 || all.Rows() != 997 {
		t.Errorf("all: %d lines, %d read, %d prompts, %d faulty, %d rows", all.Lines, all.Read, len(all.Prompts), all.Faulty, all.Rows())
	}
	some := sample(50, 1)
	if some.Lines != 999 || some.Read != 50 || some.Rows() < 900 || some.Rows() > 999 || string(some.Raw[0]) == "" {
		t.Errorf("50: %d lines, %d read, %d rows", some.Lines, some.Read, some.Rows())
	}
	if d := cmp.Diff(some, sample(50, 1)); d != "" {
		t.Errorf("the same seed differs:\n%s", d)
	}
	if cmp.Diff(some, sample(50, 2)) == "" {
		t.Error("another seed draws the same rows")
	}
	first, late := 0, 0
	for seed := range uint64(40) { // drawn evenly: a tenth of the rows from the last tenth
		for _, p := range sample(50, seed).Prompts {
			var i int
			_, _ = fmt.Sscanf(p.Messages[0].Content, "question %d", &i)
			if i < 100 {
				first++
			}
			if i >= 900 {
				late++
			}
		}
	}
	if first < 140 || first > 260 || late < 140 || late > 260 {
		t.Errorf("of 2000 rows %d come from the first tenth, %d from the last, want about 200 each", first, late)
	}
	if _, err := Sample(t.Context(), []string{filepath.Join(dir, "none")}, columns, TurnsLast, 5, 1); err == nil {
		t.Error("a missing file is no error")
	}
}
