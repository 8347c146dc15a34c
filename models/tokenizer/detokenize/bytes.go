package detokenize

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/profuser/profuser/models/tokenizer/bytelevel"
)

// ByteToken reads a byte-fallback token such as <0x0A>.
func ByteToken(token string) (b byte, ok bool) {
	if len(token) != 6 || token[:3] != "<0x" || token[5] != '>' {
		return 0, false
	}
	value, err := strconv.ParseUint(token[3:5], 16, 8)
	return byte(value), err == nil
}

// byteFallback joins runs of byte tokens to text; a run that is not UTF-8 becomes one U+FFFD a byte.
type byteFallback struct{ run []byte }

func (f *byteFallback) push(token string, emit func(string)) {
	if b, ok := ByteToken(token); ok {
		f.run = append(f.run, b)
		return
	}
	f.end(emit)
	emit(token)
}

func (f *byteFallback) end(emit func(string)) {
	if len(f.run) == 0 {
		return
	}
	if utf8.Valid(f.run) {
		emit(string(f.run))
	} else {
		emit(strings.Repeat("\uFFFD", len(f.run)))
	}
	f.run = f.run[:0]
}

// byteLevelStage maps every character of the byte alphabet to its byte; a token with another character
// stands for itself.
type byteLevelStage struct{ held []byte }

func (l *byteLevelStage) push(token string, emit func(string)) {
	content, ok := bytelevel.AppendBytes(l.held, token)
	if !ok {
		content = append(content, token...)
	}
	text, rest := Lossy(content, false)
	if text != "" {
		emit(text)
	}
	l.held = append(l.held[:0], rest...)
}

func (l *byteLevelStage) end(emit func(string)) {
	text, _ := Lossy(l.held, true)
	emit(text)
}

// Lossy puts one U+FFFD for every longest invalid sequence that could have begun a character, as Rust's
// String::from_utf8_lossy does. A character that b only begins is invalid at the end of a text, and the
// rest before it.
func Lossy(b []byte, end bool) (text string, rest []byte) {
	if utf8.Valid(b) {
		return string(b), nil
	}
	var out []byte
	for len(b) > 0 {
		if r, size := utf8.DecodeRune(b); r != utf8.RuneError || size > 1 {
			out = append(out, b[:size]...)
			b = b[size:]
			continue
		}
		if !end && !utf8.FullRune(b) {
			return string(out), b
		}
		out = append(out, "\uFFFD"...)
		b = b[truncatedRune(b):]
	}
	return string(out), nil
}

// truncatedRune is the number of bytes at the start of b that begin a character without finishing it, at
// least 1.
func truncatedRune(b []byte) int {
	low, high, more := byte(0x80), byte(0xBF), 0
	switch c := b[0]; {
	case c >= 0xC2 && c <= 0xDF:
		more = 1
	case c == 0xE0:
		low, more = 0xA0, 2
	case c == 0xED:
		high, more = 0x9F, 2
	case c >= 0xE1 && c <= 0xEF:
		more = 2
	case c == 0xF0:
		low, more = 0x90, 3
	case c == 0xF4:
		high, more = 0x8F, 3
	case c >= 0xF1 && c <= 0xF3:
		more = 3
	}
	size := 1
	for size <= more && size < len(b) && b[size] >= low && b[size] <= high {
		low, high = 0x80, 0xBF
		size++
	}
	return size
}
