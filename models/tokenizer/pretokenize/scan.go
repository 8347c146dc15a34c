package pretokenize

import (
	"unicode"
	"unicode/utf8"
)

// class is what the patterns distinguish: \p{L}, \p{N}, \s, the rest.
type class byte

const (
	other class = iota
	letter
	number
	space
)

var asciiClasses = func() (classes [utf8.RuneSelf]class) {
	for r := range classes {
		classes[r] = classOf(rune(r))
	}
	return classes
}()

func classOf(r rune) class {
	switch {
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	case isSpace(r):
		return space
	}
	return other
}

// classAt is the class of the character at s[i:] and its size in bytes; other and 0 at the end.
func classAt(s string, i int) (class, int) {
	if i >= len(s) {
		return other, 0
	}
	if s[i] < utf8.RuneSelf {
		return asciiClasses[s[i]], 1
	}
	r, size := utf8.DecodeRuneInString(s[i:])
	return classOf(r), size
}

// run is the end of the characters of class c from i on, at most limit of them (limit < 0: any number).
func run(s string, i int, c class, limit int) int {
	for ; limit != 0; limit-- {
		found, size := classAt(s, i)
		if found != c || size == 0 {
			break
		}
		i += size
	}
	return i
}

// white scans \s+(?!\S)|\s+ at a white-space character: the last one of a run is left for the word
// that follows.
func white(s string, start int) int {
	last, end := start, start
	for {
		c, size := classAt(s, end)
		if c != space {
			break
		}
		last, end = end, end+size
	}
	if end == len(s) || last == start {
		return end
	}
	return last
}

// nextGPT2 scans 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
func nextGPT2(s string, start int) int {
	if size := contraction(s[start:], 0); size > 0 {
		return start + size
	}
	i := start
	if s[i] == ' ' && i+1 < len(s) {
		i++
	}
	if c, size := classAt(s, i); c != space {
		return run(s, i+size, c, -1)
	}
	return white(s, start)
}

// contraction is the size of 's, 't, 're, 've, 'm, 'll or 'd at the start of s, or 0. fold is the bit that is
// set in each letter first: 0x20 ignores case.
func contraction(s string, fold byte) int {
	if len(s) < 2 || s[0] != '\'' {
		return 0
	}
	second := byte(0)
	if len(s) > 2 {
		second = s[2] | fold
	}
	switch s[1] | fold {
	case 's', 't', 'm', 'd':
		return 2
	case 'r', 'v':
		if second == 'e' {
			return 3
		}
	case 'l':
		if second == 'l' {
			return 3
		}
	}
	return 0
}

// nextWord scans the pattern of Llama-3 (three digits) and Qwen2 (one digit):
//
//	(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
func nextWord(s string, start, digits int) int {
	if size := contraction(s[start:], 0x20); size > 0 {
		return start + size
	}
	if len(s) > start+2 && s[start:start+3] == "'\u017f" { // ſ is an s when case is ignored
		return start + 3
	}
	c, size := classAt(s, start)
	switch c {
	case letter:
		return run(s, start+size, letter, -1)
	case number:
		return run(s, start, number, digits)
	}
	if !isLineBreak(s[start]) {
		if next, _ := classAt(s, start+size); next == letter {
			return run(s, start+size, letter, -1)
		}
	}
	if end := punctuation(s, start); end > start {
		return end
	}
	if end := lineBreaks(s, start); end > start {
		return end
	}
	return white(s, start)
}

// punctuation scans " ?[^\s\p{L}\p{N}]+[\r\n]*"; it gives start if there is none.
func punctuation(s string, start int) int {
	i := start
	if s[i] == ' ' {
		i++
	}
	end := run(s, i, other, -1)
	if end == i {
		return start
	}
	for end < len(s) && isLineBreak(s[end]) {
		end++
	}
	return end
}

// lineBreaks scans "\s*[\r\n]+"; it gives start if there is none.
func lineBreaks(s string, start int) int {
	end := start
	for i := start; ; {
		c, size := classAt(s, i)
		if c != space {
			return end
		}
		i += size
		if isLineBreak(s[i-1]) {
			end = i
		}
	}
}

func isLineBreak(b byte) bool { return b == '\r' || b == '\n' }

func isSpace(r rune) bool { return unicode.Is(unicode.White_Space, r) }
