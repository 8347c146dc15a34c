package alignment

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/tokenizer"
)

// Side is the source or the target.
type Side struct {
	*tokenizer.Tokenizer
	// Stops are the ids that end a turn, end-of-turn first; none known: no text is closed.
	Stops []int32
	// Vocab is the number of ids that distributions may name, at least the tokenizer's.
	Vocab int
}

// OpenSide loads a model's directory or a tokenizer's file. ends are tokens or ids that end a turn, end-of-turn first; without
// any they are what the directory's files say.
func OpenSide(path string, ends []string) (*Side, error) {
	t, err := tokenizer.Load(path)
	if err != nil {
		return nil, err
	}
	s := &Side{Tokenizer: t}
	size, err := chat.VocabSize(path)
	if err != nil {
		return nil, err
	}
	s.Vocab = max(size, t.Size())
	if len(ends) == 0 {
		s.Stops, err = chat.Stops(path, t)
		return s, err
	}
	for _, end := range ends {
		id := int32(-1)
		if n, err := strconv.ParseInt(end, 10, 32); err == nil {
			id = int32(n)
		} else if named, ok := t.ID(end); ok {
			id = named
		}
		if t.Token(id) == "" {
			return nil, fmt.Errorf("end of turn %q: is neither a token of %s nor an id from 0 to %d", end, path, t.Size()-1)
		}
		s.Stops = append(s.Stops, id)
	}
	return s, nil
}

// EndOfTurn is the first of Stops, -1 without any.
func (s *Side) EndOfTurn() int32 {
	if len(s.Stops) == 0 {
		return -1
	}
	return s.Stops[0]
}

// closed says whether a text's last token ends the turn.
func (s *Side) closed(ids []int32) bool {
	return len(ids) > 0 && slices.Contains(s.Stops, ids[len(ids)-1])
}

// starts finds where the tokens of a text begin; end-of-turn begins at its end.
func (s *Side) starts(text string, ids []int32) (starts []int32, closed bool, err error) {
	closed = s.closed(ids)
	inText := ids
	if closed {
		inText = ids[:len(ids)-1]
	}
	if starts, err = s.Starts(text, inText); err != nil {
		return nil, false, err
	}
	if closed {
		starts = append(starts, int32(len(text)))
	}
	return starts, closed, nil
}

// known refuses ids that are not the tokenizer's.
func (s *Side) known(list string, ids []int32) error {
	for i, id := range ids {
		if s.Token(id) == "" {
			return fmt.Errorf("%s[%d]: %d is not in the vocabulary of %d tokens", list, i, id, s.Size())
		}
	}
	return nil
}
