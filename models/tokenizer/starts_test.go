package tokenizer

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func demoTokenizers(t *testing.T) map[string]*Tokenizer {
	t.Helper()
	out := map[string]*Tokenizer{}
	for _, name := range []string{"llama", "mpt"} {
		tok, err := Load(filepath.Join("..", "..", "data", "tokenizers", name))
		if err != nil {
			t.Fatal(err)
		}
		out[name] = tok
	}
	return out
}

// TestStartsOfAnyTokenisation: of the tokenizer's own they are the spans' starts; cut into bytes they are the places of the
// bytes.
func TestStartsOfAnyTokenisation(t *testing.T) {
	all := demoTokenizers(t)
	rapid.Check(t, func(t *rapid.T) {
		tok := all[rapid.SampledFrom([]string{"llama", "mpt"}).Draw(t, "tokenizer")]
		text := rapid.StringOf(rapid.SampledFrom([]rune("ab é\u0301e日\n\u1100\u1161\u212b"))).Draw(t, "text")
		ids, spans := tok.EncodeMidSpans(text)
		got, err := tok.Starts(text, ids)
		if err != nil {
			t.Fatal(err)
		}
		content, _ := tok.normalised(text)
		for i, start := range got {
			if int(start) < spans[i].Start || int(start) > spans[i].End || i > 0 && start < got[i-1] {
				t.Fatalf("starts %v, spans %v", got, spans)
			}
			if bytes.Equal(content, []byte(text)) && int(start) != spans[i].Start {
				t.Fatalf("starts %v, spans %v of a text that is as it is normalised", got, spans)
			}
		}
		var single []int32
		for _, b := range content {
			if id := tok.byteID(b); id >= 0 {
				single = append(single, id)
			}
		}
		if len(single) < len(content) {
			return // the demo's tokenizer has no token for some byte
		}
		lead := rapid.SliceOfN(rapid.Just(tok.byteID(' ')), 0, 2).Draw(t, "lead")
		got, err = tok.Starts(text, append(slices.Clone(lead), single...))
		if err != nil {
			t.Fatal(err)
		}
		for i, start := range got {
			if i < len(lead) && int(start) != i-len(lead) || start > int32(len(text)) || i > 0 && start < got[i-1] {
				t.Fatalf("starts %v after %d bytes of a template", got, len(lead))
			}
			if i >= len(lead) && bytes.Equal(content, []byte(text)) && int(start) != i-len(lead) {
				t.Fatalf("starts %v of single bytes", got)
			}
		}
	})
}

// TestStartsOfRealTokenizers: dummy prefixes, characters that NFC composes, tokens cut inside them.
func TestStartsOfRealTokenizers(t *testing.T) {
	vicuna, mpt := loadReal(t, "vicuna"), loadReal(t, "mptchat")
	pieces := func(tok *Tokenizer, tokens ...string) (ids []int32) {
		for _, s := range tokens {
			id, ok := tok.ID(s)
			if !ok {
				t.Fatalf("no token %q", s)
			}
			ids = append(ids, id)
		}
		return ids
	}
	for _, c := range []struct {
		name string
		tok  *Tokenizer
		text string
		ids  []int32
		want []int32
	}{
		{"dummy prefix", vicuna, "the end", pieces(vicuna, "▁the", "▁end"), []int32{-1, 3}},
		{"own token before", vicuna, "the", pieces(vicuna, "▁", "the"), []int32{-1, 0}},
		{"bytes", vicuna, "a\n", pieces(vicuna, "a", "<0x0A>"), []int32{0, 1}},
		{"special", vicuna, "a", pieces(vicuna, "a", "</s>"), []int32{0, 1}},
		{"composed", mpt, "ae\u0301b", pieces(mpt, "a", "Ã", "©", "b"), []int32{0, 1, 1, 4}},
		{"composed whole", mpt, "e\u0301", pieces(mpt, "Ã©"), []int32{0}},
		{"marker", vicuna, "a▁b", pieces(vicuna, "a", "▁b"), []int32{0, 1}},
		{"nothing", mpt, "", nil, []int32{}},
	} {
		got, err := c.tok.Starts(c.text, c.ids)
		if d := cmp.Diff(c.want, got); err != nil || d != "" {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, err, d)
		}
	}
	for _, c := range []struct {
		text string
		ids  []int32
	}{
		{"the end", pieces(vicuna, "▁the")},
		{"the", pieces(vicuna, "▁the", "▁end")},
		{"the", pieces(vicuna, "▁end", "▁the")},
		{"x", nil},
	} {
		if got, err := vicuna.Starts(c.text, c.ids); err == nil {
			t.Errorf("%q: tokens that do not spell it have starts %v", c.text, got)
		}
	}
}
