package engine

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/profuser/profuser/fusion/dist"
)

// sampling says how a token is drawn; the fields are those of GenerateRequest.
type sampling struct {
	temperature float64
	topK        int
	topP, minP  float64
}

func (r GenerateRequest) sampling() sampling {
	return sampling{r.Temperature, r.TopK, r.TopP, r.MinP}
}

// penalise divides the positive logits of tokens seen before by penalty and multiplies the others. Source: CTRL, Keskar et
// al. 2019 (arXiv 1909.05858), as transformers has it.
func penalise(logits []float32, penalty float64, seen ...[]int32) {
	done := map[int32]bool{}
	for _, ids := range seen {
		for _, id := range ids {
			if int(id) >= len(logits) || done[id] {
				continue
			}
			done[id] = true
			if x := float64(logits[id]); x > 0 {
				logits[id] = float32(x / penalty)
			} else {
				logits[id] = float32(x * penalty)
			}
		}
	}
}

// sample draws a token from softmax(logits / temperature) [V], of which top-k, then top-p, then min-p keep a part: the k
// most probable ones; of these the smallest set whose probability reaches p; of these the ones of at least min-p times the
// largest probability. The most probable token stays always; equal probabilities are ordered by id. Temperature 0 takes
// the most probable token, the lowest id on ties.
//
// Sources: Holtzman et al. 2020 (arXiv 1904.09751) for top-p, Nguyen et al. 2024 (arXiv 2407.01082) for min-p; the order
// is that of transformers.
func sample(logits []float32, s sampling, random *rand.Rand) int32 {
	best := 0
	for v, x := range logits {
		if x > logits[best] {
			best = v
		}
	}
	if s.temperature == 0 {
		return int32(best)
	}
	weights := make([]float64, len(logits))
	total := dist.Weights(weights, logits, logits[best], 1/s.temperature)
	kept := s.keep(logits, weights, total)
	if kept == nil {
		return draw(weights, nil, total, random)
	}
	return draw(weights, kept, sum(weights, kept), random)
}

// keep lists the tokens that stay, nil meaning all. The largest weight is 1.
func (s sampling) keep(logits []float32, weights []float64, total float64) []int32 {
	var kept []int32
	switch byP := s.topP > 0 && s.topP < 1; {
	case s.topK > 0 && s.topK < len(weights):
		kept = dist.Largest(logits, s.topK)
		if byP {
			kept = s.nucleus(weights, kept, sum(weights, kept))
		}
	case byP:
		// What top-p leaves out weighs at most (1-p)·total, and all tokens below this weight less than that.
		least := (1 - s.topP) * total / float64(len(weights))
		for v, w := range weights {
			if w >= least {
				kept = append(kept, int32(v))
			}
		}
		slices.SortStableFunc(kept, func(a, b int32) int { return cmp.Compare(weights[b], weights[a]) })
		kept = s.nucleus(weights, kept, total)
	case s.minP > 0:
		for v := range weights {
			kept = append(kept, int32(v))
		}
	}
	return slices.DeleteFunc(kept, func(v int32) bool { return weights[v] < s.minP })
}

// nucleus cuts tokens in descending order where their weights reach top-p of total.
func (s sampling) nucleus(weights []float64, order []int32, total float64) []int32 {
	var mass float64
	for k, v := range order {
		if mass += weights[v]; mass >= s.topP*total {
			return order[:k+1]
		}
	}
	return order
}

func sum(weights []float64, ids []int32) (total float64) {
	for _, v := range ids {
		total += weights[v]
	}
	return total
}

// draw takes one of the tokens in kept, nil for all, whose weights sum to total.
func draw(weights []float64, kept []int32, total float64, random *rand.Rand) int32 {
	x := random.Float64() * total
	if kept == nil {
		for v, w := range weights {
			if x -= w; x < 0 {
				return int32(v)
			}
		}
		return int32(len(weights) - 1)
	}
	for _, v := range kept {
		if x -= weights[v]; x < 0 {
			return v
		}
	}
	return kept[len(kept)-1]
}
