package chunk

import (
	"fmt"

	"github.com/profuser/profuser/fusion/align"
)

// Chunks are the spans of a text, one after another without gaps.
type Chunks struct {
	// Ends [c] is the number of target tokens up to each chunk's end, rising; the last is the number of all.
	Ends []int32
	// LogProbs [c] is the source's log-probability of each chunk given what stands before it, nats, at most 0.
	LogProbs []float32
}

// Of cuts a text of length bytes at every boundary that both tokenisations have, and adds up the source's log-probs in
// between:
//
//	log p(chunk) = Σ log p(s_j) over the source's tokens s_j of the chunk
//
// Starts are clipped to the text, the first token begins at 0, end-of-turn is a chunk of its own, and tokens without bytes
// go with what follows them. Shapes: source [n] with logProbs [n], target [m]; c is between 1 and min(n, m), and 0 where
// either has no tokens. Sums are in float64. Errors: lists of different lengths, only one side closed.
//
// Source: the alignment of Minixhofer et al. 2025 (arXiv 2503.20083), section 3.1, over bytes; without their threshold on
// the difference in tokenisation bias, which needs counts over a corpus.
func Of(length int, source, target align.Tokens, logProbs []float32) (Chunks, error) {
	switch {
	case len(source.IDs) != len(source.Starts) || len(source.IDs) != len(logProbs):
		return Chunks{}, fmt.Errorf("the source has %d tokens, %d starts and %d log-probs: want as many of each", len(source.IDs), len(source.Starts), len(logProbs))
	case len(target.IDs) != len(target.Starts):
		return Chunks{}, fmt.Errorf("the target has %d tokens and %d starts: want as many of each", len(target.IDs), len(target.Starts))
	case source.Closed != target.Closed:
		return Chunks{}, fmt.Errorf("the source's text ends its turn: %v, the target's: %v; want the same", source.Closed, target.Closed)
	case len(source.IDs) == 0 || len(target.IDs) == 0:
		return Chunks{}, nil
	}
	var c Chunks
	sum := float64(logProbs[0])
	at := int32(0) // where the chunk under way begins
	i := 1         // the first target token that begins after at, or is not yet looked at
	for j := 1; j < len(source.IDs); j++ {
		if start := begin(source, j, length); start > at {
			for i < len(target.IDs) && begin(target, i, length) < start {
				i++
			}
			if i < len(target.IDs) && begin(target, i, length) == start {
				c.add(i, sum)
				sum, at = 0, start
			}
		}
		sum += float64(logProbs[j])
	}
	c.add(len(target.IDs), sum)
	return c, nil
}

// begin is where a token begins in the text. End-of-turn begins after all bytes, and after tokens without any.
func begin(t align.Tokens, i, length int) int32 {
	if t.Closed && i == len(t.IDs)-1 {
		return int32(length) + 1
	}
	return min(max(0, t.Starts[i]), int32(length))
}

// add ends a chunk.
func (c *Chunks) add(end int, sum float64) {
	c.Ends, c.LogProbs = append(c.Ends, int32(end)), append(c.LogProbs, float32(min(0, sum)))
}
