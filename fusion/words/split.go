package words

import (
	"strings"
	"unicode"
)

// unspaced are scripts whose words stand without space between them.
var unspaced = []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar}

// alone says that a character is a word by itself.
func alone(r rune) bool { return r >= 0x0E00 && unicode.In(r, unspaced...) } // Thai is the first of them

// Split cuts a text at white space, and around every character of the unspaced scripts.
func Split(text string) []string {
	var words []string
	for _, field := range strings.Fields(text) {
		start := 0
		for i, r := range field {
			if !alone(r) {
				continue
			}
			if i > start {
				words = append(words, field[start:i])
			}
			start = i + len(string(r))
			words = append(words, field[i:start])
		}
		if start < len(field) {
			words = append(words, field[start:])
		}
	}
	return words
}

// Comparable is Split in lower case without punctuation and symbols (Unicode's categories P and S): "Don't — 3 + 4!" is
// dont, 3, 4. Words of nothing else are left out.
//
// Source: GPT-3 (arXiv 2005.14165), appendix C: a gram is "a lowercase, whitespace delimited word with no punctuation".
func Comparable(text string) []string {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsPunct(r) || unicode.IsSymbol(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, text)
	return Split(clean)
}
