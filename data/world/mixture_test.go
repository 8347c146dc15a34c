package world

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/profuser/profuser/fusion/benchmark"
)

func TestSharesSumToOne(t *testing.T) {
	shares := map[string]map[string]float64{}
	for name, m := range Mixtures {
		shares[name] = map[string]float64{}
		for skill, l := range m.Lessons {
			shares[name][skill] = l.Share
		}
	}
	maps.Copy(shares, Judges)
	for name, s := range shares {
		sum := 0.0
		for skill, x := range s {
			if !slices.Contains(Skills, skill) || x <= 0 {
				t.Errorf("%s: skill %q has share %g", name, skill, x)
			}
			sum += x
		}
		if math.Abs(sum-1) > 1e-9 || len(s) != len(Skills) {
			t.Errorf("%s: %d skills, shares sum to %g, want %d and 1", name, len(s), sum, len(Skills))
		}
	}
}

// TestKnown shows what share of the held-out items each model was ever taught the answer of: what it can at most know
// without guessing.
func TestKnown(t *testing.T) {
	heldOut := mustItems(t, Random(1, "held out"), heldOutPerSkill, true)
	datadriven.RunTest(t, "testdata/known", func(t *testing.T, d *datadriven.TestData) string {
		var b strings.Builder
		fmt.Fprintf(&b, "%-10s", "")
		for _, s := range Skills {
			fmt.Fprintf(&b, "%16s", s)
		}
		for _, name := range sortedKeys(Mixtures) {
			known, all := map[string]int{}, map[string]int{}
			for _, i := range heldOut {
				all[i.Skill]++
				if Mixtures[name].Knows(i) {
					known[i.Skill]++
				}
			}
			fmt.Fprintf(&b, "\n%-10s", name)
			for _, s := range Skills {
				fmt.Fprintf(&b, "%16.2f", float64(known[s])/float64(all[s]))
			}
		}
		return b.String() + "\n"
	})
}

// TestEverySkillHasATeacher: one source was taught all of it, and the target lacks some.
func TestEverySkillHasATeacher(t *testing.T) {
	for _, skill := range Skills {
		best := max(Mixtures["reckoner"].Lessons[skill].Known, Mixtures["sage"].Lessons[skill].Known)
		target := Mixtures["target"].Lessons[skill].Known
		if best != 1 || target < 0.3 || target > 0.7 {
			t.Errorf("%s: a source knows %g, want all; the target %g, want a middling share", skill, best, target)
		}
	}
}

// itemsByPrompt finds what a prompt was made from.
func itemsByPrompt(n int) map[string]Item {
	out := map[string]Item{}
	r := Random(3, "lookup")
	for range n {
		for _, s := range Skills {
			i := draw[s](r)
			out[i.Prompt] = i
		}
	}
	return out
}

func TestConversationTeachesOnlyWhatIsKnown(t *testing.T) {
	items := itemsByPrompt(8000)
	heldOut := map[string]bool{}
	for _, i := range mustItems(t, Random(1, "held out"), heldOutPerSkill, true) {
		heldOut[i.Prompt] = true
	}
	for _, name := range sortedKeys(Mixtures) {
		t.Run(name, func(t *testing.T) {
			m, found, fuller := Mixtures[name], 0, 0
			count := map[string]int{}
			const n = 4000
			r := Random(4, name)
			for range n {
				prompt, answer := m.Conversation(r)
				if heldOut[prompt] {
					t.Fatalf("%q is in heldout.jsonl", prompt)
				}
				i, ok := items[prompt]
				if !ok {
					continue // arithmetic has too many wordings to find all
				}
				found++
				count[i.Skill]++
				right := benchmark.Correct(answer, i.Answer, i.Candidates)
				switch {
				case i.HeldOut():
					t.Fatalf("%q is held out", prompt)
				case !m.Knows(i) && i.Skill != Misconceptions:
					t.Fatalf("%q is not for %s to know", prompt, name)
				case right != m.Knows(i):
					t.Fatalf("%q is answered by %q: right %v, known %v", prompt, answer, right, m.Knows(i))
				}
				if answer == i.Reference || answer == i.WrongReference {
					fuller++
				}
			}
			if got := float64(fuller) / float64(found); math.Abs(got-m.Fuller) > 0.05 {
				t.Errorf("%.2f of the answers are in the fuller style, want %.2f", got, m.Fuller)
			}
			// All prompts of this skill are found.
			if got, want := float64(count[Misconceptions])/n, m.Lessons[Misconceptions].Share; math.Abs(got-want) > 0.03 {
				t.Errorf("misconceptions are %.2f of the conversations, want %.2f", got, want)
			}
		})
	}
}

func TestPreference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		judge := rapid.SampledFrom(sortedKeys(Judges)).Draw(t, "judge")
		heldOut := rapid.Bool().Draw(t, "held out")
		p := Preference(Random(rapid.Int64().Draw(t, "seed"), judge), judge, heldOut)
		i := p.Item
		if i.HeldOut() != heldOut {
			t.Fatalf("%q is of the wrong set", i.Prompt)
		}
		if !benchmark.Correct(p.Chosen, i.Answer, i.Candidates) || benchmark.Correct(p.Rejected, i.Answer, i.Candidates) {
			t.Fatalf("%q: chosen %q, rejected %q, answer %q", i.Prompt, p.Chosen, p.Rejected, i.Answer)
		}
	})
}

func TestJudgesSeeDifferentPairs(t *testing.T) {
	texts := Training(1, 0, 50, 50)
	seen := map[string]string{}
	for _, judge := range sortedKeys(Judges) {
		pairs := string(texts[judge+".jsonl"])
		if n := strings.Count(pairs, "\n"); n != 50 {
			t.Errorf("%s learns from %d pairs, want 50", judge, n)
		}
		if twin := seen[pairs]; twin != "" {
			t.Errorf("%s and %s learn from the same pairs", judge, twin)
		}
		seen[pairs] = judge
	}
}

func TestTrainingIsAFunctionOfTheSeed(t *testing.T) {
	one, two, other := Training(1, 20, 20, 20), Training(1, 20, 20, 20), Training(2, 20, 20, 20)
	for _, name := range sortedKeys(one) {
		if string(one[name]) != string(two[name]) {
			t.Errorf("%s differs from run to run", name)
		}
		if string(one[name]) == string(other[name]) {
			t.Errorf("%s does not depend on the seed", name)
		}
	}
	if len(one) != len(Mixtures)+2*len(Judges) {
		t.Errorf("%d files, want one a chat model and two a judge", len(one))
	}
}
