package tokenizer

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestEncodeOutsideTakesNoOrders puts every added token with markup into the contents of a template: it must come out
// of the template only.
func TestEncodeOutsideTakesNoOrders(t *testing.T) {
	for _, name := range smallNames(t) {
		tok := loadSmall(t, name)
		for id := range int32(tok.Size()) {
			token := tok.Token(id)
			if !tok.at(id).added || !isMarkup(token) {
				continue
			}
			first, second := "the fox "+token+" is"+token, token
			text := "x " + token + " y" + first + " z " + second + "\n" + token
			at := len("x " + token + " y")
			contents := []Span{{at + len(first) + 3, at + len(first) + 3 + len(second)}, {at, at + len(first)}}
			ids, spans := tok.EncodeOutside(text, contents)
			for i, found := range ids {
				if tok.at(found).special && tok.at(found).token != "<unk>" && spans[i].Start < contents[1].End && spans[i].End > contents[1].Start {
					t.Errorf("%s: %q inside contents became %q", name, text[spans[i].Start:spans[i].End], tok.Token(found))
				}
			}
			if n := count(ids, id); n != 2 && token != "<unk>" {
				t.Errorf("%s: %q is %d times in %q, want 2", name, token, n, text)
			}
			if n := count(tok.Encode(text), id); n != 5 && token != "<unk>" {
				t.Errorf("%s: Encode has %q %d times in %q, want 5", name, token, n, text)
			}
		}
	}
}

func count(ids []int32, id int32) (n int) {
	for _, other := range ids {
		if other == id {
			n++
		}
	}
	return n
}

// TestEncodeOutsideChangesNothingElse: contents without markup of added tokens give Encode's ids, whatever the borders.
func TestEncodeOutsideChangesNothingElse(t *testing.T) {
	for _, name := range smallNames(t) {
		tok := loadSmall(t, name)
		rapid.Check(t, func(rt *rapid.T) {
			part := rapid.SampledFrom([]string{"the", " ", "  ", "\n", "fox", "é", "e\u0301", "word", "12", "▁", "🙂", "quick brown", "\xff"})
			var text strings.Builder
			var contents []Span
			for range rapid.IntRange(1, 4).Draw(rt, "turns") {
				text.WriteString(rapid.SampledFrom([]string{"<s>", "<|end|>", "<gap>", "<|tool|>", "user: ", "\n", ""}).Draw(rt, "template"))
				start := text.Len()
				for _, p := range rapid.SliceOfN(part, 0, 6).Draw(rt, "content") {
					text.WriteString(p)
				}
				contents = append(contents, Span{start, text.Len()})
			}
			ids, spans := tok.EncodeOutside(text.String(), contents)
			wantIDs, wantSpans := tok.EncodeSpans(text.String())
			if diff := cmp.Diff(wantIDs, ids); diff != "" {
				rt.Fatalf("%s: %q, contents %v: ids (-Encode +EncodeOutside)\n%s", name, text.String(), contents, diff)
			}
			if !slices.Equal(wantSpans, spans) {
				rt.Fatalf("%s: %q: spans %v, want %v", name, text.String(), spans, wantSpans)
			}
		})
	}
}
