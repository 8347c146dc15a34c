package normalize

import "unicode/utf8"

// Positions maps byte positions of a rewritten string to the string it was made from: at[i] for position
// i, or i itself when at is nil; then the start is added, and the outer mapping applied. nil maps every
// position to itself.
type Positions struct {
	at    []int32
	start int
	outer *Positions
}

// At maps by a table, of which nil changes nothing, within outer.
func At(table []int32, outer *Positions) *Positions {
	if table == nil {
		return outer
	}
	return &Positions{at: table, outer: outer}
}

// From is the mapping of the part of a string that begins at start.
func From(start int, outer *Positions) *Positions {
	if start == 0 {
		return outer
	}
	return &Positions{start: start, outer: outer}
}

// Text is the position in the text that was given to the tokenizer.
func (p *Positions) Text(i int) int {
	for ; p != nil; p = p.outer {
		if p.at != nil {
			i = int(p.at[i])
		}
		i += p.start
	}
	return i
}

// Writer builds a string and, if asked to, the positions that its bytes come from.
type Writer struct {
	// Track is whether positions are kept.
	Track bool
	out   []byte
	at    []int32 // for every byte of out; Finish adds the end
}

// Add appends a string that stands for source[from:to].
func (w *Writer) Add(s string, from, to int) {
	w.out = append(w.out, s...)
	if w.Track {
		for i := range len(s) {
			w.at = append(w.at, int32(min(from+i, to)))
		}
	}
}

// Finish gives the string and the table of its positions, nil without Track; end is the source's length.
func (w *Writer) Finish(end int) (string, []int32) {
	if w.Track {
		w.at = append(w.at, int32(end))
	}
	return string(w.out), w.at
}

// Chained composes two tables: first outer, then inner, of which nil changes nothing. It may reuse inner.
func Chained(inner, outer []int32) []int32 {
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

// ValidUTF8 replaces every run of invalid bytes by U+FFFD.
func ValidUTF8(s string, track bool) (string, []int32) {
	if utf8.ValidString(s) {
		return s, nil
	}
	w := Writer{Track: track}
	for i := 0; i < len(s); {
		end := i
		for end < len(s) && !startsRune(s[end:]) {
			end++
		}
		if end > i {
			w.Add("\uFFFD", i, end)
			i = end
			continue
		}
		_, size := utf8.DecodeRuneInString(s[i:])
		w.Add(s[i:i+size], i, i+size)
		i += size
	}
	return w.Finish(len(s))
}

// startsRune says whether s begins with a valid UTF-8 sequence.
func startsRune(s string) bool {
	r, size := utf8.DecodeRuneInString(s)
	return r != utf8.RuneError || size > 1
}
