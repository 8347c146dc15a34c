package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"profuser": func() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the command lines of testdata/script on the demo's models. Each starts with what world writes.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: func(e *testscript.Env) error { return world(e.WorkDir, root) },
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"samedata": sameData,
			"edit":     edit,
			"cut":      cut,
			"appendto": appendTo,
		},
	})
}

// prompts and items of each script.
const prompts, items = 12, 6

// world writes models/ and tokenizers/ (links to the demo's models and to models/tokenizer/testdata), prompts.jsonl and
// items.jsonl (the demo's, every so many lines), and fusion.yaml.
func world(dir, root string) error {
	for name, to := range map[string]string{"models": "data/models", "tokenizers": "models/tokenizer/testdata"} {
		if err := os.Symlink(filepath.Join(root, to), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	for name, from := range map[string]struct {
		path string
		n    int
	}{"prompts.jsonl": {"data/prompts.jsonl", prompts}, "items.jsonl": {"data/heldout.jsonl", items}} {
		data, err := os.ReadFile(filepath.Join(root, from.path))
		if err != nil {
			return err
		}
		lines := bytes.SplitAfter(data, []byte("\n"))
		lines = lines[:len(lines)-1]
		var some []byte
		for i := range from.n {
			some = append(some, lines[i*len(lines)/from.n]...)
		}
		if err := os.WriteFile(filepath.Join(dir, name), some, 0o666); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "fusion.yaml"), []byte(configuration), 0o666)
}

const configuration = `version: 1
out: out
prompts: {files: [prompts.jsonl], part_rows: 5}
models:
  - {name: target, path: models/target}
  - {name: sage, path: models/sage}
  - {name: judge-a, path: models/judge-a}
  - {name: judge-b, path: models/judge-b}
target: {model: target}
sources: [sage]
generate: {temperature: 0.5, max_new_tokens: 24}
reward: {models: [judge-a, judge-b]}
advantage: {inference: {filters: {unfinished: false}}}
evaluate: {files: [items.jsonl], max_new_tokens: 16}
`

// sameData compares all parts of two output folders, byte for byte.
func sameData(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: samedata OUT OUT")
	}
	files := func(dir string) map[string]string {
		all := map[string]string{}
		ts.Check(filepath.WalkDir(ts.MkAbs(dir), func(path string, d os.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".parquet" {
				return err
			}
			data, err := os.ReadFile(path)
			name, _ := filepath.Rel(ts.MkAbs(dir), path)
			all[name] = string(data)
			return err
		}))
		return all
	}
	a, b := files(args[0]), files(args[1])
	var differ []string
	for name, data := range a {
		if b[name] != data {
			differ = append(differ, name)
		}
	}
	if len(a) == 0 {
		ts.Fatalf("%s has no parts", args[0])
	}
	if (len(differ) == 0 && len(a) == len(b)) == neg {
		ts.Fatalf("%s has %d parts, %s has %d, of other content are %v", args[0], len(a), args[1], len(b), differ)
	}
}

// appendTo adds a file to another: appendto FILE MORE.
func appendTo(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: appendto FILE MORE")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(ts.ReadFile(args[0])+ts.ReadFile(args[1])), 0o666))
}

// edit replaces text in a file: edit FILE OLD NEW.
func edit(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: edit FILE OLD NEW")
	}
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s does not contain %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(text, args[1], args[2])), 0o666))
}

// cut copies a model's directory and breaks it: cut FROM TO [FILE BYTES], without FILE only the copy is made; BYTES -1
// leaves the file out.
func cut(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 && len(args) != 4 {
		ts.Fatalf("usage: cut FROM TO [FILE BYTES]")
	}
	from, to := ts.MkAbs(args[0]), ts.MkAbs(args[1])
	entries, err := os.ReadDir(from)
	ts.Check(err)
	ts.Check(os.MkdirAll(to, 0o777))
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		ts.Check(err)
		if len(args) == 4 && args[2] == e.Name() {
			var n int
			_, err := fmt.Sscan(args[3], &n)
			ts.Check(err)
			if n < 0 {
				continue
			}
			data = data[:n]
		}
		ts.Check(os.WriteFile(filepath.Join(to, e.Name()), data, 0o666))
	}
}

// TestCommandsAreScripted: every subcommand stands in a script.
func TestCommandsAreScripted(t *testing.T) {
	paths, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	var ran bool
	for _, c := range newRoot(&ran).Commands() {
		if !strings.Contains(all.String(), "\nprofuser "+c.Name()) {
			t.Errorf("no script runs profuser %s", c.Name())
		}
	}
}

// TestDemoConfiguration: the prompts of the demo are rows of the form that the README shows.
func TestDemoConfiguration(t *testing.T) {
	data, err := os.ReadFile("../../data/prompts.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range bytes.Lines(data) {
		var row struct {
			Messages  []struct{ Role, Content string }
			Reference string
		}
		if err := json.Unmarshal(line, &row); err != nil || len(row.Messages) == 0 || row.Reference == "" {
			t.Fatalf("line %d: %v %+v", n+1, err, row)
		}
		n++
	}
	if n != 600 {
		t.Errorf("%d prompts, want 600", n)
	}
}
