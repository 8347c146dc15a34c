// Package optim owns the optimizer: AdamW with global-norm clipping, and the learning-rate schedule.
//
// Flow in: the model's float32 weights and the sums of their gradients; flow out: the same weights, updated in place,
// and the gradient norm before clipping. The moments are float32 or bfloat16, and a
// checkpoint saves and restores them exactly.
//
// It runs on the host in plain Go: on the Go backend a graph's elementwise operations cost as much as these loops, and
// one pass here replaces about twelve there. It knows nothing of graphs, models or files.
//
// Not here: accumulation over micro-batches (trainer/loop) and any choice of the learning rate (trainer/curriculum).
package optim
