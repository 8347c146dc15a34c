// Command speed owns one measurement: how many tokens a second of processor time the trainer trains on.
//
// Flow in: a model directory, a batch (batch.json: tokens, index, gold and a sparse teacher) that make.go writes from a seed, a backend.
// Flow out: one line of JSON with the tokens, the times, the peak memory and the losses of the steps.
//
// bench.py, beside it, runs this program and the same steps in PyTorch in turns, on the same weights and the same batch,
// and prints the tables of docs/training-speed.md (make bench-train). The losses that both print show that the work is the same.
//
// Not here: a loader (the batch is one and in memory), checkpoints, evaluation.
package main
