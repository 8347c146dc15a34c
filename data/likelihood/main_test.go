package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/profuser/profuser/models/engine"
)

var shared = filepath.Join("..", "..", "..", "shared")

// TestTally: a demo model's opinion of its own kind of answer, in Vicuna's tokens: all of its likelihood is there with
// all entries, less than all is listed with ten.
func TestTally(t *testing.T) {
	file := filepath.Join(shared, "tokenizers", "vicuna.json.gz")
	if _, err := os.Stat(file); err != nil {
		t.Skip("needs ../shared with the tokenizer of Vicuna")
	}
	e, err := engine.Open(filepath.Join("..", "models", "sage"), engine.Options{BatchRows: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	one, err := newTally(e.Format(), file, "vicuna")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []problem{{"Tell me the animal of Tirnik.", "It is the frog."}, {"What is 12 plus 30?", "The answer is 42.\n"}} {
		r, err := read(t.Context(), e, p, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := one.add(r); err != nil {
			t.Fatal(err)
		}
	}
	if ratio := one.nats / one.sourceNats; ratio < 0.995 || ratio > 1+1e-5 {
		t.Errorf("%v of the likelihood is kept", ratio)
	}
	if one.status[0] > 0 || one.positions < 10 || one.status[1]+one.status[2]+one.status[3] != one.positions {
		t.Errorf("statuses %v of %d positions", one.status, one.positions)
	}
	var out bytes.Buffer
	if err := writeTable(&out, []*tally{one}); err != nil || strings.Count(out.String(), "\n") != 3 || !strings.Contains(out.String(), "| vicuna ") {
		t.Errorf("%v, table\n%s", err, &out)
	}
}

func TestFaults(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(nil, &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), "-model: ") {
		t.Errorf("status %d, %s", code, &stderr)
	}
	if code := run([]string{"-nothing"}, &stdout, &stderr); code != 2 {
		t.Errorf("status %d for an unknown flag", code)
	}
	if _, err := readProblems("nothing", 1); err == nil {
		t.Error("a file that is not there was read")
	}
}
