// Command likelihood measures what exact alignment keeps of a real model's opinion: `make likelihood`.
//
// With -model DIR, a model that runs in process, and -shared DIR, the real tokenizers and problems, it lets the model read
// the answers of some problems, with all entries of its distributions or so many, and aligns them to the tokens of other vocabularies: once with
// all entries and once with the ten most probable ones. It prints a table with a line for each target: how the positions
// lie, how much of the likelihood is kept, and how far the listed probabilities are off when only ten entries are stored.
//
// An answer is read in its conversation, after the question and before end-of-turn, as the pipeline reads references.
// Nothing is written besides the table.
package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/profuser/profuser/models/engine"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("likelihood", flag.ContinueOnError)
	flags.SetOutput(stderr)
	model := flags.String("model", "", "the source's directory")
	shared := flags.String("shared", filepath.Join("..", "shared"), "folder with tokenizers/ and data/")
	entries := flags.Int("entries", 0, "how many entries of a distribution count as all of it; 0: the whole vocabulary")
	texts := flags.Int("texts", 100, "how many problems to read")
	targets := flags.String("targets", "vicuna,mptchat", "tokenizers to align to, by the names of their files")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := measure(ctx, *model, *shared, strings.Split(*targets, ","), *texts, *entries, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "likelihood:", err)
		return 1
	}
	return 0
}

func measure(ctx context.Context, model, shared string, targets []string, n, entries int, stdout, progress io.Writer) (err error) {
	if model == "" {
		return errors.New("-model: a model's directory is needed, such as the one that shared/tools/smollm2.py writes")
	}
	problems, err := readProblems(filepath.Join(shared, "data", "gsm8k_train_2000.jsonl.gz"), n)
	if err != nil {
		return err
	}
	e, err := engine.Open(model, engine.Options{BatchRows: 1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	tallies := make([]*tally, len(targets))
	for k, name := range targets {
		if tallies[k], err = newTally(e.Format(), filepath.Join(shared, "tokenizers", name+".json.gz"), name); err != nil {
			return err
		}
	}
	for i, problem := range problems {
		t, err := read(ctx, e, problem, entries)
		if err != nil {
			return fmt.Errorf("text %d: %w", i+1, err)
		}
		for _, tally := range tallies {
			if err := tally.add(t); err != nil {
				return fmt.Errorf("text %d, %s: %w", i+1, tally.name, err)
			}
		}
		fmt.Fprintf(progress, "\r%d of %d texts", i+1, len(problems))
	}
	fmt.Fprintln(progress)
	return writeTable(stdout, tallies)
}

// problem is a question with its answer.
type problem struct {
	Question string `json:"question"`
	Answer   string `json:"answer"`
}

// readProblems gives the first n of a file.
func readProblems(name string, n int) (problems []problem, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(plain)
	for len(problems) < n && lines.Scan() {
		var p problem
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		problems = append(problems, p)
	}
	return problems, lines.Err()
}
