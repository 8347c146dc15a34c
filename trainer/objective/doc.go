// Package objective owns the loss functions as graphs, each with its exact gradient at the logits.
//
// Flow in: logits [A, V] of the positions that predict something and small per-position tensors (gold tokens, sparse
// teacher distributions, weights); flow out: the loss, its parts, and dLoss/dlogits. No dense teacher tensor exists
// anywhere: the student's logits are read at the stored ids and at the gold token, plus one softmax.
//
// Gradients: a loss is a function of a few numbers a position (the logits read and the log-sum-exp), so it is
// differentiated with respect to those, and the dense gradient is put together in one pass,
//
//	dL/dz = softmax(z) · dL/dlse + scatter(dL/dz_read)
//
// which on the Go backend is three passes over [A, V] where plain differentiation takes ten.
//
// Everything is tested against float64 in plain Go and against finite differences. Graph functions panic, as GoMLX's
// do; trainer/loop recovers them once. Shapes in names: A positions, K stored ids, V vocabulary.
package objective
