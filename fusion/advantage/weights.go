package advantage

import "math"

// Softmax is exp(x) / Σ exp(x) of any numbers and without overflow; -Inf takes no part and gets 0, as do all where none
// takes part.
func Softmax(xs []float64) []float64 {
	out := make([]float64, len(xs))
	top, sum := math.Inf(-1), 0.0
	for _, x := range xs {
		top = math.Max(top, x)
	}
	if math.IsInf(top, -1) {
		return out
	}
	for k, x := range xs {
		out[k] = math.Exp(x - top)
		sum += out[k]
	}
	for k := range out {
		out[k] /= sum
	}
	return out
}

// RewardWeights are the weights of a prompt's responses in training: softmax(reward / temperature), temperature positive.
// They add up to 1; a low temperature gives all to the best, a high one the same to all.
//
// Source: FuseRL's FuseSFT (arXiv 2504.06562), where rewards of all sources' responses weigh them.
func RewardWeights(rewards []float64, temperature float64) []float64 {
	scaled := make([]float64, len(rewards))
	for i, r := range rewards {
		scaled[i] = r / temperature
	}
	return Softmax(scaled)
}
