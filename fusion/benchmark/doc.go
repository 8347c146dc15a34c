// Package benchmark owns held-out items: what the right answer is and whether a text gives it.
//
// In flow prompts whose meta names an answer (and, for a choice, its candidates) and the texts that models wrote; out
// flows right or wrong. Two rules cover the demo's tasks: the number after "####", as in GSM8K, and the candidate that
// the text names last. The rules are exact and look at the text only; nothing asks a model, and nothing is sampled.
//
// Running models over the items is the evaluate step's work; the six benchmarks of the paper become one file each here.
package benchmark
