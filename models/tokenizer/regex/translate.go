package regex

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// wordClass are the members of \w in Oniguruma: letters, marks, numbers of digits and letters, connectors and
// circled letters; outside brackets also the superscripts and fractions of Latin-1.
const (
	wordClass = bracketWordClass + "\u00B2\u00B3\u00B9\u00BC-\u00BE"

	bracketWordClass = `\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}` + "\u24B6-\u24E9\U0001F130-\U0001F149\U0001F150-\U0001F169\U0001F170-\U0001F189"
)

// sames are the non-ASCII characters that are equal to a letter when case is ignored.
var sames = map[byte]string{'s': "ſ", 'S': "ſ", 'k': "\u212A", 'K': "\u212A"}

// translator carries a pattern over from Oniguruma's syntax to that of regexp2.
type translator struct {
	in     string
	at     int
	out    []byte
	atom   int   // where the last atom begins in out; -1: none to repeat
	groups []int // where the open groups begin in out
	fold   []bool
	ignore bool // case is ignored here
}

func translate(pattern string) (string, error) {
	if !utf8.ValidString(pattern) {
		return "", errors.New("not UTF-8")
	}
	t := &translator{in: pattern, atom: -1}
	for t.at < len(t.in) {
		if err := t.next(); err != nil {
			return "", err
		}
	}
	if len(t.groups) > 0 {
		return "", errors.New("a ( without its )")
	}
	return string(t.out), nil
}

// add appends an atom.
func (t *translator) add(s string) {
	t.atom = len(t.out)
	t.out = append(t.out, s...)
}

func (t *translator) next() error {
	r, size := utf8.DecodeRuneInString(t.in[t.at:])
	switch r {
	case '\\':
		return t.escape()
	case '[':
		return t.class()
	case '(':
		return t.open()
	case ')':
		return t.close()
	case '*', '+', '?':
		t.at++
		return t.repeat(string(r), true)
	case '{':
		if counts, size := interval(t.in[t.at:]); size > 0 {
			t.at += size
			return t.repeat(counts, false)
		}
		t.add(`\{`)
	case '}':
		t.add(`\}`)
	case ']':
		t.add(`\]`)
	case '|':
		t.out, t.atom = append(t.out, '|'), -1
	case '^':
		t.add(`(?:\A|^(?!\z))`)
	default:
		t.add(t.letter(r))
	}
	t.at += size
	return nil
}

// letter is a literal character, with what equals it when case is ignored.
func (t *translator) letter(r rune) string {
	if r < utf8.RuneSelf && t.ignore && sames[byte(r)] != "" {
		return "[" + string(r) + sames[byte(r)] + "]"
	}
	return string(r)
}

// interval reads {n}, {n,}, {n,m} or {,m}; size is 0 if it is none.
func interval(s string) (counts string, size int) {
	end := strings.IndexByte(s, '}')
	if end < 0 {
		return "", 0
	}
	low, high, isRange := strings.Cut(s[1:end], ",")
	for _, n := range []string{low, high} {
		if strings.Trim(n, "0123456789") != "" || len(n) > 4 {
			return "", 0
		}
	}
	switch {
	case low == "" && high == "":
		return "", 0
	case low == "":
		low = "0"
	}
	if !isRange {
		return "{" + low + "}", end + 1
	}
	return "{" + low + "," + high + "}", end + 1
}

// repeat applies a quantifier to the last atom; a + after one of *, + and ? makes it possessive.
func (t *translator) repeat(quantifier string, simple bool) error {
	if t.atom < 0 {
		return fmt.Errorf("byte %d: nothing to repeat", t.at)
	}
	start := t.atom
	follows := byte(0)
	if t.at < len(t.in) {
		follows = t.in[t.at]
	}
	wrap := "(?:"
	switch {
	case follows == '?':
		quantifier += "?"
		t.at++
	case follows == '+' && simple:
		wrap = "(?>"
		t.at++
	}
	body := string(t.out[start:])
	t.out = append(append(append(append(t.out[:start], wrap...), body...), quantifier...), ')')
	if len(t.out) > 4*maxPattern {
		return errors.New("too many quantifiers")
	}
	return nil
}

func (t *translator) open() error {
	t.groups, t.fold = append(t.groups, len(t.out)), append(t.fold, t.ignore)
	rest := t.in[t.at:]
	for _, head := range []string{"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"} {
		if strings.HasPrefix(rest, head) {
			t.out, t.atom = append(t.out, head...), -1
			t.at += len(head)
			return nil
		}
	}
	if strings.HasPrefix(rest, "(?<") {
		end := strings.IndexByte(rest, '>')
		if end < 0 {
			return fmt.Errorf("byte %d: a group name without end", t.at)
		}
		t.out, t.atom = append(t.out, "(?:"...), -1
		t.at += end + 1
		return nil
	}
	if !strings.HasPrefix(rest, "(?") {
		t.out, t.atom = append(t.out, "(?:"...), -1
		t.at++
		return nil
	}
	return t.flags(rest)
}

// flags reads (?i), (?m-i) or (?i: and the like.
func (t *translator) flags(rest string) error {
	end := strings.IndexAny(rest, ":)")
	if end < 0 || strings.Trim(rest[2:end], "im-") != "" {
		return fmt.Errorf("byte %d: the group %.10q is not supported", t.at, rest)
	}
	on := true
	for _, c := range rest[2:end] {
		switch c {
		case '-':
			on = false
		case 'i':
			t.ignore = on
		}
	}
	letters := strings.ReplaceAll(rest[2:end], "m", "s") // Oniguruma's m lets . match a line break
	t.at += end + 1
	if rest[end] == ')' { // for the rest of the group around it
		t.groups, t.fold = t.groups[:len(t.groups)-1], t.fold[:len(t.fold)-1]
		t.out, t.atom = append(t.out, "(?"+letters+")"...), -1
		return nil
	}
	t.out, t.atom = append(t.out, "(?"+letters+":"...), -1
	return nil
}

func (t *translator) close() error {
	last := len(t.groups) - 1
	if last < 0 {
		return fmt.Errorf("byte %d: a ) without its (", t.at)
	}
	t.out = append(t.out, ')')
	t.at++
	t.atom, t.ignore = t.groups[last], t.fold[last]
	t.groups, t.fold = t.groups[:last], t.fold[:last]
	return nil
}

// escape reads a backslash sequence outside brackets.
func (t *translator) escape() error {
	if t.at+1 >= len(t.in) {
		return errors.New("a backslash at the end")
	}
	switch t.in[t.at+1] {
	case 'w':
		t.add("[" + wordClass + "]")
	case 'W':
		t.add("[^" + wordClass + "]")
	case 'b':
		t.add("(?:(?<=[" + wordClass + "])(?![" + wordClass + "])|(?<![" + wordClass + "])(?=[" + wordClass + "]))")
	case 'h':
		t.add("[0-9a-fA-F]")
	case 'H':
		t.add("[^0-9a-fA-F]")
	case 'A', 'z', 'Z':
		t.add(t.in[t.at : t.at+2])
	default:
		s, size, err := member(t.in[t.at:])
		if err != nil {
			return fmt.Errorf("byte %d: %w", t.at, err)
		}
		if len(s) == 1 {
			s = t.letter(rune(s[0]))
		}
		t.add(s)
		t.at += size
		return nil
	}
	t.at += 2
	return nil
}

// member translates an escape that means the same in brackets and outside; size is what it takes of s.
func member(s string) (out string, size int, err error) {
	switch c := s[1]; {
	case strings.IndexByte("dDsStnrfvae", c) >= 0:
		return s[:2], 2, nil
	case c == 'p' || c == 'P':
		end := strings.IndexByte(s, '}')
		if end < 4 || s[2] != '{' {
			return "", 0, fmt.Errorf("%.10q has no name in braces", s)
		}
		name := s[3:end]
		if rest, negated := strings.CutPrefix(name, "^"); negated {
			name, c = rest, c^('p'^'P')
		}
		return `\` + string(c) + "{" + name + "}", end + 1, nil
	case c == 'u' && len(s) >= 6:
		return code(s[2:6], 6)
	case c == 'x' && len(s) > 3 && s[2] == '{':
		if end := strings.IndexByte(s, '}'); end > 0 {
			return code(s[3:end], end+1)
		}
	case c == 'x' && len(s) >= 4:
		if out, size, err = code(s[2:4], 4); err == nil && out[0] != '\\' {
			return "", 0, fmt.Errorf("%q is a byte, not a character", s[:4])
		}
		return out, size, err
	case c < utf8.RuneSelf && !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'):
		return s[:2], 2, nil
	case c >= utf8.RuneSelf:
		_, size := utf8.DecodeRuneInString(s[1:])
		return s[1 : 1+size], 1 + size, nil
	}
	return "", 0, fmt.Errorf("%.4q is not supported", s)
}

// code is the character of a hexadecimal number, escaped.
func code(hex string, size int) (string, int, error) {
	n, err := strconv.ParseUint(hex, 16, 21)
	if err != nil || !utf8.ValidRune(rune(n)) {
		return "", 0, fmt.Errorf("%q is no code point", hex)
	}
	if n < utf8.RuneSelf {
		return fmt.Sprintf(`\x%02X`, n), size, nil
	}
	return string(rune(n)), size, nil
}

// class reads a bracket expression.
func (t *translator) class() error {
	start := t.at
	out := []byte{'['}
	t.at++
	if t.at < len(t.in) && t.in[t.at] == '^' {
		out = append(out, '^')
		t.at++
	}
	for first := true; ; first = false {
		if t.at >= len(t.in) {
			return fmt.Errorf("byte %d: a [ without its ]", start)
		}
		rest := t.in[t.at:]
		r, size := utf8.DecodeRuneInString(rest)
		switch {
		case r == ']' && !first:
			t.at++
			t.add(string(append(out, ']')))
			return nil
		case r == '[' || strings.HasPrefix(rest, "&&"):
			return fmt.Errorf("byte %d: %.10q inside brackets is not supported", t.at, rest)
		case r == '\\':
			s, n, err := t.classEscape(rest)
			if err != nil {
				return fmt.Errorf("byte %d: %w", t.at, err)
			}
			out, size = append(out, s...), n
		case r == ']' || r == '^':
			out = append(out, '\\', byte(r))
		default:
			out = append(out, rest[:size]...)
			if t.ignore && r < utf8.RuneSelf {
				out = append(out, sames[byte(r)]...)
			}
		}
		t.at += size
	}
}

func (t *translator) classEscape(s string) (out string, size int, err error) {
	if len(s) < 2 {
		return "", 0, errors.New("a backslash at the end")
	}
	switch s[1] {
	case 'w':
		return bracketWordClass, 2, nil
	case 'h':
		return "0-9a-fA-F", 2, nil
	case 'b':
		return `\x08`, 2, nil
	}
	return member(s)
}
