// Package regex finds the matches of a tokenizer's regular expression as the reference finds them.
//
// In: a pattern in the syntax of Oniguruma, in which tokenizer.json files are written, and a text. Out:
// the matches, from left to right, as ranges of bytes. Patterns that package pretokenize has scanners for
// never come here; this is the slow way for all others.
//
// A pattern that cannot be carried over is an error, never an approximation. Backtracking may take
// exponential time, so matching has a budget: what is left of a text when it is spent has no matches.
package regex

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

const (
	maxPattern = 1 << 16          // bytes of a pattern
	budget     = 10 * time.Second // for one text; honest patterns need microseconds for a piece
)

// Regex is a compiled pattern. Several goroutines may use it.
type Regex struct {
	compiled *regexp2.Regexp
	budget   time.Duration
}

// Compile translates and compiles a pattern.
func Compile(pattern string) (r *Regex, err error) {
	defer func() { // the library indexes without care in some malformed patterns
		if fault := recover(); fault != nil {
			r, err = nil, fmt.Errorf("regular expression %.200q: %v", pattern, fault)
		}
	}()
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("regular expression of %d bytes, at most %d are allowed", len(pattern), maxPattern)
	}
	translated, err := translate(pattern)
	if err != nil {
		return nil, fmt.Errorf("regular expression %.200q: %w", pattern, err)
	}
	compiled, err := regexp2.Compile(translated, regexp2.Multiline)
	if err != nil {
		return nil, fmt.Errorf("regular expression %.200q: %w", pattern, err)
	}
	compiled.MatchTimeout = budget
	return &Regex{compiled, budget}, nil
}

// Find calls match with the byte range of each match in s, in order; a match may be empty.
func (r *Regex) Find(s string, match func(start, end int)) {
	runes := []rune(s)
	deadline := time.Now().Add(r.budget)
	at, offset := 0, 0 // a rune and its byte
	move := func(to int) int {
		for ; at < to; at++ {
			offset += utf8.RuneLen(runes[at])
		}
		return offset
	}
	last := -1 // where the last match ended: an empty one there does not count
	for n := 1; ; n++ {
		found, err := r.compiled.FindRunesMatchStartingAt(runes, at)
		if err != nil || found == nil || n%64 == 0 && time.Now().After(deadline) {
			return
		}
		start := move(found.Index)
		end := move(found.Index + found.Length)
		if found.Length > 0 || start != last {
			match(start, end)
		}
		last = end
		if found.Length == 0 { // the next search begins one character on
			if at >= len(runes) {
				return
			}
			move(at + 1)
		}
	}
}
