// Package edit owns the edit distance of token strings: unit-cost Levenshtein on code points, fast enough to compare a
// token with a whole vocabulary.
//
// Flow in: strings, turned into symbols by an Alphabet that all strings compared with each other share, and a Pattern
// that holds one of them; flow out: its distance from any other, and a lower bound that costs one instruction. A byte
// that is no UTF-8 is a symbol of its own.
//
// It knows nothing of tokens, markers or vocabularies; fusion/vocabulary and fusion/align do.
package edit
