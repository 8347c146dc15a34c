// Package prefetch owns what a training reads ahead of time, so that a step does not wait for data.
//
// Flow in: functions that read a part of a dataset or make a batch; flow out: the same values, made in the background.
// Batches makes the next ones of a sequence, in order, by one goroutine; Parts reads parts by their numbers, several at a
// time, and keeps the latest ones.
//
// What is made ahead depends on numbers alone: with or without it, and wherever a run begins, the values are the same.
// Memory is bounded by the depth and the number of parts kept. Close ends all goroutines and waits for them; an error
// comes out where its value would have.
//
// Not here: what a part or a batch is, orders and seeds.
package prefetch
