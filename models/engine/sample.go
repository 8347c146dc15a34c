package engine

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// sample draws a token from softmax(logits / temperature) [V], cut to the smallest set whose probability reaches topP
// (at least one token; equal probabilities by id). Temperature 0 takes the most probable token, the lowest id on ties.
//
// Source: nucleus sampling, Holtzman et al. 2020 (arXiv 1904.09751).
func sample(logits []float32, temperature, topP float64, random *rand.Rand) int32 {
	best := 0
	for v, x := range logits {
		if x > logits[best] {
			best = v
		}
	}
	if temperature == 0 {
		return int32(best)
	}
	weights := make([]float64, len(logits))
	var total float64
	for v, x := range logits {
		weights[v] = math.Exp(float64(x-logits[best]) / temperature)
		total += weights[v]
	}
	order := make([]int32, len(logits))
	for v := range order {
		order[v] = int32(v)
	}
	if topP > 0 && topP < 1 {
		slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(weights[b], weights[a]) })
		var kept float64
		for k, v := range order {
			if kept += weights[v]; kept >= topP*total {
				order, total = order[:k+1], kept
				break
			}
		}
	}
	x := random.Float64() * total
	for _, v := range order {
		if x -= weights[v]; x < 0 {
			return v
		}
	}
	return order[len(order)-1]
}
