// Package quiz writes items of the demo's world as rows of six public benchmarks, in the columns that are published.
//
// Flow in: an item of package world and its number in the file, which varies what published files vary: labels, marks, the
// number and order of choices; flow out: a row, as JSON lines have it. Task names are those of fusion/harness.
//
// It chooses no items and reads or writes no files.
package quiz

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/profuser/profuser/data/world"
)

// Question is an item's question without options.
func Question(i world.Item) string { q, _, _ := strings.Cut(i.Prompt, " A) "); return q }

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
		"id": fmt.Sprintf("World_%04d", n), "question": Question(i), "answerKey": labels[gold],
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
	return map[string]any{"question": Question(i), "mc1_targets": targets(right[:1]), "mc2_targets": targets(right)}
}

// TruthfulCSV has the columns of the original TruthfulQA.csv.
func TruthfulCSV(all []world.Item) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write([]string{"Type", "Category", "Question", "Best Answer", "Correct Answers", "Incorrect Answers", "Source"}) // a buffer takes all
	for n, i := range all {
		right, wrong := answers(n, i)
		_ = w.Write([]string{"Adversarial", "Misconceptions", Question(i), right[0], strings.Join(right, "; "), strings.Join(wrong, "; "), "world"})
	}
	w.Flush()
	return b.Bytes()
}

// Subject is the MMLU subject of a fact.
func Subject(i world.Item) string {
	fields := strings.Fields(i.Units[0])
	return "town_" + fields[len(fields)-1]
}

func mmlu(n int, i world.Item) map[string]any {
	choices, gold := four(n, i)
	return map[string]any{"question": Question(i), "subject": Subject(i), "choices": choices, "answer": gold}
}

// Row makes a row of an item.
type Row func(n int, i world.Item) map[string]any

// Rows are how each benchmark has an item.
var Rows = map[string]Row{
	"arc_challenge": arc, "gsm8k": gsm8k, "hellaswag": hellaSwag, "mmlu": mmlu, "truthfulqa": truthfulQA, "winogrande": winoGrande,
}

// Skills says which skill's items a benchmark asks.
var Skills = map[string]string{
	"arc_challenge": world.Facts, "gsm8k": world.Arithmetic, "hellaswag": world.Sequences, "mmlu": world.Facts, "truthfulqa": world.Misconceptions,
	"winogrande": world.Pronouns,
}

// Lines are JSON lines of items.
func Lines(all []world.Item, row Row) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	for n, i := range all {
		if err := e.Encode(row(n, i)); err != nil {
			return nil, fmt.Errorf("item %d: %w", n, err)
		}
	}
	return b.Bytes(), nil
}
