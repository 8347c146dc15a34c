// Package generate owns the step in which one source answers every prompt.
//
// Flow in: part k of prompts; flow out: part k of generations/<source>, one row for each prompt and sample with the
// distributions that the source had at every position. The model is behind Generator; who implements it batches the
// concurrent calls. Every answer has its own seed, from the configured one, the prompt's id, the source and the
// sample, so that parts may run in any order and on any worker.
//
// A prompt that does not fit the model's context is rejected (too_long), never cut. The package computes nothing of
// its own: rendering is models/chat's, log-probs are the model's.
package generate
