// Package alignment owns aligning texts by hand: the work of `profuser align` and `profuser vocabulary`.
//
// Flow in: two tokenizers with what ends their turns, a method, and rows of JSON, each a text with a source's tokens and
// distributions; flow out: rows of JSON with the target's tokens and distributions, or two rulers to look at, and what a
// vocabulary map covers. A row is checked before it is aligned: an error says which list is wrong, where and why.
//
// How distributions move is fusion/align's matter, what maps hold fusion/vocabulary's; the pipeline's own alignment, over
// whole datasets, is transforms/fuse.
package alignment
