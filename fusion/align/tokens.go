package align

import (
	"fmt"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/schemas"
)

// Source is what alignment asks of the source's tokenizer. Implementations are safe for concurrent use.
type Source interface {
	// Bytes gives the bytes that a token stands for; nil for special tokens. Callers do not change them.
	Bytes(id int32) []byte
	// Special says whether a token stands for no text.
	Special(id int32) bool
	// Size is the highest id plus one.
	Size() int
}

// Target is what alignment asks of the target's tokenizer.
type Target interface {
	Source
	// EncodeMidText gives the target's tokens of bytes in the middle of a text, target(r) of spec/alignment.md §1: no
	// dummy prefix, no special strings; of two tokens with the same bytes the ordinary one rather than the
	// byte-fallback one; for invalid UTF-8 the longest valid prefix, then single bytes; nothing for a byte without token.
	EncodeMidText(text []byte) []int32
}

// Tokens are one text in one model's tokens.
type Tokens struct {
	// IDs [n] are the tokens, end-of-turn last if Closed.
	IDs []int32
	// Starts [n] is the byte of the text at which each token begins: never falling, the first 0 or less, negative where
	// a token begins in the template or with a dummy prefix, the text's length for end-of-turn. A token ends where the next one begins, the
	// last one at the end of the text.
	Starts []int32
	// Closed says that the last id is end-of-turn.
	Closed bool
}

// Aligned is a text's distributions over the target's vocabulary.
type Aligned struct {
	// Dist [m] holds the distribution of each target token; log-probs are not rounded to bfloat16.
	Dist dist.Sparse
	// Status [m] says how each position got its distribution; no entries where it is schemas.StatusNone.
	Status []schemas.Status
}

// Aligner is a method of alignment, Exact or Comparison, for one source and one target. It may be used by many goroutines.
type Aligner interface {
	// AlignBeside gives the target's distributions of text: source [n] its source tokens with d [n] their distributions and
	// textRank [n], target [m] its target tokens, own [m] the target's own distributions, which only transport uses and which
	// may be missing. See Exact.Align and Comparison.AlignBeside.
	AlignBeside(text []byte, source Tokens, d dist.Sparse, textRank []int32, target Tokens, own dist.Sparse) (Aligned, error)
}

// validate checks lengths and starts; who is source or target, length the text's in bytes.
func (t Tokens) validate(who string, length int) error {
	if len(t.IDs) != len(t.Starts) {
		return fmt.Errorf("the %s has %d tokens and %d starts: want as many of each", who, len(t.IDs), len(t.Starts))
	}
	if t.Closed && len(t.IDs) == 0 {
		return fmt.Errorf("the %s is closed without an end-of-turn token", who)
	}
	for i, start := range t.Starts {
		switch {
		case i > 0 && start < t.Starts[i-1]:
			return fmt.Errorf("%s token %d starts at byte %d, before the start %d of the one before it", who, i, start, t.Starts[i-1])
		case int(start) > length:
			return fmt.Errorf("%s token %d starts at byte %d of a text of %d bytes", who, i, start, length)
		}
	}
	if last := len(t.Starts) - 1; t.Closed && int(t.Starts[last]) != length {
		return fmt.Errorf("%s end-of-turn starts at byte %d: want the text's length %d", who, t.Starts[last], length)
	}
	return nil
}

// clipped appends the starts, negative ones as 0, and the end of the text to bounds[:0]. The first text token begins
// at 0, wherever it says it does.
func (t Tokens) clipped(bounds []int32, length int) []int32 {
	bounds = bounds[:0]
	for _, start := range t.Starts {
		bounds = append(bounds, max(0, start))
	}
	if t.inText() > 0 {
		bounds[0] = 0
	}
	return append(bounds, int32(length))
}

// inText is the number of tokens before end-of-turn.
func (t Tokens) inText() int {
	if t.Closed {
		return len(t.IDs) - 1
	}
	return len(t.IDs)
}
