package benchmark

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/profuser/profuser/schemas"
	"pgregory.net/rapid"
)

func TestCorrect(t *testing.T) {
	cities := []string{"Oslo", "New Oslo", "Bergen"}
	tests := []struct {
		name       string
		text       string
		answer     string
		candidates []string
		want       bool
	}{
		{"number", "3 + 4 = 7\n#### 7", "7", nil, true},
		{"number, white space", "so\n####7 \n", " 7", nil, true},
		{"another number", "#### 17", "7", nil, false},
		{"last mark counts", "#### 5\nno: #### 7", "7", nil, true},
		{"mark missing", "The answer is 7", "7", nil, false},
		{"words after it", "#### 7 apples", "7", nil, false},
		{"five marks", "##### 7", "7", nil, true},
		{"empty text", "", "7", nil, false},
		{"nothing after the mark", "####", "7", nil, false},

		{"choice", "It is Bergen.", "Bergen", cities, true},
		{"choice, any case", "it is BERGEN", "Bergen", cities, true},
		{"other choice", "It is Oslo.", "Bergen", cities, false},
		{"last choice counts", "Not Oslo but Bergen", "Bergen", cities, true},
		{"last choice counts, wrong", "Bergen? No, Oslo", "Bergen", cities, false},
		{"longest of one end", "It is New Oslo!", "New Oslo", cities, true},
		{"shorter one is not meant", "It is New Oslo!", "Oslo", cities, false},
		{"part of a word", "The Bergens are rich", "Bergen", cities, false},
		{"no candidate named", "I do not know", "Bergen", cities, false},
		{"empty text, candidates", "", "Bergen", cities, false},
		{"letters of multiple choice", "The answer is (B).", "B", []string{"A", "B", "C"}, true},
		{"yes and no", "No, that is a myth.", "no", []string{"yes", "no"}, true},
		{"apostrophes", "It was ‘the farmer’s wife’", "the farmer's wife", []string{"the farmer", "the farmer's wife"}, true},
		{"candidates hold numbers", "it is 14", "4", []string{"4", "5"}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Correct(test.text, test.answer, test.candidates); got != test.want {
				t.Errorf("Correct(%q, %q, %q) = %v", test.text, test.answer, test.candidates, got)
			}
		})
	}
}

func TestFromPrompt(t *testing.T) {
	prompt := schemas.Prompt{ID: "0123", Tags: []string{"facts", "short"}, Meta: `{"answer":"Oslo","candidates":["Bergen","Oslo"],"more":1}`}
	item, err := FromPrompt(prompt)
	if err != nil {
		t.Fatal(err)
	}
	want := Item{Prompt: prompt, Answer: "Oslo", Candidates: []string{"Bergen", "Oslo"}}
	if diff := cmp.Diff(want, item); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if item.Skill() != "facts" || (Item{}).Skill() != "" || !item.Correct("Oslo!") || item.Correct("Bergen") {
		t.Error("skill or verdict is wrong")
	}
	if item, err = FromPrompt(schemas.Prompt{Meta: `{"answer":"7","candidates":null}`}); err != nil || item.Candidates != nil {
		t.Errorf("got %v, %v", item, err)
	}
}

func TestFromPromptRefuses(t *testing.T) {
	tests := []struct{ name, meta, want string }{
		{"no meta", "", "prompt 77: meta is empty"},
		{"no JSON", "{", "prompt 77: meta:"},
		{"no answer", "{}", "meta has no answer"},
		{"blank answer", `{"answer":" "}`, "meta has no answer"},
		{"number", `{"answer":7}`, "meta:"},
		{"not a candidate", `{"answer":"x","candidates":["y"]}`, "want one of the candidates"},
		{"candidate without words", `{"answer":"y","candidates":["y","--"]}`, "meta.candidates[1]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := FromPrompt(schemas.Prompt{ID: "77", Meta: test.meta}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestReferenceIsCorrect(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := rapid.String().Draw(t, "before")
		answer := rapid.StringMatching(`-?[0-9]{1,6}`).Draw(t, "answer")
		if !Correct(before+" #### "+answer+"\n", answer, nil) {
			t.Fatal("a worked solution is wrong")
		}
		candidates := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,3}( [a-z]{1,3})?`), 2, 5, strings.ToLower).Draw(t, "candidates")
		if !Correct(before+" ... "+candidates[0], candidates[0], candidates[:1]) {
			t.Fatal("the only candidate is wrong")
		}
		right := 0
		for _, candidate := range candidates {
			if Correct(before+" | "+candidates[1], candidate, candidates) {
				right++
			}
		}
		if right != 1 {
			t.Fatalf("%d candidates are right", right)
		}
	})
}

// TestFinalAnswer: the key of meta first, then GSM8K's mark in the reference.
func TestFinalAnswer(t *testing.T) {
	worked, plain := "48 + 24 = 72\n#### 72", "seventy-two"
	for _, c := range []struct {
		meta      string
		reference *string
		answer    string
		ok        bool
	}{
		{"", &worked, "72", true},
		{`{"answer":"7"}`, &worked, "7", true},
		{`{"answer":"fox","candidates":["fox","owl"]}`, nil, "fox", true},
		{`{"source":"web"}`, &worked, "72", true},
		{"", &plain, "", false},
		{"", nil, "", false},
	} {
		item, ok := FinalAnswer(schemas.Prompt{Meta: c.meta, Reference: c.reference})
		if ok != c.ok || item.Answer != c.answer {
			t.Errorf("meta %q: %q, %v", c.meta, item.Answer, ok)
		}
	}
}
