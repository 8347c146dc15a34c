package jinja

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// rewrite makes a source that gonja understands as Jinja2 understands the given one. In tags it
//   - writes line feeds and tabs outside strings as spaces, which gonja's lexer wants;
//   - writes A if C else B as ((C) and [A] or [B])[0] where gonja knows no inline if: in parentheses, arguments, lists, or
//     nested. Both evaluate one side only;
//   - writes None as none, which has a value of ours;
//   - writes x[-1] as x[-1:][0], because gonja has no x[-n] of a list with n elements.
//
// A source that is broken stays broken; a tag without end, and brackets nested too deep for gonja's recursion, are
// refused here.
func rewrite(source string) (string, error) {
	var out strings.Builder
	raw, depth := false, 0
	for source != "" {
		at := strings.IndexByte(source, '{')
		if at < 0 || at+1 >= len(source) {
			break
		}
		out.WriteString(source[:at])
		source = source[at:]
		kind := source[1]
		switch {
		case kind == '#' && !raw:
			end := strings.Index(source[2:], "#}")
			if end < 0 {
				return out.String() + source, nil
			}
			out.WriteString(source[:end+4])
			source = source[end+4:]
		case kind == '%' || kind == '{' && !raw:
			end := tagEnd(source, kind == '%' && raw)
			switch {
			case end < 0 && raw:
				return out.String() + source, nil
			case end < 0:
				return "", fmt.Errorf("the tag %.40q has no end", source)
			}
			tag := source[:end]
			source = source[end:]
			if word := firstWord(tag); kind == '%' && (word == "raw" || word == "endraw") {
				raw = word == "raw"
				out.WriteString(tag)
			} else if raw {
				out.WriteString(tag)
			} else {
				depth += opens(tag, word)
				if deep(tag) || depth > maxNesting || len(tag) > maxTag {
					return "", fmt.Errorf("tag %.40q: brackets or statements are nested deeper than %d, or it has more than %d bytes or %d dots and brackets",
						tag, maxNesting, maxTag, maxSteps)
				}
				out.WriteString(rewriteTag(tag))
			}
		default:
			out.WriteByte('{')
			source = source[1:]
		}
	}
	return out.String() + source, nil
}

// What one tag may have: bytes, and dots and brackets; gonja's errors quote what they wrap, level by level.
const (
	maxTag   = 16 << 10
	maxSteps = 500
)

// opens is 1 for a tag that begins a block, -1 for one that ends a block.
func opens(tag, word string) int {
	switch {
	case tag[1] != '%':
	case strings.HasPrefix(word, "end"):
		return -1
	case word == "set" && !strings.Contains(tag, "="):
		return 1
	case strings.Contains(" if for macro call filter with autoescape block generation trans ", " "+word+" "):
		return 1
	}
	return 0
}

// deep says whether brackets are nested deeper than maxNesting, or more than maxSteps fields and items are asked for.
func deep(tag string) bool {
	depth, steps := 0, 0
	for i := 2; i < len(tag); i++ {
		switch tag[i] {
		case '\'', '"':
			i += max(stringSize(tag[i:])-1, 0)
		case '(', '[', '{', '.':
			steps++
			depth++
			if tag[i] == '.' {
				depth--
			}
		case ')', ']', '}':
			depth--
		}
		if depth > maxNesting || steps > maxSteps {
			return true
		}
	}
	return false
}

// tagEnd is the place after the tag that s begins with, -1 without an end. In raw text strings do not count.
func tagEnd(s string, raw bool) int {
	closing := "%}"
	if s[1] == '{' {
		closing = "}}"
	}
	braces := 0
	for i := 2; i < len(s); i++ {
		switch c := s[i]; {
		case (c == '\'' || c == '"') && !raw:
			size := stringSize(s[i:])
			if size == 0 {
				return -1
			}
			i += size - 1
		case strings.HasPrefix(s[i:], closing) && (braces == 0 || closing == "%}"):
			return i + 2
		case c == '{':
			braces++
		case c == '}' && braces > 0:
			braces--
		}
	}
	return -1
}

// stringSize is the size of the string literal that s begins with, 0 if it has no end.
func stringSize(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case s[0]:
			return i + 1
		}
	}
	return 0
}

// firstWord is the name of a statement.
func firstWord(tag string) string {
	body := strings.TrimLeft(tag[2:], "-+ \t\r\n")
	return body[:len(body)-len(strings.TrimLeftFunc(body, isName))]
}

func isName(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// rewriteTag rewrites one tag with its delimiters.
func rewriteTag(tag string) string {
	start, end := 2, len(tag)-2
	if tag[start] == '-' || tag[start] == '+' {
		start++
	}
	if end > start && (tag[end-1] == '-' || tag[end-1] == '+') {
		end--
	}
	items := scan(tag[start:end])
	word := ""
	if tag[1] == '%' {
		word = firstWord(tag)
	}
	body := ""
	switch word {
	case "":
		body = conditional(items)
	case "set":
		body = assigned(items)
	default:
		body = flat(items)
	}
	return tag[:start] + " " + strings.TrimSpace(body) + " " + tag[end:]
}

// item is a piece of an expression: a token or white space, or a group in brackets with the items inside.
type item struct {
	text  string
	open  byte // of a group: ( [ {
	inner []item
}

// scan cuts an expression into items; a bracket without its partner stays a token.
func scan(s string) []item {
	items, _, _ := scanGroup(s, 0)
	return items
}

// maxNesting bounds brackets in brackets.
const maxNesting = 200

func scanGroup(s string, depth int) (items []item, rest string, closed bool) {
	for s != "" {
		switch c := s[0]; {
		case (c == '\'' || c == '"') && stringSize(s) > 0:
			size := stringSize(s)
			items = append(items, item{text: s[:size]})
			s = s[size:]
		case strings.IndexByte("([{", c) >= 0 && depth < maxNesting:
			inner, after, ok := scanGroup(s[1:], depth+1)
			if !ok {
				return append(items, item{text: s}), "", false
			}
			items = append(items, item{open: c, inner: inner})
			s = after
		case strings.IndexByte(")]}", c) >= 0 && depth > 0:
			return items, s[1:], true
		case c == ' ' || c == '\n' || c == '\r' || c == '\t':
			items = append(items, item{text: " "})
			s = s[1:]
		default:
			size := len(s) - len(strings.TrimLeftFunc(s, isName))
			if size == 0 {
				_, size = utf8.DecodeRuneInString(s)
			}
			items = append(items, item{text: s[:size]})
			s = s[size:]
		}
	}
	return items, "", depth == 0
}

var closing = map[byte]string{'(': ")", '[': "]", '{': "}"}

// flat writes items without looking for an inline if at their own level.
func flat(items []item) string {
	var out strings.Builder
	for i, it := range items {
		if it.open == 0 {
			text := it.text
			if text == "None" && !(i > 0 && items[i-1].text == ".") {
				text = "none"
			}
			out.WriteString(text)
			continue
		}
		out.WriteByte(it.open)
		if it.open == '[' && i > 0 && negative(it.inner) {
			out.WriteString(flat(it.inner) + ":][0")
		} else {
			out.WriteString(separated(it.inner))
		}
		out.WriteString(closing[it.open])
	}
	return out.String()
}

// negative says whether items are a minus and a number.
func negative(items []item) bool {
	text := ""
	for _, it := range items {
		if it.open != 0 {
			return false
		}
		text += strings.TrimSpace(it.text)
	}
	digits, found := strings.CutPrefix(text, "-")
	return found && digits != "" && strings.Trim(digits, "0123456789") == ""
}

// separated writes what stands between brackets: expressions with commas, colons and = between them.
func separated(items []item) string {
	var out strings.Builder
	start := 0
	for i, it := range items {
		assigns := it.text == "=" && !(i > 0 && strings.Contains("=!<>", items[i-1].text)) && !(i+1 < len(items) && items[i+1].text == "=")
		if it.open == 0 && (it.text == "," || it.text == ":" || assigns) {
			out.WriteString(conditional(items[start:i]) + it.text)
			start = i + 1
		}
	}
	out.WriteString(conditional(items[start:]))
	return out.String()
}

// assigned writes the items of a set statement.
func assigned(items []item) string {
	for i, it := range items {
		if it.text == "=" {
			return flat(items[:i+1]) + " " + conditional(items[i+1:])
		}
	}
	return flat(items)
}

// conditional writes one expression with its inline if: A if C else B. The first if belongs to the first else after it
// that is not another if's.
func conditional(items []item) string {
	isWord := func(word string) func(int) bool {
		return func(i int) bool { return items[i].open == 0 && items[i].text == word }
	}
	at := firstIndex(len(items), 0, isWord("if"))
	if at < 0 {
		return flat(items)
	}
	other := firstIndex(len(items), at, isWord("else"))
	condition, otherwise := items[at+1:], "''"
	if other >= 0 {
		condition, otherwise = items[at+1:other], conditional(items[other+1:])
	}
	if blank(items[:at]) || blank(condition) || strings.TrimSpace(otherwise) == "" {
		return flat(items) // an error, which gonja tells
	}
	return "((" + flat(condition) + ") and [" + flat(items[:at]) + "] or [" + otherwise + "])[0]"
}

func firstIndex(n, from int, found func(int) bool) int {
	for i := from; i < n; i++ {
		if found(i) {
			return i
		}
	}
	return -1
}

func blank(items []item) bool {
	for _, it := range items {
		if it.open != 0 || strings.TrimSpace(it.text) != "" {
			return false
		}
	}
	return true
}
