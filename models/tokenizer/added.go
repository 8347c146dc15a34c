package tokenizer

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is a token that is looked for in the text itself, before merging.
type addedToken struct {
	id             int32
	pattern        string
	lstrip, rstrip bool // takes the white space before or after it along
	singleWord     bool // only between non-word characters
	special        bool
}

// addedMatcher finds added tokens: the leftmost match, the longest of those that start there.
type addedMatcher struct {
	byFirst [256][]addedToken // by first byte, longest first
	any     bool
}

// addTokens places the added tokens in the vocabulary and in the two matchers.
func (t *Tokenizer) addTokens(list []addedJSON) error {
	for _, a := range list {
		if err := t.place(a.Content, a.ID); err != nil {
			return err
		}
		e := &t.entries[a.ID]
		e.added, e.special, e.byteFallback, e.bytes = true, a.Special, false, []byte(a.Content)
		if a.Special {
			e.bytes = nil
			delete(t.whole, a.Content) // ordinary text that spells it must not become it
		}
		token := addedToken{int32(a.ID), a.Content, a.LStrip, a.RStrip, a.SingleWord, a.Special}
		if !a.Normalized {
			t.literal.add(token)
			continue
		}
		token.pattern, _ = t.normalizer.apply(a.Content, false, false)
		if token.pattern == "" {
			return fmt.Errorf("token %.40q is empty when normalised", a.Content)
		}
		t.normal.add(token)
	}
	return nil
}

func (m *addedMatcher) add(token addedToken) {
	m.any = true
	bucket := m.byFirst[token.pattern[0]]
	at := 0
	for at < len(bucket) && len(bucket[at].pattern) >= len(token.pattern) {
		if bucket[at].pattern == token.pattern {
			return // the first of two equal patterns counts
		}
		at++
	}
	bucket = append(bucket, addedToken{})
	copy(bucket[at+1:], bucket[at:])
	bucket[at] = token
	m.byFirst[token.pattern[0]] = bucket
}

// next finds the first added token in s at or after from; it covers s[start:end]. Without one, id is
// -1 and start is len(s). Special strings that reach into the quoted part of the text, to which o maps
// positions of s, are not looked for, and no token takes white space of that part along from outside.
func (m *addedMatcher) next(s string, from int, o *offsets, quoted Span) (start, end int, id int32) {
	if !m.any {
		return len(s), len(s), -1
	}
	for i := from; i < len(s); {
		token := m.matchAt(s, i, o, quoted)
		if token == nil {
			i++
			continue
		}
		start, end := i, i+len(token.pattern)
		if token.singleWord && (isWordBefore(s, start) || isWordAfter(s, end)) {
			i = end
			continue
		}
		within := quoted.holds(o.text(start))
		for token.lstrip && start > from {
			r, size := utf8.DecodeLastRuneInString(s[from:start])
			if !isSpace(r) || !within && quoted.holds(o.text(start-size)) {
				break
			}
			start -= size
		}
		for token.rstrip && end < len(s) {
			r, size := utf8.DecodeRuneInString(s[end:])
			if !isSpace(r) || !within && quoted.holds(o.text(end)) {
				break
			}
			end += size
		}
		return start, end, token.id
	}
	return len(s), len(s), -1
}

// matchAt is the longest added token at s[i:] that may be used there, or nil.
func (m *addedMatcher) matchAt(s string, i int, o *offsets, quoted Span) *addedToken {
	bucket := m.byFirst[s[i]]
	for k := range bucket {
		token := &bucket[k]
		if !strings.HasPrefix(s[i:], token.pattern) {
			continue
		}
		if token.special && o.text(i) < quoted.End && o.text(i+len(token.pattern)) > quoted.Start {
			continue
		}
		return token
	}
	return nil
}

// holds says whether a position lies in the span.
func (s Span) holds(position int) bool { return s.Start <= position && position < s.End }

func isSpace(r rune) bool { return unicode.Is(unicode.White_Space, r) }

func isWordBefore(s string, i int) bool {
	r, size := utf8.DecodeLastRuneInString(s[:i])
	return size > 0 && isWord(r)
}

func isWordAfter(s string, i int) bool {
	r, size := utf8.DecodeRuneInString(s[i:])
	return size > 0 && isWord(r)
}

func isWord(r rune) bool {
	return r == '_' || unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r)
}
