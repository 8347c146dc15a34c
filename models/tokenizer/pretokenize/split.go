package pretokenize

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/profuser/profuser/models/tokenizer/component"
	"github.com/profuser/profuser/models/tokenizer/normalize"
	"github.com/profuser/profuser/models/tokenizer/regex"
)

// stretch is a range of bytes that a pattern matches, or one between two matches.
type stretch struct {
	start, end int
	match      bool
}

// behavior says what becomes of matches.
type behavior func(all []stretch) []stretch

var behaviors = map[string]behavior{
	"Isolated":           func(all []stretch) []stretch { return all },
	"Removed":            removeMatches,
	"Contiguous":         joinEqual,
	"MergedWithPrevious": joinPrevious,
	"MergedWithNext":     joinNext,
}

func removeMatches(all []stretch) []stretch {
	return slices.DeleteFunc(all, func(s stretch) bool { return s.match })
}

// joinEqual joins neighbours that are both matches, or both none.
func joinEqual(all []stretch) []stretch {
	out, previous := all[:0], false
	for _, s := range all {
		if last := len(out) - 1; s.match == previous && last >= 0 {
			out[last].end = s.end
		} else {
			out = append(out, s)
		}
		previous = s.match
	}
	return out
}

// joinPrevious joins a match with the text before it; of several matches in a row the first.
func joinPrevious(all []stretch) []stretch {
	out, previous := all[:0], false
	for _, s := range all {
		if last := len(out) - 1; s.match && !previous && last >= 0 {
			out[last].end = s.end
		} else {
			out = append(out, s)
		}
		previous = s.match
	}
	return out
}

// joinNext joins a match with the text after it; of several matches in a row the last.
func joinNext(all []stretch) []stretch {
	var out []stretch
	previous := false
	for _, s := range slices.Backward(all) {
		if last := len(out) - 1; s.match && !previous && last >= 0 {
			out[last].start = s.start
		} else {
			out = append(out, s)
		}
		previous = s.match
	}
	slices.Reverse(out)
	return out
}

// finder calls match with every match in s, from left to right.
type finder func(s string, match func(start, end int))

// splitting is the step of a pattern that is found by a finder.
type splitting struct {
	find   finder
	invert bool
	behavior
}

func (c splitting) cut(r *Run, k int, s string, o *normalize.Positions, base int) {
	var all []stretch
	last := 0
	c.find(s, func(start, end int) {
		if start > last {
			all = append(all, stretch{last, start, c.invert})
		}
		all = append(all, stretch{start, end, !c.invert})
		last = end
	})
	if last < len(s) || len(all) == 0 {
		all = append(all, stretch{last, len(s), c.invert})
	}
	for _, part := range c.behavior(all) {
		r.pass(k+1, s[part.start:part.end], o, base+part.start)
	}
}

// literal finds a string.
func literal(pattern string) finder {
	return func(s string, match func(start, end int)) {
		for i := 0; ; {
			next := strings.Index(s[i:], pattern)
			if next < 0 {
				return
			}
			match(i+next, i+next+len(pattern))
			i += next + len(pattern)
		}
	}
}

// eachOf finds every character of a class.
func eachOf(in func(r rune) bool) finder {
	return func(s string, match func(start, end int)) {
		for i := 0; i < len(s); {
			r, size := utf8.DecodeRuneInString(s[i:])
			if in(r) {
				match(i, i+size)
			}
			i += size
		}
	}
}

// classStep cuts around the characters of a class.
func classStep(in func(r rune) bool, name string) (step, error) {
	switch name {
	case "Isolated":
		return cutting{isolated(in)}, nil
	case "Contiguous":
		return cutting{contiguous(in)}, nil
	case "Removed":
		return cutting{removed(in)}, nil
	}
	b, ok := behaviors[name]
	if !ok {
		return nil, unknownBehavior(name)
	}
	return splitting{find: eachOf(in), behavior: b}, nil
}

func unknownBehavior(name string) error {
	return fmt.Errorf("behavior %q is not one of Isolated, Removed, Contiguous, MergedWithPrevious, MergedWithNext", name)
}

func (c *Chain) readSplit(part component.Component) (step, error) {
	var o struct {
		Pattern  *component.Pattern `json:"pattern"`
		Behavior string             `json:"behavior"`
		Invert   bool               `json:"invert"`
	}
	if err := part.Options(&o); err != nil {
		return nil, err
	}
	if err := o.Pattern.Check(); err != nil {
		return nil, fmt.Errorf("Split: %w", err)
	}
	b, ok := behaviors[o.Behavior]
	if !ok {
		return nil, fmt.Errorf("Split: %w", unknownBehavior(o.Behavior))
	}
	if o.Pattern.String != nil {
		if *o.Pattern.String == "" {
			return splitting{find: func(string, func(int, int)) {}, invert: o.Invert, behavior: b}, nil
		}
		return splitting{literal(*o.Pattern.String), o.Invert, b}, nil
	}
	if o.Behavior == "Isolated" {
		if s := Pattern(*o.Pattern.Regex); s != nil && (!c.ByteLevel || *o.Pattern.Regex == threeDigits) {
			if c.ByteLevel {
				return cutting{byteScanner(s)}, nil
			}
			return scanning{s}, nil
		}
	}
	compiled, err := regex.Compile(*o.Pattern.Regex)
	if err != nil {
		return nil, fmt.Errorf("Split: %w", err)
	}
	return splitting{compiled.Find, o.Invert, b}, nil
}
