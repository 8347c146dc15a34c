// Command generate writes small sets of the demo's world in the published formats of six public benchmarks.
//
// Flow in: a seed; flow out, below -out, for each benchmark a file of items and, where it has examples, one of those:
// ARC, HellaSwag, MMLU, WinoGrande and GSM8K as JSON lines with Hugging Face's columns, TruthfulQA as those and as the
// original CSV. A second run gives the same bytes. The facts are package world's, so that the demo models know some.
//
// It measures no model: that is profuser evaluate --task.
package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/profuser/profuser/data/benchmarks/quiz"
	"github.com/profuser/profuser/data/world"
)

const (
	items    = 24
	examples = 12
	// perSkill is how many items are drawn of each skill; the world has few more of some.
	perSkill = 120
)

func main() {
	seed := flag.Int64("seed", 1, "seed of everything")
	out := flag.String("out", "data/benchmarks", "folder of the files")
	flag.Parse()
	all, err := files(*seed)
	if err == nil {
		err = world.WriteAll(*out, all)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// files makes all files, by name.
func files(seed int64) (map[string][]byte, error) {
	bySkill := map[string][]world.Item{}
	drawn, err := world.Items(world.Random(seed, "benchmarks"), perSkill, false)
	if err != nil {
		return nil, err
	}
	for _, i := range drawn {
		bySkill[i.Skill] = append(bySkill[i.Skill], i)
	}
	out := map[string][]byte{}
	var failed error
	add := func(name, benchmark string, all []world.Item) {
		text, err := quiz.Lines(all, quiz.Rows[benchmark])
		out[name+".jsonl"], failed = append(out[name+".jsonl"], text...), errors.Join(failed, err)
	}
	for _, name := range []string{"arc_challenge", "hellaswag", "winogrande", "gsm8k"} {
		all := bySkill[quiz.Skills[name]]
		add(name, name, all[:items])
		add(name+".train", name, all[items:items+examples])
	}
	untruths := bySkill[world.Misconceptions][:items]
	add("truthfulqa", "truthfulqa", untruths)
	out["truthfulqa.csv"] = quiz.TruthfulCSV(untruths)
	bySubject := map[string][]world.Item{} // eight items and five examples each
	for _, i := range bySkill[world.Facts][items+examples:] {
		bySubject[quiz.Subject(i)] = append(bySubject[quiz.Subject(i)], i)
	}
	for _, subject := range slices.Sorted(maps.Keys(bySubject)) {
		add("mmlu", "mmlu", bySubject[subject][:items/3])
		add("mmlu.dev", "mmlu", bySubject[subject][items/3:items/3+5])
	}
	return out, failed
}
