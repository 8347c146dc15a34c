// Package fusing owns the training of the target on a fusion dataset: profuser-trainer train.
//
// Flow in: the target's model directory and the committed datasets fusion/inference and fusion/training; flow out:
// model/ (a Hugging Face directory), and in trainer/ metrics.jsonl, samples.jsonl, tensorboard/, checkpoints/ and, if asked
// for, a model for each epoch.
//
// A batch is so many prompts with every example whose mode weighs something in the stage; micro-batches hold rows of
// similar length, and their gradients are sums that are divided once, so that the cut does not matter. The order of
// prompts is a function of seed and epoch, shuffled over windows of parts; nothing but the step number is needed to go on
// at any place. Held-out prompts are chosen by a hash of their id, never trained on, and read at each epoch's end.
// The datasets' parts and the next batches are read and laid out in the background (trainer/prefetch).
//
// What happens when it is killed: the same command finds the newest whole checkpoint, cuts metrics.jsonl back to it and
// goes on with the same numbers. A broken checkpoint is skipped with a warning. A finished training is skipped.
//
// Not here: the loss (trainer/objective), the optimizer (trainer/optim), the stages (trainer/curriculum).
package fusing
