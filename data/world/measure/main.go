// Command measure prints how able the demo models are: accuracy by skill, pair accuracy by skill.
//
// Chat models answer the held-out items greedily and are marked as `profuser evaluate` marks them; reward models score
// the right and the wrong answer of held-out pairs. In: model directories, the item file, files of pairs; out: two
// Markdown tables on standard output. It is part of `make demo-models` and used nowhere else.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/profuser/profuser/fusion/benchmark"
	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/models/engine"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("measure", flag.ContinueOnError)
	flags.SetOutput(stderr)
	models := flags.String("models", "data/models", "folder of the models")
	items := flags.String("items", "data/heldout.jsonl", "held-out items")
	chat := flags.String("chat", "base,target,reckoner,sage", "chat models; empty: none")
	judges := flags.String("judges", "judge-a,judge-b,judge-c", "reward models")
	pairs := flags.String("pairs", "", "folder with <judge>-heldout.jsonl; empty: no reward models")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	var err error
	if *chat != "" {
		err = answers(stdout, *models, strings.Split(*chat, ","), *items)
	}
	if err == nil && *pairs != "" {
		err = rewards(stdout, *models, strings.Split(*judges, ","), *pairs)
	}
	if err != nil {
		fmt.Fprintln(stderr, "measure:", err)
		return 1
	}
	return 0
}

func answers(w io.Writer, dir string, names []string, path string) error {
	items, err := readItems(path)
	if err != nil {
		return err
	}
	header(w, "accuracy")
	for _, name := range names {
		m, err := engine.Open(filepath.Join(dir, name), engine.Options{})
		if err != nil {
			return err
		}
		t, err := each(items, func(i item) (bool, error) {
			prompt, err := m.Format().Prompt(i.Messages)
			if err != nil {
				return false, err
			}
			r, err := m.Generate(context.Background(), engine.GenerateRequest{PromptIDs: prompt, MaxTokens: 80, Truncate: dist.Truncate{Mass: 0.9, TopK: 1}})
			if err != nil {
				return false, err
			}
			text, _, _ := m.Format().Answer(r.IDs)
			if os.Getenv("SHOW") != "" {
				fmt.Fprintf(os.Stderr, "%s\t%v\t%s\t→ %s\n", name, benchmark.Correct(text, i.Answer, i.Candidates), i.Messages[0].Content, text)
			}
			return benchmark.Correct(text, i.Answer, i.Candidates), nil
		})
		if err != nil {
			return err
		}
		line(w, name, t)
		if err := m.Close(); err != nil {
			return err
		}
	}
	return nil
}

func rewards(w io.Writer, dir string, names []string, pairs string) error {
	header(w, "pair accuracy")
	for _, name := range names {
		items, err := readItems(filepath.Join(pairs, name+"-heldout.jsonl"))
		if err != nil {
			return err
		}
		m, err := engine.Open(filepath.Join(dir, name), engine.Options{})
		if err != nil {
			return err
		}
		score := func(i item, text string) (float64, error) {
			ids, err := m.Format().Conversation(i.Messages, text)
			if err != nil {
				return 0, err
			}
			return m.Reward(context.Background(), ids)
		}
		t, err := each(items, func(i item) (bool, error) {
			good, err := score(i, i.Chosen)
			if err != nil {
				return false, err
			}
			bad, err := score(i, i.Rejected)
			return good > bad, err
		})
		if err != nil {
			return err
		}
		line(w, name, t)
		if err := m.Close(); err != nil {
			return err
		}
	}
	return nil
}
