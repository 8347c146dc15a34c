// Package samples owns the answers that a model in training gives to a few prompts.
//
// Flow in: a learner and prompts in tokens; flow out: the most probable answer to each, in tokens, up to a stop token or a
// limit. The weights are those of the training at that moment; no copy of them and no cache of keys and values is made:
// each token costs a pass over prompt and answer so far, which a few short samples can afford. All passes of a learner have
// one shape, so that its graph is built once.
//
// Not here: sampling at a temperature, many prompts at a time (models/engine), which prompts and where answers go.
package samples
