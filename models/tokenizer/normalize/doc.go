// Package normalize rewrites text before it is cut and merged, and keeps where every byte came from.
//
// In: the normalizer of a tokenizer.json (NFC, NFD, NFKC, NFKD, Prepend, Replace, Lowercase, Strip,
// StripAccents, BertNormalizer, Precompiled, Nmt, Sequence) and a stretch of text. Out: the rewritten
// text and Positions, the mapping of its bytes to those of the text.
//
// A character that is rewritten gives its bytes to what it became, in order; the mapping never decreases
// and covers the whole source, so spans made of it tile the text. An unknown component or option is an
// error. The package does not look for added tokens and does not cut.
package normalize
