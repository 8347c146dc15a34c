package normalize

import (
	"strings"
	"unicode/utf8"

	"github.com/profuser/profuser/models/tokenizer/component"
)

// SentencePieceOptions are the switches of SentencePiece's own normaliser.
type SentencePieceOptions struct {
	// Charsmap is the table of replacements, of which the longest match counts; nil for none.
	Charsmap *Charsmap
	// Fixed are strings that are never rewritten.
	Fixed []string
	// Prefix puts a space in front of a text that is not empty.
	Prefix bool
	// RemoveExtra keeps one space of a run and none at the ends.
	RemoveExtra bool
	// Escape makes markers of spaces.
	Escape bool
}

// SentencePiece is the normaliser of a tokenizer.model.
//
// Source: Kudo and Richardson 2018, and the documentation of normalizer_spec in the file format.
func SentencePiece(o SentencePieceOptions) *Chain {
	n := &sentencePiece{SentencePieceOptions: o, space: " "}
	if o.Escape {
		n.space = component.Marker
	}
	for _, s := range o.Fixed {
		n.fixed[s[0]] = append(n.fixed[s[0]], s)
	}
	c := &Chain{}
	c.steps = []chained{{
		func(s string, track bool) (string, []int32) { return n.apply(s, o.Prefix, track) },
		func(s string, track bool) (string, []int32) { return n.apply(s, false, track) },
	}}
	return c
}

type sentencePiece struct {
	SentencePieceOptions
	space string
	fixed [256][]string // by first byte
}

func (n *sentencePiece) apply(s string, prefix, track bool) (string, []int32) {
	w := Writer{Track: track, out: make([]byte, 0, len(s)+len(s)/4+len(n.space))}
	i := 0
	for n.RemoveExtra && i < len(s) {
		text, size := n.next(s[i:])
		if text != " " {
			break
		}
		i += size
	}
	if i == len(s) {
		return w.Finish(len(s))
	}
	if prefix {
		w.Add(n.space, i, i)
	}
	afterSpace := n.RemoveExtra
	for i < len(s) {
		text, size := n.next(s[i:])
		for afterSpace && strings.HasPrefix(text, " ") {
			text = text[1:]
		}
		n.write(&w, text, i, i+size)
		i += size
		if text != "" {
			afterSpace = n.RemoveExtra && text[len(text)-1] == ' '
		}
	}
	for n.RemoveExtra && strings.HasSuffix(string(w.out[max(0, len(w.out)-len(n.space)):]), n.space) {
		w.out = w.out[:len(w.out)-len(n.space)]
		if track {
			w.at = w.at[:len(w.out)]
		}
	}
	return w.Finish(len(s))
}

// write appends a replacement of source[from:to] with its spaces escaped.
func (n *sentencePiece) write(w *Writer, text string, from, to int) {
	if n.Escape && strings.Contains(text, " ") {
		text = strings.ReplaceAll(text, " ", component.Marker)
	}
	w.Add(text, from, to)
}

// next is what the text begins with: a fixed string, a replacement or a character; size is what it takes.
func (n *sentencePiece) next(s string) (text string, size int) {
	for _, fixed := range n.fixed[s[0]] {
		if len(fixed) > size && strings.HasPrefix(s, fixed) {
			text, size = fixed, len(fixed)
		}
	}
	if size > 0 {
		return text, size
	}
	if n.Charsmap != nil {
		if text, size = n.Charsmap.Longest(s); size > 0 {
			return text, size
		}
	}
	_, size = utf8.DecodeRuneInString(s)
	return s[:size], size
}
