package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/trainer/trainertest"
)

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	testscript.Main(m, map[string]func(){
		"profuser-trainer": func() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the command lines of testdata/script. Each starts with what world writes.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: func(e *testscript.Env) error { return world(e.WorkDir) },
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"sameweights": sameWeights,
			"notimes":     noTimes,
			"edit":        edit,
			"cut":         cut,
		},
	})
}

// world writes tokenizer/, llama.json, mpt.json, talk.jsonl, pairs.jsonl, target/ (a model), fusion.yaml, and a fusion
// dataset under out/.
func world(dir string) error {
	tokenizer, target := filepath.Join(dir, "tokenizer"), filepath.Join(dir, "target")
	for _, d := range []string{tokenizer, target} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
		if err := trainertest.WriteTokenizer(d); err != nil {
			return err
		}
	}
	var talk, pairs strings.Builder
	for i := range 40 {
		a, b := i%7, i%5
		question := fmt.Sprintf(`{"role":"user","content":"%d and %d?"}`, a, b)
		fmt.Fprintf(&talk, `{"messages":[%s,{"role":"assistant","content":"%d."}]}`+"\n", question, a+b)
		fmt.Fprintf(&pairs, `{"messages":[%s],"chosen":"%d.","rejected":"%d?"}`+"\n", question, a+b, a+b+1)
	}
	for name, text := range map[string]string{
		"llama.json": trainertest.Llama, "mpt.json": trainertest.MPT, "talk.jsonl": talk.String(), "pairs.jsonl": pairs.String(),
		"prompts.jsonl": `{"messages":[{"role":"user","content":"x"}]}` + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	config, err := decoder.ParseConfig([]byte(trainertest.Llama))
	if err != nil {
		return err
	}
	store, err := decoder.InitStore(config, 1)
	if err != nil {
		return err
	}
	if err := decoder.SaveStore(store, config, target, "float32"); err != nil {
		return err
	}
	format, err := chat.Load(target, chat.Options{})
	if err != nil {
		return err
	}
	ctx := context.Background()
	data, err := dataset.OpenStore(ctx, filepath.Join(dir, "out"))
	if err != nil {
		return err
	}
	return trainertest.WriteFusion(ctx, data, format, 24)
}

// sameWeights compares the weights of two model directories byte for byte.
func sameWeights(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: sameweights DIR DIR")
	}
	a, b := ts.ReadFile(args[0]+"/model.safetensors"), ts.ReadFile(args[1]+"/model.safetensors")
	if (a == b) == neg {
		ts.Fatalf("weights of %s and %s: equal is %v", args[0], args[1], a == b)
	}
}

// noTimes writes a metrics file without its times to another.
func noTimes(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: notimes METRICS OUT")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), times.ReplaceAll([]byte(ts.ReadFile(args[0])), nil), 0o644))
}

// edit replaces what a regular expression matches in a file: edit FILE PATTERN NEW.
func edit(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: edit FILE PATTERN NEW")
	}
	text := ts.ReadFile(args[0])
	changed := regexp.MustCompile(args[1]).ReplaceAllString(text, args[2])
	if changed == text {
		ts.Fatalf("nothing in %s matches %s", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(changed), 0o644))
}

// cut keeps the first bytes of a file: cut FILE BYTES.
func cut(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: cut FILE BYTES")
	}
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), n))
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
		if !strings.Contains(all.String(), "\nprofuser-trainer "+c.Name()) {
			t.Errorf("no script runs profuser-trainer %s", c.Name())
		}
	}
}
