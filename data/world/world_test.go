package world

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/profuser/profuser/fusion/benchmark"
)

// TestItem draws one item of a skill from a stated stream of random numbers and shows all of it.
func TestItem(t *testing.T) {
	datadriven.RunTest(t, "testdata/items", func(t *testing.T, d *datadriven.TestData) string {
		var stream uint64
		d.ScanArgs(t, "stream", &stream)
		if draw[d.Cmd] == nil {
			t.Fatalf("%s: no skill %q", d.Pos, d.Cmd)
		}
		i := draw[d.Cmd](rand.New(rand.NewPCG(1, stream)))
		var b strings.Builder
		for _, field := range []struct {
			name  string
			value any
		}{
			{"prompt", i.Prompt},
			{"own", i.Own},
			{"reference", i.Reference},
			{"wrong own", i.WrongOwn},
			{"wrong reference", i.WrongReference},
			{"answer", i.Answer},
			{"candidates", strings.Join(i.Candidates, ", ")},
			{"units", strings.Join(i.Units, ", ")},
			{"tags", strings.Join(i.Tags(), ", ")},
			{"held out", i.HeldOut()},
		} {
			fmt.Fprintf(&b, "%-17s%v\n", field.name+":", field.value)
		}
		return b.String()
	})
}

// drawn is any item of any skill.
func drawn(t *rapid.T) Item {
	skill := rapid.SampledFrom(Skills).Draw(t, "skill")
	return draw[skill](rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)))
}

// TestAnswersAreMarkedAsTheyAreMeant: right answers in both styles are right, wrong ones wrong.
func TestAnswersAreMarkedAsTheyAreMeant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		skill := rapid.SampledFrom(Skills).Draw(t, "skill")
		for range 100 {
			i := draw[skill](r)
			for text, want := range map[string]bool{i.Own: true, i.Reference: true, i.WrongOwn: false, i.WrongReference: false} {
				if got := benchmark.Correct(text, i.Answer, i.Candidates); got != want {
					t.Fatalf("%q is marked %v, want %v, for answer %q of %q to %q", text, got, want, i.Answer, i.Candidates, i.Prompt)
				}
			}
			if len(i.Reference) <= len(i.Own) {
				t.Fatalf("reference %q is not fuller than %q", i.Reference, i.Own)
			}
		}
	})
}

func TestItemIsComplete(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		i := drawn(t)
		if i.Candidates != nil && !slices.Contains(i.Candidates, i.Answer) {
			t.Fatalf("answer %q is not a candidate of %q", i.Answer, i.Candidates)
		}
		if (i.Skill == Arithmetic) != (i.Candidates == nil) || (i.Skill == Arithmetic) != (i.Operands != "") {
			t.Fatalf("only arithmetic has operands and no candidates: %+v", i)
		}
		if len(i.Units) == 0 || i.Wording == "" || i.Tags()[0] != i.Skill {
			t.Fatalf("want units of knowledge, a wording and the skill as first tag: %+v", i)
		}
		// No placeholder is left, nothing that JSON, HTML or a template would change.
		for _, text := range []string{i.Prompt, i.Own, i.Reference, i.WrongOwn, i.WrongReference} {
			if text == "" || text != strings.TrimSpace(text) || strings.ContainsAny(text, "%<>&{}\n\"") || strings.Contains(text, "  ") {
				t.Fatalf("text %q", text)
			}
		}
	})
}

func TestNumbersStaySmall(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom(problems).Draw(t, "problem")
		steps := p.steps(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)))
		for k, s := range steps {
			if s.result() < 1 || s.result() > 40 {
				t.Fatalf("%s: %s = %d, want 1 to 40", p.kind, s, s.result())
			}
			if k > 0 && s.a != steps[k-1].result() {
				t.Fatalf("%s: step %s does not go on from %s", p.kind, s, steps[k-1])
			}
		}
		if len(steps) != len(p.tell) {
			t.Fatalf("%s: %d steps, %d clauses", p.kind, len(steps), len(p.tell))
		}
	})
}

func TestItems(t *testing.T) {
	for _, heldOut := range []bool{false, true} {
		t.Run(fmt.Sprint("held out ", heldOut), func(t *testing.T) {
			const n = 40
			items := mustItems(t, Random(7, "test"), n, heldOut)
			count, prompts := map[string]int{}, map[string]bool{}
			for k, i := range items {
				if want := Skills[k%len(Skills)]; i.Skill != want {
					t.Fatalf("item %d is of skill %s, want %s: skills take turns", k, i.Skill, want)
				}
				for _, tag := range i.Tags() {
					count[tag]++
				}
				if i.HeldOut() != heldOut || prompts[i.Prompt] {
					t.Errorf("%q is drawn twice or not from its set", i.Prompt)
				}
				prompts[i.Prompt] = true
			}
			for _, s := range Skills {
				if count[s] != n {
					t.Errorf("%d items of %s, want %d", count[s], s, n)
				}
			}
			want := 0
			if heldOut {
				want = n / 4
			}
			if got := count["operands:unseen"]; got != want || count["operands:seen"] != n-want {
				t.Errorf("%d arithmetic items on unseen operands, want %d", got, want)
			}
		})
	}
}

// TestHeldOutIsDecidedByWording: two items of one wording are both held out or neither, so none leaks into training
// with its options in another order.
func TestHeldOutIsDecidedByWording(t *testing.T) {
	heldOut := map[string]bool{}
	count := map[string][2]int{}
	r := Random(1, "test")
	for range 4000 {
		for _, skill := range Skills {
			i := draw[skill](r)
			key := i.Skill + i.Operands + i.Wording
			if was, seen := heldOut[key]; seen && was != i.HeldOut() {
				t.Fatalf("wording %q is held out once, once not", i.Wording)
			}
			heldOut[key] = i.HeldOut()
			c := count[skill]
			if i.HeldOut() {
				c[0]++
			}
			c[1]++
			count[skill] = c
		}
	}
	for skill, c := range count {
		if s := float64(c[0]) / float64(c[1]); s < 0.12 || s > 0.35 {
			t.Errorf("%.2f of %s is held out, want about a fifth", s, skill)
		}
	}
}

// TestQuestionsHaveOneAnswer: no two items ask the same thing and want different answers.
func TestQuestionsHaveOneAnswer(t *testing.T) {
	answers := map[string]string{}
	r := Random(2, "test")
	for range 4000 {
		for _, skill := range Skills {
			i := draw[skill](r)
			if a, seen := answers[i.Prompt]; seen && a != i.Answer {
				t.Fatalf("%q is answered by %q and by %q", i.Prompt, a, i.Answer)
			}
			answers[i.Prompt] = i.Answer
		}
	}
}

func TestVocabularyIsDistinct(t *testing.T) {
	lists := map[string][]string{"people": people, "objects": objects, "towns": towns, "things": things, "containers": containers}
	for _, a := range attributes {
		lists[a.name] = a.values
	}
	for _, p := range procedures {
		lists[p[0]] = p[1:]
	}
	for _, m := range misconceptions {
		lists[m[0]] = m[1:]
	}
	for _, p := range patterns {
		lists[p.text] = slices.Concat(p.first, p.other)
	}
	for name, list := range lists {
		sorted := slices.Sorted(slices.Values(list))
		if n := len(slices.Compact(sorted)); n != len(list) {
			t.Errorf("%s: %d of %d words are repeated in %q", name, len(list)-n, len(list), list)
		}
	}
}

// readRows reads a committed set back.
func readRows(t *testing.T, data []byte) []row {
	t.Helper()
	var out []row
	for line := range strings.Lines(string(data)) {
		var r row
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&r); err != nil {
			t.Fatalf("line %d: %v", len(out)+1, err)
		}
		out = append(out, r)
	}
	return out
}

// mustItems is Items, which must not fail.
func mustItems(t *testing.T, r *rand.Rand, n int, heldOut bool) []Item {
	t.Helper()
	items, err := Items(r, n, heldOut)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// TestTooMany: asking for more items than there are is an error, not an endless search.
func TestTooMany(t *testing.T) {
	if _, err := Items(Random(1, "test"), 500, true); err == nil || !strings.Contains(err.Error(), "500 are asked for") {
		t.Errorf("error is %v, want how many are asked for", err)
	}
}
