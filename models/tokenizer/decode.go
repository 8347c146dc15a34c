package tokenizer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// decodeStep rewrites the list of raw tokens; the decoded text is the result of the last, joined.
type decodeStep func(tokens []string) []string

// Decode gives the text of ids as the reference decodes them: bytes that are not UTF-8 become U+FFFD, and
// SentencePiece-style decoders take one leading space away. Ids without token are left out, special
// tokens too if skipSpecial. For the exact bytes of a token see Bytes.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	tokens := make([]string, 0, len(ids))
	for _, id := range ids {
		if e := t.at(id); e.token != "" && !(skipSpecial && e.special) {
			tokens = append(tokens, e.token)
		}
	}
	if t.decoders == nil {
		return strings.Join(tokens, " ")
	}
	for _, step := range t.decoders {
		tokens = step(tokens)
	}
	return strings.Join(tokens, "")
}

// readDecoders turns the decoder of the file into steps.
func readDecoders(c *component) ([]decodeStep, error) {
	var steps []decodeStep
	for _, part := range c.flatten(func(c component) []component { return c.Decoders }) {
		step, err := part.decodeStep()
		if err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	return steps, nil
}

func (c component) decodeStep() (decodeStep, error) {
	switch c.Type {
	case "ByteLevel":
		return decodeByteLevel, nil
	case "ByteFallback":
		return decodeByteFallback, nil
	case "Fuse":
		return func(tokens []string) []string { return []string{strings.Join(tokens, "")} }, nil
	case "Replace":
		if c.Pattern == nil || c.Pattern.String == nil {
			return nil, errors.New("Replace is supported only with a String pattern")
		}
		return replaceStep(*c.Pattern.String, c.Content), nil
	case "Strip":
		if utf8.RuneCountInString(c.Content) != 1 || c.Start < 0 || c.Stop < 0 {
			return nil, errors.New("Strip needs one character of content and start, stop of 0 or more")
		}
		return c.strip, nil
	case "Metaspace":
		if c.Replacement != marker {
			return nil, fmt.Errorf("Metaspace replacement %q is not supported, only %q is", c.Replacement, marker)
		}
		rule, err := metaspacePrefix(c)
		if err != nil {
			return nil, err
		}
		return metaspaceStep(rule), nil
	}
	return nil, fmt.Errorf("type %q is not supported (supported: ByteLevel, ByteFallback, Fuse, Metaspace, Replace, Strip, Sequence)", c.Type)
}

func replaceStep(old, replacement string) decodeStep {
	return func(tokens []string) []string {
		for i, token := range tokens {
			if old != "" {
				tokens[i] = strings.ReplaceAll(token, old, replacement)
			}
		}
		return tokens
	}
}

// metaspaceStep makes spaces of markers, except in the first token, where they are the dummy prefix.
func metaspaceStep(rule prefixRule) decodeStep {
	return func(tokens []string) []string {
		for i, token := range tokens {
			space := " "
			if i == 0 && rule != prefixNever {
				space = ""
			}
			tokens[i] = strings.ReplaceAll(token, marker, space)
		}
		return tokens
	}
}

// strip takes up to Start characters off the left of each token and up to Stop off the right.
func (c component) strip(tokens []string) []string {
	for i, token := range tokens {
		for n := 0; n < c.Start && strings.HasPrefix(token, c.Content); n++ {
			token = token[len(c.Content):]
		}
		for n := 0; n < c.Stop && strings.HasSuffix(token, c.Content); n++ {
			token = token[:len(token)-len(c.Content)]
		}
		tokens[i] = token
	}
	return tokens
}

// decodeByteFallback joins runs of byte tokens to text; a run that is not UTF-8 becomes one U+FFFD a byte.
func decodeByteFallback(tokens []string) []string {
	var out []string
	var run []byte
	flush := func() {
		if utf8.Valid(run) {
			out = append(out, string(run))
		} else {
			out = append(out, strings.Repeat("\uFFFD", len(run)))
		}
		run = run[:0]
	}
	for _, token := range tokens {
		if b, ok := byteToken(token); ok {
			run = append(run, b)
			continue
		}
		flush()
		out = append(out, token)
	}
	flush()
	return out
}

// byteToken reads a byte-fallback token such as <0x0A>.
func byteToken(token string) (b byte, ok bool) {
	if len(token) != 6 || token[:3] != "<0x" || token[5] != '>' {
		return 0, false
	}
	value, err := strconv.ParseUint(token[3:5], 16, 8)
	return byte(value), err == nil
}

// decodeByteLevel maps every character of the byte alphabet to its byte; a token with another
// character stands for itself.
func decodeByteLevel(tokens []string) []string {
	var out []byte
	for _, token := range tokens {
		if content, ok := byteLevelBytes(token); ok {
			out = append(out, content...)
		} else {
			out = append(out, token...)
		}
	}
	return []string{lossy(out)}
}

// byteLevelRunes is GPT-2's alphabet: printable Latin-1 bytes stand for themselves, the others for
// U+0100 and up, in order.
var byteLevelRunes = func() (runes [256]rune) {
	next := rune(256)
	for b := range runes {
		if b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE {
			runes[b] = rune(b)
		} else {
			runes[b] = next
			next++
		}
	}
	return runes
}()

var byteLevelTable = func() map[rune]byte {
	table := make(map[rune]byte, 256)
	for b, r := range byteLevelRunes {
		table[r] = byte(b)
	}
	return table
}()

// byteLevelSymbol is the character that stands for a byte.
func byteLevelSymbol(b byte) string { return string(byteLevelRunes[b]) }

// byteLevelBytes are the bytes of a byte-level token; ok is false if a character is not of the alphabet.
func byteLevelBytes(token string) (content []byte, ok bool) {
	content = make([]byte, 0, len(token))
	for _, r := range token {
		b, ok := byteLevelTable[r]
		if !ok {
			return nil, false
		}
		content = append(content, b)
	}
	return content, true
}

// lossy puts one U+FFFD for every longest invalid sequence that could have begun a character, as Rust's
// String::from_utf8_lossy does.
func lossy(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var out []byte
	for len(b) > 0 {
		if r, size := utf8.DecodeRune(b); r != utf8.RuneError || size > 1 {
			out = append(out, b[:size]...)
			b = b[size:]
			continue
		}
		out = append(out, "\uFFFD"...)
		b = b[truncatedRune(b):]
	}
	return string(out)
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
