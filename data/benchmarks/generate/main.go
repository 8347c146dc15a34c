// Command generate writes small sets of the demo's world in the published formats of six public benchmarks.
//
// Flow in: a seed; flow out, below -out, for each benchmark a file of items and, where it has examples, one of those:
// ARC, HellaSwag, MMLU, WinoGrande and GSM8K as JSON lines with Hugging Face's columns, TruthfulQA as those and as the
// original CSV. A second run gives the same bytes. The facts are package world's, so that the demo models know some.
//
// It measures no model: that is profuser evaluate --task.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"

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
	if err := world.WriteAll(*out, files(*seed)); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// files makes all files, by name.
func files(seed int64) map[string][]byte {
	bySkill := map[string][]world.Item{}
	for _, i := range world.Items(world.Random(seed, "benchmarks"), perSkill, false) {
		if question(i) != "" {
			bySkill[i.Skill] = append(bySkill[i.Skill], i)
		}
	}
	out := map[string][]byte{}
	for _, set := range []struct {
		name, skill, few string
		row              func(n int, i world.Item) map[string]any
	}{
		{"arc_challenge", world.Facts, "train", arc},
		{"hellaswag", world.Sequences, "train", hellaSwag},
		{"winogrande", world.Pronouns, "train", winoGrande},
		{"gsm8k", world.Arithmetic, "train", gsm8k},
		{"truthfulqa", world.Misconceptions, "", truthfulQA},
	} {
		all := bySkill[set.skill]
		out[set.name+".jsonl"] = lines(all[:items], set.row)
		if set.few != "" {
			out[set.name+"."+set.few+".jsonl"] = lines(all[items:items+examples], set.row)
		}
	}
	out["mmlu.jsonl"], out["mmlu.dev.jsonl"] = mmluFiles(bySkill[world.Facts][items+examples:])
	out["truthfulqa.csv"] = truthfulCSV(bySkill[world.Misconceptions][:items])
	return out
}

// lines makes JSON lines.
func lines(all []world.Item, row func(n int, i world.Item) map[string]any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	for n, i := range all {
		if err := e.Encode(row(n, i)); err != nil {
			panic(err) // rows are made of strings and numbers
		}
	}
	return b.Bytes()
}
