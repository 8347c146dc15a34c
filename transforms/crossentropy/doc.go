// Package crossentropy owns the step in which one source is teacher-forced on the references.
//
// Flow in: part k of prompts; flow out: part k of crossentropy/<source>, one row for each prompt that has a reference:
// nats, bytes, tokens, and the distributions that the source had at every position of the reference and at its
// end-of-turn. With Step.Responses the texts are the responses of one source instead (crossentropy-responses/<source>, for
// the method perplexity). The model is behind Scorer; who implements it batches the concurrent calls.
//
// A prompt and reference that do not fit the model's context together are rejected (too_long), never cut. The only
// arithmetic here is the sum of the log-probs.
package crossentropy
