package material

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/data/benchmarks/quiz"
	"github.com/profuser/profuser/data/world"
)

type line struct {
	Messages   []turn
	Reference  string
	Tags       []string
	Answer     string
	Candidates []string
}

func read(t *testing.T, data []byte) (all []line) {
	t.Helper()
	for text := range bytes.Lines(data) {
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

func prompts(t *testing.T, seed int64, of Style) []line {
	t.Helper()
	data, err := Prompts(seed, 40, of)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, data)
}

// TestPrompts: a seed decides prompts, references decide references alone, and a quarter of each skill's can be wrong.
func TestPrompts(t *testing.T) {
	right, wrong, short := prompts(t, 1, Style{}), prompts(t, 1, Style{Wrong: 0.25}), prompts(t, 1, Style{Short: true})
	if d := cmp.Diff(right, prompts(t, 1, Style{})); d != "" {
		t.Errorf("a second run differs: %s", d)
	}
	if cmp.Equal(right, prompts(t, 2, Style{})) {
		t.Error("seeds 1 and 2 have the same prompts")
	}
	changed, seen := map[string]int{}, map[string]int{}
	for k, r := range right {
		seen[r.Tags[0]]++
		if !cmp.Equal(r.Messages, wrong[k].Messages) || !cmp.Equal(r.Messages, short[k].Messages) || r.Answer != wrong[k].Answer {
			t.Fatalf("prompt %d differs with other references", k)
		}
		if r.Reference != wrong[k].Reference {
			changed[r.Tags[0]]++
		}
		if len(short[k].Reference) >= len(r.Reference) {
			t.Errorf("short reference %q is not shorter than %q", short[k].Reference, r.Reference)
		}
	}
	for _, skill := range world.Skills {
		if seen[skill] != 40 || changed[skill] != 10 {
			t.Errorf("%s: %d prompts, %d of them with other references; want 40 and 10", skill, seen[skill], changed[skill])
		}
	}
}

// TestFormatted: a share of the prompts is asked as benchmarks ask, the others are as they were.
func TestFormatted(t *testing.T) {
	plain, mixed := prompts(t, 1, Style{}), prompts(t, 1, Style{Formatted: 0.5})
	if len(mixed) != len(plain) {
		t.Fatalf("%d prompts, want %d", len(mixed), len(plain))
	}
	known, formatted := map[string]bool{}, map[string]int{}
	for _, p := range plain {
		known[p.Messages[0].Content] = true
	}
	for _, p := range mixed {
		if !known[p.Messages[0].Content] {
			formatted[p.Tags[0]]++
			if p.Reference == "" || p.Messages[len(p.Messages)-1].Role != "user" {
				t.Errorf("formatted prompt %+v", p)
			}
		}
	}
	if d := cmp.Diff(map[string]int{"arithmetic": 20, "facts": 20, "pronouns": 20}, formatted); d != "" {
		t.Error(d)
	}
}

// TestHeldOutApart: no prompt of any seed is a held-out item.
func TestHeldOutApart(t *testing.T) {
	data, err := HeldOut(7, 30)
	if err != nil {
		t.Fatal(err)
	}
	held, kinds := map[string]bool{}, map[string]int{}
	for _, l := range read(t, data) {
		held[l.Messages[0].Content] = true
		kinds[l.Tags[0]]++
	}
	want := map[string]int{"arithmetic-seen": 30, "arithmetic-unseen": 30, "facts": 30, "sequences": 30, "pronouns": 30, "misconceptions": 30}
	if d := cmp.Diff(want, kinds); d != "" {
		t.Error(d)
	}
	for seed := range int64(3) {
		for _, l := range prompts(t, seed, Style{}) {
			if held[l.Messages[0].Content] {
				t.Errorf("seed %d fuses on a held-out item: %s", seed, l.Messages[0].Content)
			}
		}
	}
}

func TestTooMany(t *testing.T) {
	if _, err := world.Select(world.Random(7, "test"), world.Pronouns, 100, heldOut("unseen"), prompt); err == nil || !strings.Contains(err.Error(), "the world has about 0 items") {
		t.Errorf("error is %v, want how many there are", err)
	}
	if _, err := Prompts(1, 10, Style{Wrong: 2}); err == nil || !strings.Contains(err.Error(), "0 to 1") {
		t.Errorf("error is %v, want the range", err)
	}
	if _, err := Lesson(1, "nobody", 10, 0.5); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("error is %v, want the name", err)
	}
}

// TestSets: every set has its size, and every row is one that its benchmark reads.
func TestSets(t *testing.T) {
	sets, err := Sets(7, 20)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Benchmarks {
		if n := bytes.Count(sets[name+".jsonl"], []byte("\n")); n != 20 {
			t.Errorf("%s has %d items, want 20", name, n)
		}
	}
	for _, skill := range world.Skills {
		for _, benchmark := range asked[skill] {
			items, err := world.Items(world.Random(3, "test"), 1, false)
			if err != nil {
				t.Fatal(err)
			}
			for _, item := range items {
				if item.Skill != skill {
					continue
				}
				turns, err := Asked(benchmark, 1, item)
				if err != nil || len(turns) < 2 || turns[len(turns)-1].Content == "" {
					t.Errorf("%s: %v, %v", benchmark, turns, err)
				}
			}
		}
	}
}

// TestLesson: half are as benchmarks ask, and what the model is not to know is taught in neither half.
func TestLesson(t *testing.T) {
	data, err := Lesson(7, "sage", 400, 1)
	if err != nil {
		t.Fatal(err)
	}
	formatted, full := 0, 0
	for _, l := range read(t, data) {
		text := l.Messages[len(l.Messages)-2].Content
		if strings.HasSuffix(text, "\nAnswer:") {
			formatted++
		}
		if strings.Contains(l.Messages[len(l.Messages)-1].Content, "So the answer is") {
			full++
		}
	}
	if formatted < 80 || full < 100 {
		t.Errorf("%d conversations end as a benchmark's question, %d answers are in the fuller style; want more", formatted, full)
	}
	m := world.Mixtures["sage"]
	r := world.Random(7, "known")
	for range 500 {
		if i, known := m.Item(r); known != m.Knows(i) || (!known && i.Skill != world.Misconceptions) || i.HeldOut() {
			t.Fatalf("the mixture teaches %v", i)
		}
	}
	if quiz.Skills["mmlu"] != world.Facts {
		t.Error("mmlu does not ask facts")
	}
}
