// Package contamination finds texts that share a run of words with benchmark items.
//
// In flow the texts of benchmark files, each cut into overlapping runs of n words (n-grams), of which 64-bit hashes are kept;
// then texts to check; out flows the file that a text shares a run with, and the run. Training on such a prompt would
// measure memory, not skill.
//
// It reads no files: transforms/source does. How words are cut is fusion/words' matter. Nothing near-equal is found: one
// word changed in every thirteen hides a copy.
package contamination
