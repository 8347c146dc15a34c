package align

import (
	"fmt"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/schemas"
)

// Tokens are one model's tokens of a text x.
type Tokens struct {
	// IDs [T] are the tokens, end-of-turn last if Closed.
	IDs []int32
	// Starts [T] are byte offsets in x, not descending; negative where a token begins in the template or with a dummy
	// prefix. The end-of-turn's is len(x).
	Starts []int32
	// Closed says that the last token is the end-of-turn.
	Closed bool
}

// Source is what alignment needs to know of the source's vocabulary.
type Source interface {
	// Bytes is what a token stands for; empty for special tokens.
	Bytes(id int32) []byte
	// Special says whether a token is control, not text.
	Special(id int32) bool
	// Size is the number of ids.
	Size() int
}

// Target is what alignment needs to know of the target's vocabulary.
type Target interface {
	Source
	// EncodeMidText gives the tokens of bytes in the middle of a text: no dummy prefix, no special tokens.
	EncodeMidText(text []byte) []int32
}

// Aligned is the result for a text of n target tokens.
type Aligned struct {
	// Dist holds n distributions over the target's vocabulary; none where Status is none.
	Dist dist.Sparse
	// Status [n] says how each came about.
	Status []schemas.Status
}

// span is a half-open range of bytes of x, its start clipped to 0.
type span struct{ start, end int }

// spans gives the clipped spans of all tokens; the end-of-turn's is empty at the end of x.
func (t Tokens) spans(side string, size int) ([]span, error) {
	if len(t.Starts) != len(t.IDs) {
		return nil, fmt.Errorf("%s: %d starts for %d tokens", side, len(t.Starts), len(t.IDs))
	}
	if t.Closed && len(t.IDs) == 0 {
		return nil, fmt.Errorf("%s: closed, but without tokens", side)
	}
	out := make([]span, len(t.IDs))
	for i, s := range t.Starts {
		start := max(0, int(s))
		if start > size || (i > 0 && start < out[i-1].start) {
			return nil, fmt.Errorf("%s: token %d starts at byte %d: starts must not descend nor pass the text's %d bytes", side, i, s, size)
		}
		out[i] = span{start, size}
		if i > 0 {
			out[i-1].end = start
		}
	}
	if t.Closed {
		out[len(out)-1] = span{size, size}
		if n := len(out); n > 1 {
			out[n-2].end = size
		}
	}
	return out, nil
}

// glue is what token i has of the template: its bytes before the text's first.
func glue(v Source, t Tokens, i int) []byte {
	if i >= len(t.Starts) || t.Starts[i] >= 0 {
		return nil
	}
	b := v.Bytes(t.IDs[i])
	return b[:min(len(b), -int(t.Starts[i]))]
}
