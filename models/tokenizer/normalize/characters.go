package normalize

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/profuser/profuser/models/tokenizer/component"
	"github.com/profuser/profuser/models/tokenizer/regex"
)

// isASCII says whether every byte is of ASCII.
func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// mapping rewrites each character: change gives what it becomes, and whether it changes at all.
func mapping(change func(r rune) (string, bool)) step {
	return func(s string, track bool) (string, []int32) {
		first := strings.IndexFunc(s, func(r rune) bool { _, changes := change(r); return changes })
		if first < 0 {
			return s, nil
		}
		w := Writer{Track: track, out: make([]byte, 0, len(s)+len(s)/8)}
		w.Add(s[:first], 0, first)
		for i := first; i < len(s); {
			r, size := utf8.DecodeRuneInString(s[i:])
			became, changes := change(r)
			if !changes {
				became = s[i : i+size]
			}
			w.Add(became, i, i+size)
			i += size
		}
		return w.Finish(len(s))
	}
}

// lowerASCII are the lower-case strings of capital letters.
var lowerASCII = func() (table [utf8.RuneSelf]string) {
	for r := range table {
		if r >= 'A' && r <= 'Z' {
			table[r] = string(rune(r + 'a' - 'A'))
		}
	}
	return table
}()

// lower is the lower-case string of a character by itself: final sigma is not looked at.
func lower(r rune) (string, bool) {
	if r < utf8.RuneSelf {
		return lowerASCII[r], lowerASCII[r] != ""
	}
	if r == 'İ' {
		return "i\u0307", true
	}
	small := unicode.ToLower(r)
	return string(small), small != r
}

var lowercase = mapping(lower)

// nmt removes control characters and makes plain spaces of all others that look like one.
//
// Source: the rules nmt_nfkc of SentencePiece (Kudo and Richardson 2018).
var nmt = mapping(func(r rune) (string, bool) {
	switch {
	case r >= 0x01 && r <= 0x08, r == 0x0B, r >= 0x0E && r <= 0x1F, r == 0x7F, r == 0x8F, r == 0x9F:
		return "", true
	case r == '\t', r == '\n', r == '\f', r == '\r', r == 0x1680, r >= 0x200B && r <= 0x200F, r == 0x2028,
		r == 0x2029, r == 0x2581, r == 0xFEFF, r == 0xFFFD:
		return " ", true
	}
	return "", false
})

// stripMarks removes the marks.
func stripMarks(mark func(r rune) bool) step {
	return mapping(func(r rune) (string, bool) { return "", mark(r) })
}

// oldMark and oldNonSpacing are the marks of the Unicode versions that the reference knows.
func oldMark(r rune) bool {
	return r >= 0x300 && (unicode.IsMark(r) || r == 0x1CF2 || r == 0x1CF3) && !unicode.Is(newMark, r)
}

func oldNonSpacing(r rune) bool {
	return r >= 0x300 && (unicode.Is(unicode.Mn, r) || r == 0x1734) && !unicode.Is(newNonSpacing, r)
}

// strip takes white space off the ends.
func strip(left, right bool) step {
	return func(s string, track bool) (string, []int32) {
		start, end := 0, len(s)
		if left {
			start = len(s) - len(strings.TrimLeftFunc(s, isSpace))
		}
		if right {
			end = max(start, len(strings.TrimRightFunc(s, isSpace)))
		}
		if start == 0 && end == len(s) {
			return s, nil
		}
		w := Writer{Track: track}
		w.Add(s[start:end], start, end)
		return w.Finish(len(s))
	}
}

func isSpace(r rune) bool { return unicode.Is(unicode.White_Space, r) }

// readReplace makes a step that puts content wherever the pattern is found.
func readReplace(pattern *component.Pattern, content string) (step, error) {
	if err := pattern.Check(); err != nil {
		return nil, fmt.Errorf("Replace: %w", err)
	}
	if !utf8.ValidString(content) {
		return nil, fmt.Errorf("Replace: content %q is not UTF-8", content)
	}
	if pattern.String != nil {
		return replaceString(*pattern.String, content), nil
	}
	compiled, err := regex.Compile(*pattern.Regex)
	if err != nil {
		return nil, fmt.Errorf("Replace: %w", err)
	}
	return func(s string, track bool) (string, []int32) {
		w, last := Writer{Track: track}, 0
		compiled.Find(s, func(start, end int) {
			w.Add(s[last:start], last, start)
			w.Add(content, start, end)
			last = end
		})
		w.Add(s[last:], last, len(s))
		return w.Finish(len(s))
	}, nil
}

func replaceString(old, content string) step {
	if old == "" || old == content {
		return nil
	}
	return func(s string, track bool) (string, []int32) {
		if !track {
			return strings.ReplaceAll(s, old, content), nil
		}
		if !strings.Contains(s, old) {
			return s, nil
		}
		w := Writer{Track: true}
		for i := 0; i < len(s); {
			next := strings.Index(s[i:], old)
			if next < 0 {
				w.Add(s[i:], i, len(s))
				break
			}
			w.Add(s[i:i+next], i, i+next)
			i += next
			w.Add(content, i, i+len(old))
			i += len(old)
		}
		return w.Finish(len(s))
	}
}
