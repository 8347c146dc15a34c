// Command readme puts the demo's own results into README.md, so that the page shows what a run made and nothing else.
//
// Flow in: life-of-a-prompt.md, summary.json and steps/ of a finished run (-run); flow out: the README (-readme) with the
// text between each pair of marks, <!-- demo: NAME --> and <!-- end -->, replaced: life is the life of one prompt, result
// the table of models and of steps with date and processor count. It is run by `make readme` after `make demo`.
// It measures nothing and leaves the rest of the page as it is.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/profuser/profuser/internal/report"
)

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

// run executes one command line and returns the exit status.
func run(args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("readme", flag.ContinueOnError)
	flags.SetOutput(stderr)
	folder := flags.String("run", "out/demo", "folder of the finished run")
	file := flags.String("readme", "README.md", "page to change")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if err := rewrite(*folder, *file); err != nil {
		fmt.Fprintln(stderr, "readme:", err)
		return 1
	}
	return 0
}

// rewrite replaces the marked blocks of a page.
func rewrite(folder, file string) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	life, err := os.ReadFile(filepath.Join(folder, "life-of-a-prompt.md"))
	if err != nil {
		return fmt.Errorf("%w: make demo makes it", err)
	}
	_, life, ok := bytes.Cut(life, []byte("\n\n")) // the title is the page's own
	if !ok {
		return fmt.Errorf("%s/life-of-a-prompt.md is empty", folder)
	}
	result, err := resultOf(folder)
	if err != nil {
		return err
	}
	for _, block := range []struct {
		name string
		text []byte
	}{{"life", life}, {"result", result}} {
		if page, err = replace(page, block.name, block.text); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return os.WriteFile(file, page, 0o666)
}

// replace puts text between the marks of a block.
func replace(page []byte, name string, text []byte) ([]byte, error) {
	open, end := []byte("<!-- demo: "+name+" -->\n"), []byte("<!-- end -->\n")
	before, rest, ok := bytes.Cut(page, open)
	_, after, closed := bytes.Cut(rest, end)
	if !ok || !closed {
		return nil, fmt.Errorf("no block between %q and %q", open[:len(open)-1], end[:len(end)-1])
	}
	return slices.Concat(before, open, []byte("\n"), bytes.TrimSpace(text), []byte("\n\n"), end, after), nil
}

// resultOf writes the tables of a run.
func resultOf(folder string) ([]byte, error) {
	var s report.Summary
	if err := read(filepath.Join(folder, "summary.json"), &s); err != nil {
		return nil, err
	}
	var train struct{ Started string }
	if err := read(filepath.Join(folder, "steps", "train.json"), &train); err != nil {
		return nil, err
	}
	if len(s.Models) == 0 {
		return nil, fmt.Errorf("%s/summary.json has no models: the run is not finished", folder)
	}
	date, _, _ := strings.Cut(train.Started, "T")
	skills := slices.Sorted(maps.Keys(s.Models[0].BySkill))
	var b bytes.Buffer
	fmt.Fprintf(&b, "Made by `make demo && make readme` on %s, %d processors (%s/%s), %d held-out items:\n\n", date, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, s.Items)
	fmt.Fprintf(&b, "| model | role | nats per byte | accuracy | %s |\n|---|---|---|---|%s\n", strings.Join(skills, " | "), strings.Repeat("---|", len(skills)))
	for _, m := range s.Models {
		fmt.Fprintf(&b, "| %s | %s | %.4f | %.3f |", m.Name, m.Role, m.NatsPerByte, m.Accuracy)
		for _, skill := range skills {
			fmt.Fprintf(&b, " %.2f |", m.BySkill[skill])
		}
		fmt.Fprintln(&b)
	}
	fmt.Fprint(&b, "\n| step | seconds | peak memory | rows read |\n|---|---|---|---|\n")
	var seconds float64
	for _, step := range s.Steps {
		seconds += step.Seconds
		fmt.Fprintf(&b, "| %s | %.1f | %.0f MiB | %d |\n", step.Step, step.Seconds, float64(step.PeakBytes)/(1<<20), step.Rows)
	}
	fmt.Fprintf(&b, "| all | %.1f | | |\n", seconds)
	return b.Bytes(), nil
}

// read reads a JSON file.
func read(path string, value any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%w: make demo makes it", err)
	}
	if err := json.Unmarshal(data, value); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}
