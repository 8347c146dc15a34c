// Package evaluate owns the step in which one model answers the held-out items.
//
// Flow in: part k of the items, which are prompts whose meta names an answer; flow out: part k of evaluation/<model>,
// one row for each item with the model's greedy answer, whether it is right, and the model's cross-entropy on the
// item's reference. The model is behind the interfaces of the steps generate and crossentropy.
//
// Whether an answer is right is fusion/benchmark's matter. Items that do not fit the model's context are rejected.
package evaluate
