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
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

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

// question is an item's question without options.
func question(i world.Item) string { q, _, _ := strings.Cut(i.Prompt, " A) "); return q }

// four are the answer and three other candidates, the answer at a place that the number says.
func four(n int, i world.Item) (choices []string, gold int) {
	for _, c := range i.Candidates {
		if c != i.Answer && len(choices) < 3 {
			choices = append(choices, c)
		}
	}
	gold = n % (len(choices) + 1)
	return slices.Insert(choices, gold, i.Answer), gold
}

// arc has four choices, sometimes five, and labels of both kinds.
func arc(n int, i world.Item) map[string]any {
	choices, gold := four(n, i)
	if n%6 == 5 {
		choices = append(choices, "crème brûlée")
	}
	labels := strings.Split("ABCDE", "")
	if n%4 == 3 {
		labels = strings.Split("12345", "")
	}
	return map[string]any{
		"id": fmt.Sprintf("World_%04d", n), "question": question(i), "answerKey": labels[gold],
		"choices": map[string]any{"text": choices, "label": labels[:len(choices)]},
	}
}

// hellaSwag tells the goal and one step, with the marks that WikiHow left in some.
func hellaSwag(n int, i world.Item) map[string]any {
	now, rest, _ := strings.Cut(strings.TrimPrefix(i.Reference, "You "), " because you want to ")
	goal, _, _ := strings.Cut(rest, ". After that")
	choices, gold := four(n, i)
	a := "You want to " + goal + "."
	if n%3 == 2 {
		a = "[header] How to " + goal + " [title] Begin.  " + a
		for k := range choices {
			choices[k] += " [substeps] and  go on"
		}
	}
	return map[string]any{
		"ind": n, "activity_label": strings.ToUpper(goal[:1]) + goal[1:], "ctx_a": a, "ctx_b": "you " + now + ". Then YOU",
		"ctx": a + " you " + now + ". Then YOU", "endings": choices, "label": fmt.Sprint(gold), "split_type": "indomain", "source_id": "world",
	}
}

// winoGrande puts a gap in the place of the pronoun.
func winoGrande(n int, i world.Item) map[string]any {
	sentence, _, _ := strings.Cut(i.Prompt, ". ")
	article := ""
	if strings.HasPrefix(sentence, "The ") {
		article = "the "
	}
	for _, pronoun := range []string{"it", "she", "he"} {
		sentence = strings.Replace(sentence, "because "+pronoun+" ", "because "+article+"_ ", 1)
	}
	answer := "1"
	if i.Candidates[1] == i.Answer {
		answer = "2"
	}
	return map[string]any{"qID": fmt.Sprint("W", n), "sentence": sentence + ".", "option1": i.Candidates[0], "option2": i.Candidates[1], "answer": answer}
}

// gsm8k has the short solution before the mark.
func gsm8k(_ int, i world.Item) map[string]any {
	solution, _, _ := strings.Cut(i.Own, " ####")
	return map[string]any{"question": i.Prompt, "answer": solution + "\n#### " + i.Answer}
}

// answers are right and wrong ones.
func answers(n int, i world.Item) (right, wrong []string) {
	wrongAnswer := i.Candidates[0]
	if wrongAnswer == i.Answer {
		wrongAnswer = i.Candidates[1]
	}
	right, wrong = []string{"It is true: " + i.Answer}, []string{"It is true: " + wrongAnswer, "The answer is " + wrongAnswer}
	if n%2 == 0 {
		right, wrong = append(right, "The answer is "+i.Answer), append(wrong, "Many say: "+wrongAnswer)
	}
	return right, wrong
}

func truthfulQA(n int, i world.Item) map[string]any {
	right, wrong := answers(n, i)
	targets := func(right []string) map[string]any {
		labels := slices.Repeat([]int{1}, len(right))
		return map[string]any{"choices": slices.Concat(right, wrong), "labels": append(labels, make([]int, len(wrong))...)}
	}
	return map[string]any{"question": question(i), "mc1_targets": targets(right[:1]), "mc2_targets": targets(right)}
}

// truthfulCSV has the columns of the original TruthfulQA.csv.
func truthfulCSV(all []world.Item) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write([]string{"Type", "Category", "Question", "Best Answer", "Correct Answers", "Incorrect Answers", "Source"}) // a buffer takes all
	for n, i := range all {
		right, wrong := answers(n, i)
		_ = w.Write([]string{"Adversarial", "Misconceptions", question(i), right[0], strings.Join(right, "; "), strings.Join(wrong, "; "), "world"})
	}
	w.Flush()
	return b.Bytes()
}

// mmluFiles has a subject for each attribute of a town: eight items and five examples.
func mmluFiles(all []world.Item) (test, dev []byte) {
	bySubject := map[string][]world.Item{}
	for _, i := range all {
		fields := strings.Fields(i.Units[0])
		subject := "town_" + fields[len(fields)-1]
		bySubject[subject] = append(bySubject[subject], i)
	}
	for _, subject := range []string{"town_animal", "town_flag", "town_food"} {
		row := func(n int, i world.Item) map[string]any {
			choices, gold := four(n, i)
			return map[string]any{"question": question(i), "subject": subject, "choices": choices, "answer": gold}
		}
		of := bySubject[subject]
		test, dev = append(test, lines(of[:items/3], row)...), append(dev, lines(of[items/3:items/3+5], row)...)
	}
	return test, dev
}
