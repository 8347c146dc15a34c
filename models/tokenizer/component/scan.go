package component

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Scanner walks through JSON text without building values. Its methods report malformed text as errors
// with the byte where it is.
type Scanner struct {
	data []byte
	at   int
}

// NewScanner scans data from its start.
func NewScanner(data []byte) *Scanner { return &Scanner{data: data} }

func (s *Scanner) fail(want string) error {
	return fmt.Errorf("byte %d: want %s", s.at, want)
}

// peek is the next byte that is not white space, 0 at the end.
func (s *Scanner) peek() byte {
	for s.at < len(s.data) {
		switch c := s.data[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

func (s *Scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// Object calls visit with each key; visit must read the value.
func (s *Scanner) Object(visit func(key []byte) error) error {
	if !s.take('{') {
		return s.fail("an object")
	}
	if s.take('}') {
		return nil
	}
	for {
		key, err := s.String()
		if err != nil {
			return err
		}
		if !s.take(':') {
			return s.fail(`":"`)
		}
		if err := visit(key); err != nil {
			return err
		}
		if s.take('}') {
			return nil
		}
		if !s.take(',') {
			return s.fail(`"," or "}"`)
		}
	}
}

// Array calls visit before each element; visit must read it.
func (s *Scanner) Array(visit func() error) error {
	if !s.take('[') {
		return s.fail("an array")
	}
	if s.take(']') {
		return nil
	}
	for {
		if err := visit(); err != nil {
			return err
		}
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return s.fail(`"," or "]"`)
		}
	}
}

// IsArray says whether an array is next.
func (s *Scanner) IsArray() bool { return s.peek() == '[' }

// String reads a string. The result is valid until the data changes, and must not be changed.
func (s *Scanner) String() ([]byte, error) {
	if !s.take('"') {
		return nil, s.fail("a string")
	}
	start := s.at
	end := bytes.IndexByte(s.data[start:], '"')
	if end < 0 {
		return nil, s.fail(`a closing '"'`)
	}
	text := s.data[start : start+end]
	if bytes.IndexByte(text, '\\') < 0 {
		s.at = start + end + 1
		if !utf8.Valid(text) {
			text = bytes.ToValidUTF8(text, []byte("\uFFFD"))
		}
		return text, nil
	}
	for i := start; i < len(s.data); i++ {
		switch s.data[i] {
		case '\\':
			i++
		case '"':
			s.at = i + 1
			return unescaped(s.data[start:i], start)
		}
	}
	return nil, s.fail(`a closing '"'`)
}

// simpleEscapes are the escapes of one letter and what they stand for.
var simpleEscapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unescaped resolves the escapes of a string that begins at byte start; half of a surrogate pair becomes
// U+FFFD.
func unescaped(text []byte, start int) ([]byte, error) {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			out = append(out, text[i])
			continue
		}
		i++
		if c, ok := simpleEscapes[text[i]]; ok {
			out = append(out, c)
			continue
		}
		r, ok := unicodeEscape(text[i:])
		if !ok {
			return nil, fmt.Errorf("byte %d: want an escape", start+i)
		}
		i += 4
		if utf16.IsSurrogate(r) {
			low := rune(utf8.RuneError)
			if i+1 < len(text) && text[i+1] == '\\' {
				low, _ = unicodeEscape(text[i+2:])
			}
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				i += 6
			}
		}
		out = utf8.AppendRune(out, r)
	}
	if !utf8.Valid(out) {
		out = bytes.ToValidUTF8(out, []byte("\uFFFD"))
	}
	return out, nil
}

// unicodeEscape reads u and four hexadecimal digits.
func unicodeEscape(text []byte) (rune, bool) {
	if len(text) < 5 || text[0] != 'u' {
		return utf8.RuneError, false
	}
	r := rune(0)
	for _, c := range text[1:5] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return utf8.RuneError, false
		}
	}
	return r, true
}

// number is the text of the number that is next.
func (s *Scanner) number() []byte {
	s.peek()
	start := s.at
	for s.at < len(s.data) && bytes.IndexByte([]byte("+-.eE0123456789"), s.data[s.at]) >= 0 {
		s.at++
	}
	return s.data[start:s.at]
}

// Int reads an integer.
func (s *Scanner) Int() (int64, error) {
	text := s.number()
	if len(text) > 0 && len(text) < 10 && text[0] != '-' {
		n := int64(0)
		for _, c := range text {
			if c < '0' || c > '9' {
				return 0, s.fail("an integer")
			}
			n = n*10 + int64(c-'0')
		}
		return n, nil
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return 0, s.fail("an integer")
	}
	return n, nil
}

// Float reads a number as the reference does, which is not always the nearest one: the digits make an
// integer of 64 bits, of which further digits are dropped, and that is multiplied or divided by a power
// of ten, so it may be rounded twice. Scores that differ in the last bit break ties in another way.
func (s *Scanner) Float() (float64, error) {
	text := s.number()
	exact, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return 0, s.fail("a number")
	}
	whole, power, _ := bytes.Cut(bytes.ToLower(text), []byte{'e'})
	exponent, digits, dot := 0, uint64(0), false
	if len(power) > 0 {
		if exponent, err = strconv.Atoi(string(power)); err != nil {
			return exact, nil
		}
	}
	for _, c := range bytes.TrimLeft(whole, "+-") {
		switch {
		case c == '.':
			dot = true
			continue
		case digits > (math.MaxUint64-9)/10:
			if !dot {
				return exact, nil // a huge integer
			}
			continue
		}
		digits = digits*10 + uint64(c-'0')
		if dot {
			exponent--
		}
	}
	if exponent < -300 || exponent > 300 {
		return exact, nil
	}
	value := float64(digits)
	if exponent < 0 {
		value /= math.Pow10(-exponent)
	} else {
		value *= math.Pow10(exponent)
	}
	return math.Copysign(value, exact), nil
}

// Value reads any value and gives its text.
func (s *Scanner) Value() (json.RawMessage, error) {
	s.peek()
	start := s.at
	depth := 0
	for s.at < len(s.data) {
		switch c := s.data[s.at]; c {
		case '"':
			if err := s.skipString(); err != nil {
				return nil, err
			}
		case '{', '[':
			depth++
			s.at++
		case '}', ']':
			if depth == 0 {
				return s.data[start:s.at], nil
			}
			depth--
			s.at++
		case ',':
			if depth == 0 {
				return s.data[start:s.at], nil
			}
			s.at++
		default:
			s.at++
		}
		if depth == 0 && s.at > start && (s.data[s.at-1] == '}' || s.data[s.at-1] == ']' || s.data[s.at-1] == '"') {
			return s.data[start:s.at], nil
		}
	}
	if s.at == start || depth > 0 {
		return nil, s.fail("a value")
	}
	return s.data[start:s.at], nil
}

func (s *Scanner) skipString() error {
	s.at++
	for {
		end := bytes.IndexByte(s.data[s.at:], '"')
		if end < 0 {
			return s.fail(`a closing '"'`)
		}
		s.at += end + 1
		slashes := 0
		for k := s.at - 2; s.data[k] == '\\'; k-- {
			slashes++
		}
		if slashes%2 == 0 {
			return nil
		}
	}
}

// End checks that nothing follows.
func (s *Scanner) End() error {
	if s.peek() != 0 || s.at < len(s.data) {
		return errors.New("more text after the value")
	}
	return nil
}
