package pretokenize

import (
	"unicode"
	"unicode/utf8"
)

// cutter cuts text into pieces: next is the end of the piece that begins at s[start], and whether it is
// kept or thrown away. A piece is never empty.
type cutter interface {
	next(s string, start int) (end int, keep bool)
}

// scanner is a cutter that keeps everything.
type scanner func(s string, start int) int

func (f scanner) next(s string, start int) (end int, keep bool) { return f(s, start), true }

// isolated cuts out every character of a class; text between stays together.
type isolated func(r rune) bool

func (in isolated) next(s string, start int) (end int, keep bool) {
	r, size := utf8.DecodeRuneInString(s[start:])
	end = start + size
	if in(r) {
		return end, true
	}
	return runOf(s, end, in, false), true
}

// contiguous cuts where a run of the class begins or ends.
type contiguous func(r rune) bool

func (in contiguous) next(s string, start int) (end int, keep bool) {
	r, _ := utf8.DecodeRuneInString(s[start:])
	return runOf(s, start, in, in(r)), true
}

// removed throws characters of the class away.
type removed func(r rune) bool

func (in removed) next(s string, start int) (end int, keep bool) {
	r, _ := utf8.DecodeRuneInString(s[start:])
	inside := in(r)
	return runOf(s, start, in, inside), !inside
}

// runOf is the end of the characters from i on that are in the class, or that are not.
func runOf(s string, i int, in func(r rune) bool, inside bool) int {
	for i < len(s) {
		r, size := utf8.DecodeRuneInString(s[i:])
		if in(r) != inside {
			break
		}
		i += size
	}
	return i
}

// wordKind is what Whitespace and BertPreTokenizer distinguish.
type wordKind byte

const (
	inWord wordKind = iota
	mark
	blank
)

// words cuts text into runs of word characters and of marks, or single marks, without white space.
type words struct {
	ascii       [utf8.RuneSelf]wordKind
	kind        func(r rune) wordKind
	singleMarks bool
}

func newWords(kind func(r rune) wordKind, singleMarks bool) *words {
	w := &words{kind: kind, singleMarks: singleMarks}
	for r := range w.ascii {
		w.ascii[r] = kind(rune(r))
	}
	return w
}

func (w *words) next(s string, start int) (end int, keep bool) {
	kind, size := w.at(s, start)
	for end = start + size; end < len(s); end += size {
		if kind == mark && w.singleMarks {
			break
		}
		var other wordKind
		if other, size = w.at(s, end); other != kind {
			break
		}
	}
	return end, kind != blank
}

func (w *words) at(s string, i int) (wordKind, int) {
	if s[i] < utf8.RuneSelf {
		return w.ascii[s[i]], 1
	}
	r, size := utf8.DecodeRuneInString(s[i:])
	return w.kind(r), size
}

// whitespace is \w+|[^\w\s]+, with the \w of Unicode's regular expressions.
var whitespace = newWords(func(r rune) wordKind {
	switch {
	case isWord(r):
		return inWord
	case isSpace(r):
		return blank
	}
	return mark
}, false)

// bert cuts at white space, which goes, and around punctuation.
var bert = newWords(func(r rune) wordKind {
	switch {
	case isSpace(r):
		return blank
	case isPunctuation(r):
		return mark
	}
	return inWord
}, true)

// isWord is the \w of Unicode's regular expressions.
func isWord(r rune) bool {
	return unicode.In(r, unicode.L, unicode.Nd, unicode.M, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic, unicode.Join_Control)
}

// isPunctuation is punctuation, and all of ASCII that is neither letter nor digit nor white space.
func isPunctuation(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= '!' && r <= '/' || r >= ':' && r <= '@' || r >= '[' && r <= '`' || r >= '{' && r <= '~'
	}
	return (unicode.IsPunct(r) || r == 0x166D || r == 0x111C9) && !unicode.Is(newPunctuation, r)
}

// byteDigit is isNumber for a symbol of the byte-level alphabet: the bytes of ²³¹¼½¾ count.
func byteDigit(b byte) bool {
	return b >= '0' && b <= '9' || b == 0xB2 || b == 0xB3 || b == 0xB9 || b >= 0xBC && b <= 0xBE
}

// byteDigits cuts bytes where runs of digits begin or end, or around each digit.
type byteDigits struct{ individual bool }

func (c byteDigits) next(s string, start int) (end int, keep bool) {
	digit := byteDigit(s[start])
	for end = start + 1; end < len(s) && byteDigit(s[end]) == digit && !(digit && c.individual); end++ {
	}
	return end, true
}

// newPunctuation is punctuation of Go's Unicode 15 that the reference's older tables do not know: a fact
// found by asking it about every code point.
var newPunctuation = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x61D, 0x61D, 1},
		{0x9FD, 0x9FD, 1},
		{0xA76, 0xA76, 1},
		{0xC77, 0xC77, 1},
		{0xC84, 0xC84, 1},
		{0x1B7D, 0x1B7E, 1},
		{0x2E43, 0x2E4F, 1},
		{0x2E52, 0x2E5D, 1},
	},
	R32: []unicode.Range32{
		{0x10EAD, 0x10EAD, 1},
		{0x10F55, 0x10F59, 1},
		{0x10F86, 0x10F89, 1},
		{0x1144B, 0x1144F, 1},
		{0x1145A, 0x1145B, 1},
		{0x1145D, 0x1145D, 1},
		{0x11660, 0x1166C, 1},
		{0x116B9, 0x116B9, 1},
		{0x1183B, 0x1183B, 1},
		{0x11944, 0x11946, 1},
		{0x119E2, 0x119E2, 1},
		{0x11A3F, 0x11A46, 1},
		{0x11A9A, 0x11A9C, 1},
		{0x11A9E, 0x11AA2, 1},
		{0x11B00, 0x11B09, 1},
		{0x11C41, 0x11C45, 1},
		{0x11C70, 0x11C71, 1},
		{0x11EF7, 0x11EF8, 1},
		{0x11F43, 0x11F4F, 1},
		{0x11FFF, 0x11FFF, 1},
		{0x12FF1, 0x12FF2, 1},
		{0x16E97, 0x16E9A, 1},
		{0x16FE2, 0x16FE2, 1},
		{0x1E95E, 0x1E95F, 1},
	},
}
