package imported

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/inflight"
)

func prompt(external, text string) *schemas.Prompt {
	messages := []schemas.Message{{Role: schemas.RoleUser, Content: text}}
	return &schemas.Prompt{ID: schemas.PromptID(messages), ExternalID: external, Messages: messages}
}

func files(t *testing.T, contents ...string) (Files, error) {
	t.Helper()
	var paths []string
	for i, data := range contents {
		path := filepath.Join(t.TempDir(), fmt.Sprint(i, ".jsonl"))
		if err := os.WriteFile(path, []byte(data), 0o666); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return NewFiles(t.Context(), paths)
}

// TestLinesOfAPrompt: lines are found by id, by external id (a text or a number) and by messages, in any order and file.
func TestLinesOfAPrompt(t *testing.T) {
	p, other := prompt("7", "a?"), prompt("", "b?")
	f, err := files(t,
		`{"id": "`+p.ID+`", "text": "one"}`+"\n\n"+`{"messages": "b?", "text": "x"}`+"\n",
		`{"id": 7, "text": "three"}`+"\n"+`{"messages": [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "two"}]}`+"\n"+`{"id": "nobody"}`)
	if err != nil {
		t.Fatal(err)
	}
	x, err := f.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var open readers
	rows, where, err := x.lines(p, &open)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, r := range rows {
		got = append(got, *r.Text+" "+filepath.Base(where[i]))
	}
	if want := "one 0.jsonl:1, two 1.jsonl:2, three 1.jsonl:1"; strings.Join(got, ", ") != want {
		t.Errorf("%q, want %s", got, want)
	}
	if n, err := f.Matching(t.Context(), []schemas.Prompt{*p, *other}); n != 4 || err != nil {
		t.Errorf("%d of 5 lines match, %v", n, err)
	}
	if err := open.close(); err != nil {
		t.Error(err)
	}
}

// TestBadLines: a line that names no prompt ends the import with file and line.
func TestBadLines(t *testing.T) {
	for line, want := range map[string]string{
		`{"text": "x"}`:              "neither id nor messages",
		`{"id": [1], "text": "x"}`:   "id: is [1], want a text or a whole number",
		`{"id": 1.5}`:                "neither id nor messages",
		`{"messages": 3}`:            "messages: want a list of {role, content} or a text",
		`["id"]`:                     "want a JSON object",
		`{"id": "a"`:                 "want a JSON object",
		`{"id": "a", "score": "no"}`: "score",
		`{"text": "x", "messages": [{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`: "text: given twice",
	} {
		_, err := files(t, `{"id": "good"}`+"\n"+line)
		if err == nil || !strings.Contains(err.Error(), "0.jsonl:2: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
	if _, err := files(t, "\n"); err == nil {
		t.Error("a file without rows was accepted")
	}
}

// TestSamplesOfAPrompt: lines fill the samples in order or by number; what is missing, too much or wrong is a reject.
func TestSamplesOfAPrompt(t *testing.T) {
	p := prompt("", "a?")
	for lines, want := range map[string]string{
		`{"text":"a"}{"text":"b"}`:                           "0:a 1:b",
		`{"text":"a","sample":1}`:                            "missing 1:a",
		`{"text":"a"}{"text":"b"}{"text":"c"}`:               "0:a 1:b repeated",
		`{"text":"a","sample":1}{"text":"b","sample":1}`:     "missing 1:a repeated",
		`{"sample":0}{"text":"b","finish_reason":"tired"}`:   "malformed malformed",
		`{"text":"a","token_ids":[1]}{"text":"b","top_p":2}`: "malformed malformed",
		`{"text":"a","sample":-1}`:                           "missing missing repeated",
	} {
		f, err := files(t, strings.ReplaceAll(strings.ReplaceAll(lines, "}", "}\n"), "{", `{"messages":"a?",`))
		if err != nil {
			t.Fatal(err)
		}
		answers, err := ResponsesStep{Source: inflight.Model{Name: "s"}, Files: f, Samples: 2}.answers(t.Context(), []schemas.Prompt{*p})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range answers {
			if a.reject != nil {
				got = append(got, a.reject.Code)
			} else {
				got = append(got, fmt.Sprint(a.row.Sample, ":", a.row.Text))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %s", lines, got, want)
		}
	}
}

// FuzzParse: no line crashes; one that is taken names its prompt.
func FuzzParse(f *testing.F) {
	for _, line := range []string{`{"id":"a","text":"b"}`, `{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]}`, `{"id":1e300}`, `{"id":null,"messages":"x","token_ids":[1,null]}`, `null`} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, key, err := parse(line)
		if (err == nil) == (key == "") {
			t.Fatalf("key %q, error %v", key, err)
		}
		if err == nil {
			_, _ = r.generation(strings.Repeat("0", 32), "s", 0) // a fault is fine
		}
	})
}
