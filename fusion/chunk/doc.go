// Package chunk owns the chunks of a text that two tokenisations share: the smallest spans of bytes that begin and end at a
// token boundary of both.
//
// Flow in: one text in the source's tokens with their log-probs, and in the target's tokens; flow out: where each chunk ends
// in the target's tokens, and the source's log-probability of each. That is what likelihood matching compares
// (trainer/objective), where tokens rarely coincide and a distribution over the next token says little.
//
// Not here: distributions (fusion/align moves those) and the loss.
package chunk
