package vocabulary

import "strings"

// Markers of a word's beginning in token strings, that is of a space: SentencePiece's and the byte-level alphabet's.
const (
	MarkerSentencePiece = "▁"
	MarkerByteLevel     = "Ġ"
)

// Strings are a vocabulary's own token strings, as the string methods compare them.
type Strings struct {
	tokens []string // by id; "": no token
	bytes  []int32  // by id: how many it stands for
	marker string
	ids    map[string]int32 // the lowest id of each string
}

// NewStrings reads the strings of a vocabulary. Its marker is the one that begins more tokens that stand for a space first.
func NewStrings(v Vocabulary) *Strings {
	s := &Strings{tokens: make([]string, v.Size()), bytes: make([]int32, v.Size()), ids: make(map[string]int32, v.Size())}
	pieces, levels := 0, 0
	for id := range s.tokens {
		token := v.Token(int32(id))
		s.tokens[id], s.bytes[id] = token, int32(len(v.Bytes(int32(id))))
		if token == "" {
			continue
		}
		if _, known := s.ids[token]; !known {
			s.ids[token] = int32(id)
		}
		if content := v.Bytes(int32(id)); len(content) > 0 && content[0] == ' ' {
			if strings.HasPrefix(token, MarkerSentencePiece) {
				pieces++
			} else if strings.HasPrefix(token, MarkerByteLevel) {
				levels++
			}
		}
	}
	switch {
	case levels > pieces:
		s.marker = MarkerByteLevel
	case pieces > 0:
		s.marker = MarkerSentencePiece
	}
	return s
}

// Size is the highest id plus one.
func (s *Strings) Size() int { return len(s.tokens) }

// Marker is the vocabulary's word marker, "" if it has none.
func (s *Strings) Marker() string { return s.marker }

// Token is the string of an id, "" if no token has it.
func (s *Strings) Token(id int32) string {
	if id < 0 || int(id) >= len(s.tokens) {
		return ""
	}
	return s.tokens[id]
}

// Bytes is how many bytes an id stands for, 0 for special tokens.
func (s *Strings) Bytes(id int32) int {
	if id < 0 || int(id) >= len(s.bytes) {
		return 0
	}
	return int(s.bytes[id])
}

// ID is the lowest id with a string.
func (s *Strings) ID(token string) (int32, bool) {
	id, ok := s.ids[token]
	return id, ok
}

// Bare is the string of an id with the marker taken out everywhere.
func (s *Strings) Bare(id int32) string {
	if s.marker == "" {
		return s.Token(id)
	}
	return strings.ReplaceAll(s.Token(id), s.marker, "")
}

// As is the string of an id with the marker replaced everywhere by that of other, if both have one.
func (s *Strings) As(other *Strings, id int32) string {
	if s.marker == "" || other.marker == "" || s.marker == other.marker {
		return s.Token(id)
	}
	return strings.ReplaceAll(s.Token(id), s.marker, other.marker)
}

// plain writes the byte-level spellings that FuseChat's code knows as SentencePiece's.
var plain = strings.NewReplacer("âĢĻ", "’", "âĢĶ", "—", "âĢĿ", "”", "č", "\r", "ĉ", "<0x09>", "Ċ", "<0x0A>")

// Plain are the strings as FuseChat's code compares them: the byte-level spellings of ’ — ” and of carriage return, tab and
// newline are written as SentencePiece writes these. ID stays that of the vocabulary's own strings.
func (s *Strings) Plain() *Strings {
	out := *s
	out.tokens = make([]string, len(s.tokens))
	for id, token := range s.tokens {
		out.tokens[id] = plain.Replace(token)
	}
	return &out
}

// SameString maps every source token to the target token with the same string, word markers made the same, or to none:
// FuseLLM's "hard" map.
//
// Source: spec/alignment.md §3; Wan et al., "Knowledge fusion of large language models" (2024), appendix.
func SameString(source, target *Strings) *Map {
	m := newMap(MethodSameString, source.Size())
	for id := range int32(source.Size()) {
		if same, ok := target.ID(source.As(target, id)); ok && source.Token(id) != "" {
			m.add(0, same)
		} else {
			m.add(0)
		}
	}
	return m
}
