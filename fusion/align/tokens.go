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

// Input are the rows of one text: distributions that follow its tokens, as FuseLLM stores them. Row j is what a model
// says after token j.
type Input struct {
	// IDs [n] are the text's tokens.
	IDs []int32
	// Counts [up to n] cuts Entries into rows; tokens after the last row have none.
	Counts []int32
	// Entries are vocabulary ids, the most probable first within a row.
	Entries []int32
	// Values [Entries] are what the entries carry, log-probs or logits; only transport reads them.
	Values []float64
}

// Rows are rows over the target's vocabulary, one for each target token.
type Rows struct {
	// Counts [m] cuts the lists into rows.
	Counts []int32
	// IDs are target ids, in the order of the source's entries.
	IDs []int32
	// From is the source's entry that each was copied from; -1 for those that Mass gives.
	From []int32
	// Mass is the probability of entries that were not copied: 1 for a one-hot, the plan's for transport.
	Mass []float64
	// Status [m] is exact for a copied row, one-hot, or none for one without entries.
	Status []schemas.Status
}

// add appends an entry.
func (r *Rows) add(id, from int32, mass float64) {
	r.IDs, r.From, r.Mass = append(r.IDs, id), append(r.From, from), append(r.Mass, mass)
}

// close ends a row that began at entry start.
func (r *Rows) close(start int, status schemas.Status) {
	if len(r.IDs) == start {
		status = schemas.StatusNone
	}
	r.Counts, r.Status = append(r.Counts, int32(len(r.IDs)-start)), append(r.Status, status)
}

// after gives stored entries as rows: all but the first.
func after(ids []int32, d dist.Sparse) Input {
	in := Input{IDs: ids}
	if len(d.Counts) > 0 {
		skipped := d.Counts[0]
		in.Counts, in.Entries, in.Values = d.Counts[1:], d.IDs[skipped:], widened(d.LogProbs[skipped:])
	}
	return in
}

func widened(xs []float32) []float64 {
	out := make([]float64, len(xs))
	for i, x := range xs {
		out[i] = float64(x)
	}
	return out
}
