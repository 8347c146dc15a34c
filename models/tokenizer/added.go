package tokenizer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/profuser/profuser/models/tokenizer/component"
	"github.com/profuser/profuser/models/tokenizer/normalize"
	"github.com/profuser/profuser/models/tokenizer/subword"
)

// addedToken is a token that is looked for in the text itself, before merging.
type addedToken struct {
	id             int32
	pattern        string
	lstrip, rstrip bool // takes the white space before or after it along
	singleWord     bool // only between non-word characters
	special        bool
	control        bool // special, or its string has more than letters, digits and white space
}

// quotation is the parts of a text in which some added tokens are ordinary text. The zero value quotes
// nothing.
type quotation struct {
	spans   []Span // in order, apart from one another
	control bool   // control tokens are text there, not special tokens alone
	keep    Span   // a part of which no token outside takes white space along
}

// quote makes a quotation of spans in any order; empty ones quote nothing.
func quote(spans []Span) quotation {
	q := quotation{control: true}
	sorted := slices.Clone(spans)
	slices.SortFunc(sorted, func(a, b Span) int { return cmp.Compare(a.Start, b.Start) })
	for _, s := range sorted {
		last := len(q.spans) - 1
		switch {
		case s.End <= s.Start:
		case last >= 0 && s.Start <= q.spans[last].End:
			q.spans[last].End = max(q.spans[last].End, s.End)
		default:
			q.spans = append(q.spans, s)
		}
	}
	return q
}

// meets says whether bytes [start, end) of the text reach into a quoted part.
func (q *quotation) meets(start, end int) bool {
	i, _ := slices.BinarySearchFunc(q.spans, start, func(s Span, at int) int { return cmp.Compare(s.End, at+1) })
	return i < len(q.spans) && q.spans[i].Start < end
}

// holds says whether a byte lies in the span.
func (s Span) holds(at int) bool { return s.Start <= at && at < s.End }

// forbids says whether the token is ordinary text at bytes [start, end) of the text.
func (q *quotation) forbids(token *addedToken, start, end int) bool {
	return (token.special || q.control && token.control) && q.meets(start, end)
}

// addedMatcher finds added tokens: the leftmost match, the longest of those that start there.
type addedMatcher struct {
	byFirst [256][]addedToken // by first byte, longest first
	starts  [256]bool
	any     bool
}

// addedJSON is an added token of a tokenizer.json.
type addedJSON struct {
	ID         int64  `json:"id"`
	Content    string `json:"content"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	SingleWord bool   `json:"single_word"`
	Special    bool   `json:"special"`
}

// addTokens places the added tokens in the vocabulary and in the two matchers.
func (t *Tokenizer) addTokens(list []addedJSON) error {
	for _, a := range list {
		if err := t.place(a.Content, a.ID, true); err != nil {
			return err
		}
		control := a.Special || isMarkup(a.Content)
		e := &t.entries[a.ID]
		e.added, e.special, e.control, e.byteFallback, e.bytes = true, a.Special, control, false, []byte(a.Content)
		if bpe, ok := t.model.(*subword.BPE); ok && a.Special {
			bpe.Withhold(a.Content) // ordinary text that spells it must not become it
		}
		if a.Special {
			e.bytes = nil
		}
		token := addedToken{int32(a.ID), a.Content, a.LStrip, a.RStrip, a.SingleWord, a.Special, control}
		if !a.Normalized {
			t.literal.add(token)
			continue
		}
		token.pattern, _ = t.normalizer.Apply(a.Content, false, false)
		if token.pattern == "" {
			return fmt.Errorf("token %.40q is empty when normalised", a.Content)
		}
		t.normal.add(token)
	}
	return nil
}

func (m *addedMatcher) add(token addedToken) {
	m.any, m.starts[token.pattern[0]] = true, true
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
// -1 and start is len(s). Tokens that the quotation forbids are not looked for; o maps positions of s to
// those of the text.
func (m *addedMatcher) next(s string, from int, o *normalize.Positions, quoted *quotation) (start, end int, id int32) {
	if !m.any {
		return len(s), len(s), -1
	}
	for i := from; i < len(s); {
		if !m.starts[s[i]] {
			i++
			continue
		}
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
		kept := func(at int) bool { return quoted.keep.holds(o.Text(at)) && !quoted.keep.holds(o.Text(i)) }
		for token.lstrip && start > from {
			r, size := utf8.DecodeLastRuneInString(s[from:start])
			if !isSpace(r) || kept(start-size) {
				break
			}
			start -= size
		}
		for token.rstrip && end < len(s) {
			r, size := utf8.DecodeRuneInString(s[end:])
			if !isSpace(r) || kept(end) {
				break
			}
			end += size
		}
		return start, end, token.id
	}
	return len(s), len(s), -1
}

// matchAt is the longest added token at s[i:] that may be used there, or nil.
func (m *addedMatcher) matchAt(s string, i int, o *normalize.Positions, quoted *quotation) *addedToken {
	bucket := m.byFirst[s[i]]
	for k := range bucket {
		token := &bucket[k]
		if !strings.HasPrefix(s[i:], token.pattern) {
			continue
		}
		if len(quoted.spans) > 0 && quoted.forbids(token, o.Text(i), o.Text(i+len(token.pattern))) {
			continue
		}
		return token
	}
	return nil
}

// isMarkup says whether a token has a character that is no letter, digit or white space: it may be control,
// as the </s> of a tokenizer that does not call it special, while runs of spaces and words are not.
func isMarkup(token string) bool {
	return strings.ContainsFunc(strings.ReplaceAll(token, component.Marker, " "), func(r rune) bool { return !isSpace(r) && !isWord(r) })
}

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
