package tokenizer

import (
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// offsets maps byte positions of a rewritten string to the string it was made from: at[i] for position
// i, or i itself when at is nil; then start is added, and the outer mapping applied.
type offsets struct {
	at    []int32
	start int
	outer *offsets
}

// text is the position in the text given to Encode.
func (o *offsets) text(i int) int {
	for ; o != nil; o = o.outer {
		if o.at != nil {
			i = int(o.at[i])
		}
		i += o.start
	}
	return i
}

// rewriter builds a string and, if asked to, the positions its bytes come from.
type rewriter struct {
	out   []byte
	at    []int32 // for every byte of out; finish adds the end
	track bool
}

// add appends a string that stands for source[from:to].
func (w *rewriter) add(s string, from, to int) {
	w.out = append(w.out, s...)
	if w.track {
		for i := range len(s) {
			w.at = append(w.at, int32(min(from+i, to)))
		}
	}
}

func (w *rewriter) finish(end int) (string, []int32) {
	if w.track {
		w.at = append(w.at, int32(end))
	}
	return string(w.out), w.at
}

// validUTF8 replaces every run of invalid bytes by U+FFFD.
func validUTF8(s string, track bool) (string, []int32) {
	if utf8.ValidString(s) {
		return s, nil
	}
	w := rewriter{track: track}
	for i := 0; i < len(s); {
		end := i
		for end < len(s) && !startsRune(s[end:]) {
			end++
		}
		if end > i {
			w.add("\uFFFD", i, end)
			i = end
			continue
		}
		_, size := utf8.DecodeRuneInString(s[i:])
		w.add(s[i:i+size], i, i+size)
		i += size
	}
	return w.finish(len(s))
}

// startsRune says whether s begins with a valid UTF-8 sequence.
func startsRune(s string) bool {
	r, size := utf8.DecodeRuneInString(s)
	return r != utf8.RuneError || size > 1
}

// apply normalises one stretch of text between added tokens. In the middle of a text (mid) no prefix
// is put in front. The positions are nil when nothing moved, or track is false.
func (n *normalizer) apply(s string, mid, track bool) (string, []int32) {
	if s == "" {
		return s, nil
	}
	var composed []int32
	if n.compose {
		s, composed = compose(s, track)
	}
	s, marked := addMarkers(s, n.prepend && !mid, n.replace, track)
	return s, chain(marked, composed)
}

// chain composes two position tables: first outer, then inner, of which nil changes nothing.
func chain(inner, outer []int32) []int32 {
	if inner == nil || outer == nil {
		if inner == nil {
			return outer
		}
		return inner
	}
	for i, at := range inner {
		inner[i] = outer[at]
	}
	return inner
}

// addMarkers puts a marker in front and replaces spaces by markers.
func addMarkers(s string, prefix, replace, track bool) (string, []int32) {
	replace = replace && strings.Contains(s, " ")
	if !track || !prefix && !replace {
		if replace {
			s = markSpaces(s)
		}
		if prefix {
			s = marker + s
		}
		return s, nil
	}
	w := rewriter{track: true}
	if prefix {
		w.add(marker, 0, 0)
	}
	for i := 0; i < len(s); i++ {
		if replace && s[i] == ' ' {
			w.add(marker, i, i+1)
		} else {
			w.add(s[i:i+1], i, i+1)
		}
	}
	return w.finish(len(s))
}

// compose is NFC, without the U+034F that golang.org/x/text puts after 30 combining marks in a row and
// the reference does not.
func compose(s string, track bool) (string, []int32) {
	if isASCII(s) || norm.NFC.IsNormalString(s) {
		return s, nil
	}
	w := rewriter{track: track}
	for start := 0; start < len(s); {
		end := nextComposition(s, start)
		part := s[start:end]
		w.add(composePart(part), start, end)
		start = end
	}
	return w.finish(len(s))
}

// nextComposition is the end of the shortest part of s from start on that composes independently.
func nextComposition(s string, start int) int {
	_, size := utf8.DecodeRuneInString(s[start:])
	for i := start + size; i < len(s); i += size {
		var r rune
		if r, size = utf8.DecodeRuneInString(s[i:]); r < utf8.RuneSelf {
			return i
		}
		if norm.NFC.PropertiesString(s[i:]).BoundaryBefore() {
			return i
		}
	}
	return len(s)
}

func composePart(s string) string {
	composed := norm.NFC.String(s)
	if strings.Count(composed, "\u034f") == strings.Count(s, "\u034f") {
		return composed
	}
	return recompose(decompose(s))
}

// combining is a code point with its canonical combining class.
type combining struct {
	r     rune
	class uint8
}

// decompose is the canonical decomposition in canonical order.
func decompose(s string) []combining {
	var all []combining
	for _, r := range s {
		for _, d := range norm.NFD.String(string(r)) {
			all = append(all, combining{d, norm.NFD.PropertiesString(string(d)).CCC()})
		}
	}
	for i := 0; i < len(all); {
		end := i
		for end < len(all) && all[end].class != 0 {
			end++
		}
		slices.SortStableFunc(all[i:end], func(a, b combining) int { return int(a.class) - int(b.class) })
		i = max(end, i+1)
	}
	return all
}

// recompose joins each mark with its starter where a composed character exists and nothing between
// them blocks it.
func recompose(all []combining) string {
	out := make([]rune, 0, len(all))
	starter, last := -1, -1
	for _, c := range all {
		if starter >= 0 && (last < int(c.class) || last == -1) {
			pair := []rune(norm.NFC.String(string([]rune{out[starter], c.r})))
			if len(pair) == 1 {
				out[starter] = pair[0]
				continue
			}
		}
		if c.class == 0 {
			starter, last = len(out), -1
		} else {
			last = int(c.class)
		}
		out = append(out, c.r)
	}
	return string(out)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
