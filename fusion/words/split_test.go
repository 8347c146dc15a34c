package words

import (
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

func TestSplit(t *testing.T) {
	if d := cmp.Diff([]string{"abc,", "我", "x", "ก", "ข"}, Split(" abc, 我x กข")); d != "" {
		t.Error(d)
	}
}

func TestComparable(t *testing.T) {
	for text, want := range map[string]string{
		"Don't — 3 + 4!":      "dont 3 4",
		"  ÄPFEL,\tBirnen\n":  "äpfel birnen",
		"$5 = “five” dollars": "5 five dollars",
		"2+2=4":               "224",
		"我吃，苹果":               "我 吃 苹 果",
		"... !":               "",
		"":                    "",
	} {
		if got := strings.Join(Comparable(text), " "); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// FuzzComparable: words have no white space and no punctuation, and cutting them again changes nothing.
func FuzzComparable(f *testing.F) {
	for _, text := range []string{"", "Don't stop", "我x กข", "a\u0301 İstanbul ẞ", "caf\xe9", "\u2028x\u00a0y"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words := Comparable(text)
		for _, w := range words {
			if w == "" || strings.ContainsFunc(w, func(r rune) bool {
				return unicode.IsSpace(r) || unicode.IsPunct(r) || unicode.IsSymbol(r) && r != unicode.ReplacementChar
			}) {
				t.Fatalf("word %q of %q", w, text)
			}
		}
		if d := cmp.Diff(words, Comparable(strings.Join(words, " "))); d != "" && strings.ToLower(strings.Join(words, " ")) == strings.Join(words, " ") {
			t.Fatalf("%q again:\n%s", text, d)
		}
	})
}
