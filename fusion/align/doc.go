// Package align moves a source's distributions over one text to the target's tokens of the same text.
//
// In flow the text's bytes, the source's tokens with their stored distributions and the target's tokens; out flows, for
// every target token, a sparse distribution over the target's vocabulary and a status that says how it came about.
// Exact follows every stored alternative of the source through the target's own tokenisation, so that the likelihood of
// the text is kept; it guesses nothing, and what it does not know stays in the rest mass.
//
// The package knows bytes and ids only: tokenizers come in as small interfaces, no file is read and no model is run.
// Source of the method: ours, specified in terms of byte spans; the comparison with FuseLLM's dynamic time warping
// (arXiv 2401.10491) belongs to other modes.
package align
