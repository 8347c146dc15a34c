package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEach(t *testing.T) {
	items := []item{
		{Tags: []string{"arithmetic", "operands:seen"}, Answer: "1"},
		{Tags: []string{"arithmetic", "operands:unseen"}, Answer: "2"},
		{Tags: []string{"facts"}, Answer: "red"},
	}
	got, err := each(items, func(i item) (bool, error) { return i.Answer != "2", nil })
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	header(&b, "accuracy")
	line(&b, "sage", got)
	want := `
| accuracy | arithmetic | facts | sequences | pronouns | misconceptions | operands:seen | operands:unseen | all |
|---|---|---|---|---|---|---|---|---|
| sage | 0.50 | 1.00 | – | – | – | 1.00 | 0.00 | 0.67 |
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEachKeepsTheFault(t *testing.T) {
	fault := errors.New("too long")
	_, err := each(make([]item, 200), func(item) (bool, error) { return false, fault })
	if !errors.Is(err, fault) {
		t.Errorf("got %v, want %v", err, fault)
	}
}

func TestRunRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, bad := write("good.jsonl", "{\"messages\":[]}\n"), write("bad.jsonl", "{}\n{\n")
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"unknown flag", []string{"-colour"}, 2, "-colour"},
		{"no items", []string{"-items", filepath.Join(dir, "none.jsonl")}, 1, "none.jsonl"},
		{"items that are no JSON", []string{"-items", bad}, 1, "bad.jsonl: line 2"},
		{"no such model", []string{"-items", good, "-models", dir, "-chat", "nobody"}, 1, "nobody"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			if code := run(test.args, &stdout, &stderr); code != test.code || !strings.Contains(stderr.String(), test.want) {
				t.Errorf("status %d, %q; want %d and %q", code, stderr.String(), test.code, test.want)
			}
		})
	}
}
