// Package curriculum owns the plan of a fusion training: its stages, how many passes each makes, and how much each mode's
// examples weigh in the loss.
//
// Flow in: curriculum.kind and its epochs from the configuration; flow out: a list of stages, and from the number of
// prompts that each stage has, the number of optimizer steps, over all of which one learning-rate schedule runs.
//
// A kind is a row in a table: a new one adds a row. Optimizer state carries over from stage to stage. The package knows
// nothing of models, data or losses.
//
// Source of the progressive order: the ProFuser paper (easy to hard: inference-mode advantage, then training mode).
package curriculum
