// Package curriculum owns the plan of a fusion training: its stages, how many passes or steps each makes, and how much each
// mode's examples weigh in the loss; for the adaptive kind also the rule by which the weights move.
//
// Flow in: curriculum.kind, its epochs or the user's own stages from the configuration, and for the adaptive kind the
// losses on held-out prompts; flow out: a list of stages, and from the number of prompts that each stage has, the number
// of optimizer steps, over all of which one learning-rate schedule runs; and weights from decision to decision.
//
// A kind is a row in a table: a new one adds a row. Optimizer state carries over from stage to stage. The package knows
// nothing of models, data or losses, imports the standard library only, and is therefore open to internal/config.
//
// Source of the progressive order: the ProFuser paper (easy to hard: inference-mode advantage, then training mode).
package curriculum
