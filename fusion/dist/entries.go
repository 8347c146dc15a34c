package dist

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Entry is one token of a distribution that was computed elsewhere.
type Entry struct {
	// ID is the token.
	ID int32
	// LogProb is its log-prob in nats, of the whole vocabulary at temperature 1.
	LogProb float64
	// Rank is its place in the source's own order; only the order among equal log-probs is taken from it.
	Rank int
}

// excess is the mass above 1 that float32 arithmetic on the other side explains.
const excess = 1e-2

// FromEntries is FromLogits for distributions of which only the most probable entries are known: entries [T][…], in any
// order, each position with the text's own token among them. Equal log-probs are ordered by Rank, then by id. The result
// equals FromLogits' when TopK entries were given besides the token from outside.
//
// Errors name the position: no entry for the text's token, an id twice, a log-prob that is not finite as it is stored, or
// a mass above 1.
// A log-prob above 0 by less than 1e-3 is rounding, and taken as 0.
//
// Source: FromLogits; here the sums of the softmax were the other side's.
func FromEntries(entries [][]Entry, text []int32, t Truncate) (s Sparse, tokenLogProbs []float32, textRank []int32, err error) {
	if err := t.Validate(); err != nil {
		return Sparse{}, nil, nil, err
	}
	if len(entries) != len(text) {
		return Sparse{}, nil, nil, fmt.Errorf("%d distributions for a text of %d tokens", len(entries), len(text))
	}
	lowest := math.Log(t.MinProb)
	for i, token := range text {
		ranked, own, err := rank(entries[i], token)
		if err != nil {
			return Sparse{}, nil, nil, fmt.Errorf("position %d: %w", i, err)
		}
		place, mass, count := int32(-1), 0.0, int32(0)
		for _, e := range ranked[:min(t.TopK, len(ranked))] {
			if mass >= t.Mass && t.Mass < 1 || e.LogProb < lowest {
				break
			}
			if e.ID == token {
				place = count
			}
			mass += math.Exp(e.LogProb)
			s.IDs = append(s.IDs, e.ID)
			s.LogProbs = append(s.LogProbs, t.stored(float32(e.LogProb)))
			count++
		}
		tokenLogProbs, textRank = append(tokenLogProbs, float32(own)), append(textRank, place)
		if place < 0 {
			s.IDs = append(s.IDs, token)
			s.LogProbs = append(s.LogProbs, t.stored(float32(own)))
			count++
		}
		s.Counts = append(s.Counts, count)
	}
	return s, tokenLogProbs, textRank, nil
}

// rank checks the entries of one position and sorts them, best first; own is the token's log-prob.
func rank(entries []Entry, token int32) (ranked []Entry, own float64, err error) {
	ranked = slices.Clone(entries)
	found, mass := false, 0.0
	seen := make(map[int32]bool, len(ranked))
	for i := range ranked {
		e := &ranked[i]
		switch {
		case e.ID < 0:
			return nil, 0, fmt.Errorf("token id %d is negative", e.ID)
		case seen[e.ID]:
			return nil, 0, fmt.Errorf("token %d stands twice", e.ID)
		case math.IsNaN(e.LogProb) || math.IsInf(float64(RoundBFloat16(float32(e.LogProb))), 0) || e.LogProb > 1e-3:
			return nil, 0, fmt.Errorf("the log-prob of token %d is %v: want a finite number, at most 0", e.ID, e.LogProb)
		}
		e.LogProb = min(e.LogProb, 0)
		seen[e.ID] = true
		mass += math.Exp(e.LogProb)
		if e.ID == token {
			found, own = true, e.LogProb
		}
	}
	if !found {
		return nil, 0, fmt.Errorf("the text's token %d has no log-prob", token)
	}
	if mass > 1+excess {
		return nil, 0, fmt.Errorf("the log-probs add up to a mass of %v: want at most 1", mass)
	}
	slices.SortFunc(ranked, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(b.LogProb, a.LogProb), cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.ID, b.ID))
	})
	return ranked, own, nil
}
