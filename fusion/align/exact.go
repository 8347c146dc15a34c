package align

import (
	"fmt"
	"slices"
	"sync"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/schemas"
)

// Exact aligns by bytes: every stored alternative of the source follows the text as far as it agrees. One Exact serves
// one pair of source and target; it may be used by many goroutines.
type Exact struct {
	source        Source
	target        Target
	targetEnd     int32
	sameTokenizer bool
	kinds         []kind // by source id
	memo          *memo
	walks         sync.Pool
}

// kind says what an alternative stands for.
type kind uint8

const (
	ordinary kind = iota
	silent        // special or without bytes: what it says is unknown to the target
	stop          // ends the turn
)

// NewExact prepares alignment from source to target. sourceStops are all ids that end the source's turn: their mass
// adds up on targetEndOfTurn, the special token that the target's template puts after an answer; -1: none is known, their
// mass goes to the rest. Fingerprints are those
// of the id → bytes tables; where both are equal and not empty, texts with equal ids are copied unchanged.
func NewExact(source Source, sourceStops []int32, sourceFingerprint string, target Target, targetEndOfTurn int32, targetFingerprint string) *Exact {
	e := &Exact{
		source:        source,
		target:        target,
		targetEnd:     targetEndOfTurn,
		sameTokenizer: sourceFingerprint != "" && sourceFingerprint == targetFingerprint,
		kinds:         make([]kind, source.Size()),
		memo:          newMemo(source, target),
	}
	for id := range e.kinds {
		if source.Special(int32(id)) || len(source.Bytes(int32(id))) == 0 {
			e.kinds[id] = silent
		}
	}
	for _, id := range sourceStops {
		if id >= 0 && int(id) < len(e.kinds) {
			e.kinds[id] = silent
			if targetEndOfTurn >= 0 {
				e.kinds[id] = stop
			}
		}
	}
	e.walks.New = func() any { return new(walk) }
	return e
}

// kind of a source id. Ids after the tokenizer's, with which models pad their vocabulary, say nothing.
func (e *Exact) kind(id int32) kind {
	if int(id) >= len(e.kinds) {
		return silent
	}
	return e.kinds[id]
}

// Align gives the target's distributions of text: source [n] its source tokens with d [n] their distributions (the
// text's token stored at each) and textRank [n], -1 where the text's token was outside the source's top-k; target [m]
// its target tokens. Log-probs are nats, of the result not rounded to bfloat16; text may be any bytes, empty ones too.
//
//	C_l = Π_{m<l} p_m(s_m)                        the text's own path up to source boundary a_l
//	(l, v), v ≠ s_l, weight C_l · p_l(v)          a cover: target tokens target(x[c : a_l] + bytes(v)), c = the start of
//	                                              the target token in which a_l lies; alive at a later boundary while
//	                                              these are the text's, ended there when none is left
//	own(c) = C_l, l the first boundary with a_l >= c
//	E_i = own(c_i) + Σ covers alive or ended at c_i
//	p_i(u) = (own(c_{i+1})·[u = t_i] + Σ covers whose token at i is u) / E_i
//
// A stop id at a_l = c_i counts for the target's end-of-turn; ended covers, other special tokens, tokens without
// bytes, ids beyond the tokenizer (padding of the model's vocabulary) and bytes without target tokens leave their mass
// to the rest. So p(t_i) = E_{i+1}/E_i, and the product over
// the text is the source's likelihood of its tokenisation and of the stored ones that spell the same target tokens.
// Where rounded source log-probs make a position's mass more than 1, the position is divided by it.
// A first token that begins in the template: alternatives must begin with the same template bytes, which are then
// replaced by those that the target's token has of its template. Tokens without bytes of the text (a template space
// generated on its own, all but the last token of a character that normalisation rewrote) are tokens like others: of
// several source boundaries at one byte the first counts for own, of several target tokens that start there the first
// takes their covers.
//
// Status: exact (spans equal), boundary (starts equal), inner (the target token starts inside a source token), none:
// inner, no cover alive or ended there and s_j outside the top-k, or no source token there at all; no entries then.
// Equal fingerprints and ids: a copy. The result does not depend on the order of stored entries; equal log-probs are
// stored by id. Cost O(n + m + entries) with remembered target tokens.
//
// Errors name the position: lengths that differ, starts that fall or leave the text, ids outside the vocabulary,
// log-probs that are positive or not finite, a text token that is not stored, end-of-turn on one side only.
//
// Source: spec/alignment.md §2. Different from FuseLLM and FuseChat: no edit distances, no one-hot positions.
func (e *Exact) Align(text []byte, source Tokens, d dist.Sparse, textRank []int32, target Tokens) (Aligned, error) {
	if err := checkInput(text, source, d, textRank, target, e.target.Size()); err != nil {
		return Aligned{}, fmt.Errorf("aligning a text of %d bytes: %w", len(text), err)
	}
	if e.sameTokenizer && slices.Equal(source.IDs, target.IDs) {
		return Aligned{Dist: d.Clone(), Status: slices.Repeat([]schemas.Status{schemas.StatusExact}, len(target.IDs))}, nil
	}
	w := e.walks.Get().(*walk)
	defer func() {
		w.release()
		e.walks.Put(w)
	}()
	if err := w.begin(e, text, source, d, textRank, target); err != nil {
		return Aligned{}, fmt.Errorf("aligning a text of %d bytes: %w", len(text), err)
	}
	expected := len(d.IDs) + 2*len(target.IDs)
	w.out = Aligned{
		Dist: dist.Sparse{
			Counts:   make([]int32, 0, len(target.IDs)),
			IDs:      make([]int32, 0, expected),
			LogProbs: make([]float32, 0, expected),
		},
		Status: make([]schemas.Status, 0, len(target.IDs)),
	}
	for i := range target.IDs {
		w.step(i)
	}
	return w.out, nil
}

// AlignBeside is Align: exact alignment does not need the target's own distributions.
func (e *Exact) AlignBeside(text []byte, source Tokens, d dist.Sparse, textRank []int32, target Tokens, _ dist.Sparse) (Aligned, error) {
	return e.Align(text, source, d, textRank, target)
}

// checkInput refuses input that breaks the contract of Align, for a target vocabulary of size tokens; entries are checked
// as they are read.
func checkInput(text []byte, source Tokens, d dist.Sparse, textRank []int32, target Tokens, size int) error {
	if err := source.validate("source", len(text)); err != nil {
		return err
	}
	if err := target.validate("target", len(text)); err != nil {
		return err
	}
	n := len(source.IDs)
	if len(d.Counts) != n || len(textRank) != n {
		return fmt.Errorf("%d source tokens, %d distributions, %d text ranks: want as many of each", n, len(d.Counts), len(textRank))
	}
	if len(d.IDs) != len(d.LogProbs) {
		return fmt.Errorf("the source's distributions hold %d ids and %d log-probs: want as many of each", len(d.IDs), len(d.LogProbs))
	}
	for i, id := range target.IDs {
		if id < 0 || int(id) >= size {
			return fmt.Errorf("target token %d has id %d: the target's tokenizer has 0 to %d", i, id, size-1)
		}
	}
	if target.Closed != source.Closed {
		return fmt.Errorf("end-of-turn after the source's tokens: %v, after the target's: %v; both follow from one finish reason", source.Closed, target.Closed)
	}
	return nil
}
