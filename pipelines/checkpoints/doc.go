// Package checkpoints owns the step of `profuser evaluate --reward`: what reward models say of a model as it is trained.
//
// Flow in: the held-out items (evaluate.files), the target, the models that the trainer kept of its epochs and the final one,
// or one folder of any run; flow out: evaluation-responses/<checkpoint>, evaluation-rewards/<checkpoint>/<reward model>, and
// evaluation/rewards.json with rewards.md, a row a checkpoint.
//
// Answering and scoring are the steps generate and reward; finished parts are kept as theirs are. Nothing is compared or
// drawn here: that is internal/report's.
package checkpoints
