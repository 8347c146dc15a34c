// Package engine owns in-process models: a model directory becomes something that answers, reads and rewards.
//
// Flow in: token ids and limits from any number of goroutines; flow out: generated ids, and for generating and for
// teacher forcing the top-k log-probs at every position, or a reward model's scalar. Concurrent calls are collected into
// batches of a fixed shape (rows, length bucket); a row's result depends on its own tokens alone, never on its
// neighbours, so equal calls give equal bits however they were batched.
//
// The package renders no conversations (models/chat does, see Engine.Format) and truncates no distributions
// (fusion/dist does). GoMLX's panics end here, as errors.
package engine
