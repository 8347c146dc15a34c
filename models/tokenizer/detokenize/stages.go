package detokenize

import (
	"strings"

	"github.com/profuser/profuser/models/tokenizer/component"
	"github.com/profuser/profuser/models/tokenizer/regex"
)

// mapped rewrites every token by itself.
type mapped func(token string) string

func (f mapped) push(token string, emit func(string)) { emit(f(token)) }
func (f mapped) end(func(string))                     {}

// joined waits for all parts of a token.
type joined struct{ all []byte }

func (j *joined) push(token string, _ func(string)) { j.all = append(j.all, token...) }
func (j *joined) end(emit func(string))             { emit(string(j.all)) }

// spaced puts a space between tokens.
type spaced struct{ started bool }

func (s *spaced) push(token string, emit func(string)) {
	if s.started {
		emit(" ")
	}
	s.started = true
	emit(token)
}

func (s *spaced) end(func(string)) {}

// replaced replaces a string; in parts of one token also where it lies across two of them.
type replaced struct {
	old, with string
	fused     bool
	held      string // the end of what came, which the string may begin with
}

func (r *replaced) push(token string, emit func(string)) {
	switch {
	case r.old == "":
		emit(token)
	case !r.fused:
		emit(strings.ReplaceAll(token, r.old, r.with))
	default:
		token = r.held + token
		for {
			before, after, found := strings.Cut(token, r.old)
			if !found {
				break
			}
			emit(before)
			emit(r.with)
			token = after
		}
		keep := min(len(r.old)-1, len(token))
		for keep > 0 && !strings.HasPrefix(r.old, token[len(token)-keep:]) {
			keep--
		}
		emit(token[:len(token)-keep])
		r.held = token[len(token)-keep:]
	}
}

func (r *replaced) end(emit func(string)) { emit(r.held) }

func replaceMatches(pattern *regex.Regex, token, content string) string {
	var out strings.Builder
	last := 0
	pattern.Find(token, func(start, end int) {
		out.WriteString(token[last:start])
		out.WriteString(content)
		last = end
	})
	out.WriteString(token[last:])
	return out.String()
}

// stripStart takes up to left characters off the start of a text.
type stripStart struct {
	content string
	left    int
}

func (s *stripStart) push(token string, emit func(string)) {
	for s.left > 0 && token != "" {
		rest, found := strings.CutPrefix(token, s.content)
		if !found {
			s.left = 0
			break
		}
		token, s.left = rest, s.left-1
	}
	emit(token)
}

func (s *stripStart) end(func(string)) {}

// strip takes up to start characters off the left of a token and up to stop off its right.
func strip(token, content string, start, stop int) string {
	for n := 0; n < start && strings.HasPrefix(token, content); n++ {
		token = token[len(content):]
	}
	for n := 0; n < stop && strings.HasSuffix(token, content); n++ {
		token = token[:len(token)-len(content)]
	}
	return token
}

// metaspace makes spaces of markers, except in the first token, where they are the dummy prefix.
type metaspace struct{ skip, fused bool }

func (m *metaspace) push(token string, emit func(string)) {
	space := " "
	if m.skip {
		space = ""
	}
	m.skip = m.skip && m.fused
	emit(strings.ReplaceAll(token, component.Marker, space))
}

func (m *metaspace) end(func(string)) {}

// wordPiece puts a space before every word but the first.
type wordPiece struct {
	prefix  string
	cleanup bool
	started bool
}

func (w *wordPiece) push(token string, emit func(string)) {
	if w.started {
		rest, inside := strings.CutPrefix(token, w.prefix)
		if token = rest; !inside {
			token = " " + token
		}
	}
	w.started = true
	if w.cleanup {
		token = cleanup.in(token)
	}
	emit(token)
}

func (w *wordPiece) end(func(string)) {}

// replacements are done one after the other.
type replacements [][2]string

func (all replacements) in(token string) string {
	for _, pair := range all {
		token = strings.ReplaceAll(token, pair[0], pair[1])
	}
	return token
}

// cleanup takes spaces away that English has not.
var cleanup = replacements{
	{" .", "."},
	{" ?", "?"},
	{" !", "!"},
	{" ,", ","},
	{" ' ", "'"},
	{" n't", "n't"},
	{" 'm", "'m"},
	{" do not", " don't"},
	{" 's", "'s"},
	{" 've", "'ve"},
	{" 're", "'re"},
}

// suffixed makes a space of the suffix of every word but the last.
type suffixed struct {
	suffix, held string
	started      bool
}

func (s *suffixed) push(token string, emit func(string)) {
	if s.started {
		emit(s.word(s.held, " "))
	}
	s.held, s.started = token, true
}

func (s *suffixed) end(emit func(string)) {
	if s.started {
		emit(s.word(s.held, ""))
	}
}

func (s *suffixed) word(token, space string) string {
	if s.suffix == "" {
		return token
	}
	return strings.ReplaceAll(token, s.suffix, space)
}

// ctc drops repeated tokens and padding.
type ctc struct {
	pad, delimiter string
	cleanup        bool
	previous       string
	started        bool
}

func (c *ctc) push(token string, emit func(string)) {
	if c.started && token == c.previous {
		return
	}
	c.started, c.previous = true, token
	if c.pad != "" {
		token = strings.ReplaceAll(token, c.pad, "")
	}
	if c.cleanup {
		token = cleanup.in(token)
		if c.delimiter != "" {
			token = strings.ReplaceAll(token, c.delimiter, " ")
		}
	}
	if token != "" {
		emit(token)
	}
}

func (c *ctc) end(func(string)) {}
