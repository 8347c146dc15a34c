// Package memory owns the estimate of what a training takes before its first step, and what would take less.
//
// Flow in: a model's configuration, what is trained (all weights or adapters), the moments' type, the graph of a
// micro-batch and its shapes; flow out: bytes of weights, gradients, moments and of the graph's passes, the peak, and,
// where that is more than there is, an error with the settings that would fit, each computed in the same way.
//
// A pass is computed, not guessed: its graph is built without weights, its nodes are put in the order in which the Go
// backend runs them, and buffers live from their node to their last reader. XLA fuses operations, so there it is an upper
// bound.
//
// Not here: the graph (trainer/fusing), and what an accelerator has (trainer/doctor).
package memory
