package design

import (
	"strings"
	"testing"
)

const small = `
seeds: [1]
items_seed: 7
prompts_per_skill: 8
held_out_per_skill: 4
set_items: 6
jobs: 2
lesson: {conversations: 200, tokens: 6000, learning_rate: 1e-3}
models: {target: {path: data/models/target, mixture: target, fuller: 0.4}}
sources: [target]
configuration: "sources: [reckoner]"
sections:
  - name: main
    title: A
    target: target
    rows:
      - {name: target, model: target}
      - {name: SFT, set: [preset=sft]}
  - {name: more, title: B, target: target, rows: [{name: SFT, set: [preset=sft]}]}
questions:
  - {text: better?, row: main/SFT, against: main/target}
  - {text: pooled?, row: SFT, against: SFT, over: [main, more]}
  - {text: same?, row: main/SFT, against: more/SFT}
quick: {seeds: [3], prompts_per_skill: 2, held_out_per_skill: 2, set_items: 3, lesson_tokens: 10, sections: [main]}
`

func TestParse(t *testing.T) {
	d, err := Parse([]byte(small), false)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Sections) != 2 || len(d.Questions) != 3 || d.Lesson.Tokens != 6000 || d.Sections[0].Rows[1].Set[0] != "preset=sft" {
		t.Errorf("read %+v", d)
	}
	q, err := Parse([]byte(small), true)
	if err != nil {
		t.Fatal(err)
	}
	if len(q.Sections) != 1 || len(q.Questions) != 1 || q.Seeds[0] != 3 || q.Prompts != 2 || q.Lesson.Tokens != 10 {
		t.Errorf("the quick one is %+v", q)
	}
}

func TestFaults(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"seeds: [1]", "seeds: []", "seeds: is empty"},
		{"sources: [target]\n", "sources: [nobody]\n", `sources: "nobody" is no name of models`},
		{"jobs: 2", "jobs: 0", "jobs: is 0, want 1 or more"},
		{"mixture: target", "mixture: nobody", `models.target.mixture: is "nobody"`},
		{"title: A\n    target: target", "title: A\n    target: other", `section main: target is "other"`},
		{"{name: target, model: target}", "{name: target, model: none}", `row target: model is "none"`},
		{"{name: target, model: target}", "{name: target, model: target, merge: x}", "one of set, model, merge"},
		{"{name: SFT, set: [preset=sft]}\n  -", "{name: target, set: [preset=sft]}\n  -", "a name of its own"},
		{"row: main/SFT, against: main/target", "row: main/no, against: main/target", `"main/no" is no section/row`},
		{"over: [main, more]", "over: [main, none]", `"none/SFT" is no section/row`},
		{"name: more", "name: main", "there twice"},
		{"jobs: 2", "job: 2", "job"},
	} {
		text := strings.Replace(small, c.from, c.to, 1)
		if text == small {
			t.Fatalf("%q is not in the text", c.from)
		}
		if _, err := Parse([]byte(text), false); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error is %v, want %q", c.to, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(small), true)
	f.Fuzz(func(_ *testing.T, data []byte, quick bool) { _, _ = Parse(data, quick) })
}
