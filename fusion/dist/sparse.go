package dist

import (
	"fmt"
	"math"
	"slices"
)

// Sparse holds T distributions in CSR form. Invariants (Validate): the counts add up to len(IDs) = len(LogProbs);
// within a position log-probs descend and no id stands twice; the mass of a position is at most 1 within rounding.
// The zero value holds no positions.
type Sparse struct {
	// Counts [T] is the number of entries of each position.
	Counts []int32
	// IDs [sum Counts] are vocabulary ids.
	IDs []int32
	// LogProbs [sum Counts] are normalised log-probs in nats.
	LogProbs []float32
}

// Len gives T, the number of positions.
func (s Sparse) Len() int { return len(s.Counts) }

// Offsets gives T+1 numbers: entries Offsets()[t] to Offsets()[t+1] belong to position t. Loops over positions use it
// once; At counts from the start each time.
func (s Sparse) Offsets() []int32 {
	offsets := make([]int32, len(s.Counts)+1)
	for t, count := range s.Counts {
		offsets[t+1] = offsets[t] + count
	}
	return offsets
}

// At gives the entries of position t, sharing memory with s. It costs O(t).
func (s Sparse) At(t int) (ids []int32, logprobs []float32) {
	start := 0
	for _, count := range s.Counts[:t] {
		start += int(count)
	}
	end := start + int(s.Counts[t])
	return s.IDs[start:end:end], s.LogProbs[start:end:end]
}

// Rest gives the mass that position t does not store: max(0, 1 - Σ exp(logprobs)). A position without entries has
// rest 1.
//
// Source: spec/schemas.md, FusionExample.
func (s Sparse) Rest(t int) float64 {
	_, logprobs := s.At(t)
	rest := 1.0
	for _, x := range logprobs {
		rest -= math.Exp(float64(x))
	}
	return max(0, rest)
}

// Append adds one position; ids and logprobs are copied as they are.
func (s *Sparse) Append(ids []int32, logprobs []float32) {
	s.Counts = append(s.Counts, int32(len(ids)))
	s.IDs = append(s.IDs, ids...)
	s.LogProbs = append(s.LogProbs, logprobs...)
}

// Clone gives a copy that shares no memory with s.
func (s Sparse) Clone() Sparse {
	return Sparse{slices.Clone(s.Counts), slices.Clone(s.IDs), slices.Clone(s.LogProbs)}
}

// Top gives a copy with the most probable k entries of each position, and own [T], the text's tokens, where a position has
// them; its mass goes to the rest. k = 0 keeps all.
func (s Sparse) Top(k int, own []int32) Sparse {
	if k <= 0 {
		return s.Clone()
	}
	out := Sparse{Counts: make([]int32, 0, len(s.Counts))}
	start := 0
	for t, count := range s.Counts {
		kept := int32(0)
		for at := start; at < start+int(count); at++ {
			if at-start < k || t < len(own) && s.IDs[at] == own[t] {
				out.IDs, out.LogProbs = append(out.IDs, s.IDs[at]), append(out.LogProbs, s.LogProbs[at])
				kept++
			}
		}
		out.Counts = append(out.Counts, kept)
		start += int(count)
	}
	return out
}

// Validate checks the invariants of Sparse and that every id lies in [0, vocab). Mass may exceed 1 by what rounding to
// bfloat16 explains: 2^-7 · Σ p·|log p| + 1e-5. Errors name the position and the first fault.
//
// Source: spec/schemas.md, "What keeps them small".
func (s Sparse) Validate(vocab int) error {
	if len(s.IDs) != len(s.LogProbs) {
		return fmt.Errorf("distributions hold %d ids and %d log-probs: want as many of each", len(s.IDs), len(s.LogProbs))
	}
	start := 0
	for t, count := range s.Counts {
		if count < 0 || start+int(count) > len(s.IDs) {
			return fmt.Errorf("position %d: count is %d with %d entries left: counts must be 0 or more and add up to the entries", t, count, len(s.IDs)-start)
		}
		end := start + int(count)
		if err := validPosition(s.IDs[start:end], s.LogProbs[start:end], vocab); err != nil {
			return fmt.Errorf("position %d: %w", t, err)
		}
		start = end
	}
	if start != len(s.IDs) {
		return fmt.Errorf("counts add up to %d, but %d entries are stored", start, len(s.IDs))
	}
	return nil
}

func validPosition(ids []int32, logprobs []float32, vocab int) error {
	var mass, spread float64
	for k, x := range logprobs {
		if id := ids[k]; id < 0 || int(id) >= vocab {
			return fmt.Errorf("entry %d has id %d: want 0 to %d", k, id, vocab-1)
		}
		if !(x <= 0) || math.IsInf(float64(x), -1) {
			return fmt.Errorf("entry %d has log-prob %v: want a finite number of at most 0", k, x)
		}
		if k > 0 && x > logprobs[k-1] {
			return fmt.Errorf("entry %d has log-prob %v after %v: want them descending", k, x, logprobs[k-1])
		}
		p := math.Exp(float64(x))
		mass += p
		spread += p * -float64(x)
	}
	if limit := 1 + spread/128 + 1e-5; mass > limit {
		return fmt.Errorf("mass is %.6f: want at most %.6f", mass, limit)
	}
	sorted := slices.Clone(ids)
	slices.Sort(sorted)
	for k := 1; k < len(sorted); k++ {
		if sorted[k] == sorted[k-1] {
			return fmt.Errorf("id %d stands twice", sorted[k])
		}
	}
	return nil
}
