// Package reverse owns the training pass: a decoder's forward graph together with its backward graph, written by hand.
//
// Flow in: a decoder configuration, the store of its weights, tokens [B, S]; flow out: the last hidden states, heads on
// chosen rows of them, and, given the loss's gradient at those heads, the gradient of every weight. The numbers are those
// of models/decoder under automatic differentiation (the tests compare them for every architecture and weight); only the
// cost differs: on the Go backend, whose matrix products run at 70 GFLOP/s and whose transposes, broadcasts and
// reductions at a few hundred million elements a second, this pass takes less than half the time.
//
// How: heads are separate products, so that nothing is transposed; sums over the last axis are batched dot products, and
// broadcasts along it are products with a row of ones; a norm's weight is folded into the matrices behind it; a weight's
// gradient transposes the smaller of its two operands, once.
//
// On other backends use models/decoder: their compilers do such things themselves. Graph functions panic, as GoMLX's do;
// trainer/loop recovers them. Shapes in names: B rows, S positions, T = B·S, D model width, H heads, C head width.
package reverse
