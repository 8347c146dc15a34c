// Package material makes the files of an experiment on the demo's world: prompts for fusing, held-out items, sets in the
// formats of six benchmarks, and the lessons that teach the demo's models those formats.
//
// Flow in: a seed, sizes and kinds of references; flow out: files by name, as bytes. The same seed gives the same bytes.
//
// Items for fusing are never held out, those for measuring always are; what is known and unknown to a model is package
// world's. Nothing is trained or measured here.
package material

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/profuser/profuser/data/benchmarks/quiz"
	"github.com/profuser/profuser/data/world"
	"github.com/profuser/profuser/fusion/harness"
	"github.com/profuser/profuser/schemas"
)

// Style is what prompts and their references are like.
type Style struct {
	// Wrong is the share of references with a wrong answer, of each skill.
	Wrong float64
	// Short says that references are in the models' own short style.
	Short bool
	// Formatted is the share of each skill's prompts that are asked as the benchmarks ask, with the benchmark's answer for
	// reference; HellaSwag's and TruthfulQA's are left out, whose sets have no wordings of their own.
	Formatted float64
}

// Prompts are perSkill conversations of each skill, drawn by the seed; which references are wrong is drawn too, whatever
// their style.
func Prompts(seed int64, perSkill int, of Style) ([]byte, error) {
	for _, share := range []float64{of.Wrong, of.Formatted} {
		if share < 0 || share > 1 {
			return nil, fmt.Errorf("prompts: a share is %v, want 0 to 1", share)
		}
	}
	var formatted [][]byte
	var items []world.Item
	wrong := map[string]bool{}
	for _, skill := range world.Skills {
		accept := func(i world.Item) bool { return !i.HeldOut() }
		all, err := world.Select(world.Random(seed, "prompts "+skill), skill, perSkill, accept, prompt)
		if err != nil {
			return nil, err
		}
		for _, k := range world.Random(seed, "wrong "+skill).Perm(len(all))[:int(of.Wrong*float64(len(all))+0.5)] {
			wrong[all[k].Prompt] = true
		}
		if asked[skill] != nil && skill != quiz.Skills["hellaswag"] {
			n := int(of.Formatted*float64(len(all)) + 0.5)
			for k, i := range all[:n] {
				line, err := formattedPrompt(world.Random(seed, "format "+i.Prompt), k, i)
				if err != nil {
					return nil, err
				}
				formatted = append(formatted, line)
			}
			all = all[n:]
		}
		items = append(items, all...)
	}
	plain := world.Prompts("p", items, func(i world.Item) string {
		switch {
		case of.Short && wrong[i.Prompt]:
			return i.WrongOwn
		case of.Short:
			return i.Own
		case wrong[i.Prompt]:
			return i.WrongReference
		}
		return i.Reference
	})
	return append(plain, bytes.Join(formatted, nil)...), nil
}

// formattedPrompt is an item as one of its skill's benchmarks asks it, a line of a prompt file.
func formattedPrompt(r *rand.Rand, k int, i world.Item) ([]byte, error) {
	of := asked[i.Skill]
	turns, err := Asked(of[r.IntN(len(of))], r.IntN(1000), i)
	if err != nil {
		return nil, err
	}
	last := len(turns) - 1
	line, err := json.Marshal(map[string]any{
		"id": fmt.Sprintf("f-%s-%04d", i.Skill, k+1), "messages": turns[:last], "reference": turns[last].Content, "tags": i.Tags(), "answer": i.Answer, "candidates": i.Candidates,
	})
	return append(line, '\n'), err
}

func prompt(i world.Item) string { return i.Prompt }

// HeldOut are perSkill items of each skill that no model was trained on; arithmetic has as many again with operands that
// no model has seen.
func HeldOut(seed int64, perSkill int) ([]byte, error) {
	var items []world.Item
	for _, skill := range world.Skills {
		for _, operands := range operandsOf(skill) {
			all, err := world.Select(world.Random(seed, "held out "+skill+operands), skill, perSkill, heldOut(operands), prompt)
			if err != nil {
				return nil, err
			}
			for k := range all {
				all[k].Skill = KindOf(skill, operands)
			}
			items = append(items, all...)
		}
	}
	return world.Prompts("h", items, world.Full), nil
}

// KindOf is the name of a kind of held-out items.
func KindOf(skill, operands string) string {
	if operands == "" {
		return skill
	}
	return skill + "-" + operands
}

// operandsOf are the kinds of operands that are asked apart.
func operandsOf(skill string) []string {
	if skill == world.Arithmetic {
		return []string{"seen", "unseen"}
	}
	return []string{""}
}

func heldOut(operands string) func(world.Item) bool {
	return func(i world.Item) bool { return i.HeldOut() && i.Operands == operands }
}

// Benchmarks are the sets' tasks, in the order of the paper's table.
var Benchmarks = []string{"mmlu", "hellaswag", "arc_challenge", "winogrande", "gsm8k", "truthfulqa"}

// Sets are files of at most n held-out items in the benchmarks' formats, by name; half of gsm8k has unseen operands. HellaSwag's
// format leaves one item a step of a procedure, so that there are no wordings to hold out: it has all steps, known or not.
func Sets(seed int64, n int) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, task := range Benchmarks {
		skill := quiz.Skills[task]
		var items []world.Item
		for _, operands := range operandsOf(skill) {
			accept, key, size := heldOut(operands), quiz.Question, n/len(operandsOf(skill))
			switch task {
			case "hellaswag":
				accept, key, size = func(world.Item) bool { return true }, func(i world.Item) string { return i.Units[0] }, min(n, steps)
			case "truthfulqa":
				size = min(n, errors)
			}
			all, err := world.Select(world.Random(seed, "set "+task+operands), skill, size, accept, key)
			if err != nil {
				return nil, fmt.Errorf("set %s: %w", task, err)
			}
			items = append(items, all...)
		}
		text, err := quiz.Lines(items, quiz.Rows[task])
		if err != nil {
			return nil, fmt.Errorf("set %s: %w", task, err)
		}
		out[task+".jsonl"] = text
	}
	return out, nil
}

// steps and errors are how many different items of HellaSwag's and TruthfulQA's format the world has at least.
const (
	steps  = 36
	errors = 40
)

// Lesson is a training text of n conversations for a model: half as in its own training, half as the benchmarks ask, of
// what its mixture teaches. fuller is the share of answers in the references' style.
func Lesson(seed int64, model string, n int, fuller float64) ([]byte, error) {
	mixture, ok := world.Mixtures[model]
	if !ok {
		return nil, fmt.Errorf("lesson: no mixture %q", model)
	}
	mixture.Fuller = fuller
	r := world.Random(seed, "lesson "+model)
	var b bytes.Buffer
	for k := range n {
		turns, err := conversation(r, mixture, k)
		if err != nil {
			return nil, err
		}
		line, err := json.Marshal(map[string]any{"messages": turns})
		if err != nil {
			return nil, err
		}
		b.Write(append(line, '\n'))
	}
	return b.Bytes(), nil
}

// conversation draws the k-th one.
func conversation(r *rand.Rand, m world.Mixture, k int) ([]turn, error) {
	if i, known := m.Item(r); k%2 == 1 && known && asked[i.Skill] != nil {
		of := asked[i.Skill]
		return Asked(of[r.IntN(len(of))], r.IntN(1000), i)
	}
	question, answer := m.Conversation(r)
	return []turn{{schemas.RoleUser, question}, {schemas.RoleAssistant, answer}}, nil
}

// asked are the benchmarks that ask about a skill. TruthfulQA's is left out: its six fixed examples make a long prompt, and
// the models choose well after it as they are.
var asked = func() map[string][]string {
	out := map[string][]string{}
	for _, task := range Benchmarks {
		if task != "truthfulqa" {
			out[quiz.Skills[task]] = append(out[quiz.Skills[task]], task)
		}
	}
	return out
}()

// turn is a message of a conversation.
type turn struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Asked is an item as a benchmark asks it by chat, with the right answer.
func Asked(benchmark string, n int, i world.Item) ([]turn, error) {
	task, err := harness.Named(benchmark)
	if err != nil {
		return nil, err
	}
	row, err := parsed(quiz.Rows[benchmark](n, i))
	if err != nil {
		return nil, err
	}
	d, err := task.Document(row)
	if err != nil {
		return nil, err
	}
	var turns []turn
	for _, m := range harness.Conversation(d, d.Gold, nil) {
		turns = append(turns, turn{m.Role, m.Content})
	}
	return append(turns, turn{schemas.RoleAssistant, strings.TrimSpace(d.Answers[d.Gold])}), nil
}

// parsed is a row as a file of JSON lines gives it.
func parsed(row map[string]any) (harness.Row, error) {
	data, err := json.Marshal(row)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var out harness.Row
	return out, d.Decode(&out)
}
