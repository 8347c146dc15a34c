// Package flops owns how much arithmetic a training does and how much its processor could do.
//
// Flow in: a model's shape and the lengths of a step's texts, or a way to run graphs; flow out: floating-point operations
// of the step, and operations a second of large matrix products on this machine. Their quotient over a step's time is the
// model FLOPs utilisation, which compares trainings of any size: the share of the processor that does what the model asks
// for; padding, recomputation and waiting lower it.
//
// Not here: opening backends, timing steps.
package flops
