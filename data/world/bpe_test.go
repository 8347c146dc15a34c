package world

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/profuser/profuser/models/tokenizer"
)

func TestLearnMerges(t *testing.T) {
	tests := []struct {
		name  string
		words map[string]int
		n     int
		want  []string
	}{
		// The example of Sennrich et al. 2016, §3.2, with a mark at the end of each word; of equally frequent pairs it merges r· before er.
		{"low, lowest, newer, wider", map[string]int{"low·": 5, "lowest·": 2, "newer·": 6, "wider·": 3}, 4, []string{"e+r", "er+·", "l+o", "lo+w"}},
		{"most frequent first", map[string]int{"ab": 1, "bc": 3}, 1, []string{"b+c"}},
		{"smallest string of a tie", map[string]int{"cd": 2, "ab": 2}, 2, []string{"a+b", "c+d"}},
		{"merges build on merges", map[string]int{"aaaa": 1}, 3, []string{"a+a", "aa+aa"}},
		{"fewer than asked", map[string]int{"ab": 9}, 5, []string{"a+b"}},
		{"nothing to merge", map[string]int{"a": 9, "b": 9}, 5, nil},
		{"no words", nil, 5, nil},
		{"none wanted", map[string]int{"ab": 9}, 0, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, m := range learnMerges(test.words, func(w string) []string { return strings.Split(w, "") }, test.n) {
				got = append(got, m.left+"+"+m.right)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestCut(t *testing.T) {
	tests := []struct {
		text   string
		single bool
		want   []string
	}{
		{"", false, nil},
		{"Mia has 12 pens.", false, []string{"Mia", " has", " 12", " pens", "."}},
		{" Mia has 12 pens.", true, []string{" Mia", " has", " 1", "2", " pens", "."}},
		{"A) x", true, []string{"A", ")", " x"}},
		{"a  b", false, []string{"a", " ", " b"}},
		{"####5", false, []string{"####", "5"}},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, cut(test.text, test.single)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.text, diff)
		}
	}
}

func TestCutLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		if got := strings.Join(cut(text, rapid.Bool().Draw(t, "single")), ""); got != text {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

// TestTokenizersReadAnyText: what a tokenizer made of a few words cannot spell with merges, it spells with bytes.
func TestTokenizersReadAnyText(t *testing.T) {
	texts := []string{"Mia has 3 pens.", "Tom has 14 pens. How many pens?"}
	for name, made := range map[string]map[string]any{"llama": llamaTokenizer(texts), "mpt": byteLevelTokenizer(texts)} {
		data, err := json.Marshal(made)
		if err != nil {
			t.Fatal(err)
		}
		tok, err := tokenizer.Parse(data)
		if err != nil {
			t.Fatal(name, err)
		}
		for id, s := range specials {
			if got, ok := tok.ID(s); !ok || int(got) != id || !tok.Special(got) {
				t.Errorf("%s: %s has id %d, want special %d", name, s, got, id)
			}
		}
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				text := rapid.StringOf(rapid.RuneFrom([]rune("aMé日\n 7?"))).Draw(t, "text")
				if got := tok.Decode(tok.Encode(text), true); got != text {
					t.Fatalf("%q became %q", text, got)
				}
			})
		})
	}
}
