// Package loop owns the act of training: a Learner holds a model's weights, their gradients and the optimizer's state.
//
// Flow in: a GoMLX store of float32 weights and a graph that returns sums (losses, counts) and the gradient scalar;
// micro-batches of tensors. Flow out: the same store, trained, and the sums of each step. Gradients are summed over
// micro-batches on the host and divided once, so that any split of a batch gives the same step. The number of compiled
// graphs is the number of batch shapes, which trainer/batch keeps small.
//
// The learner also is what a checkpoint saves: weights, both moments and the step number, bit for bit.
//
// Not here: what a batch holds (trainer/batch), what a loss is (trainer/objective), stages (trainer/curriculum).
package loop
