// Package mersenne owns Python's random numbers: the Mersenne Twister as random.Random seeds it, and random.sample.
//
// Flow in: a seed and the sizes of the samples; flow out: the same indices that Python draws, one sample after another.
// lm-evaluation-harness draws its few-shot examples with it, so that equal prompts need equal draws.
//
// It is no source of good or secret random numbers: everything else here uses math/rand/v2.
package mersenne
