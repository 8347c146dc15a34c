// Package vocabulary owns the maps from a source's vocabulary to a target's: what each source token is in target tokens.
//
// Flow in: two vocabularies, as the small interfaces Vocabulary and Encoder, and for the statistical map how often which
// tokens lay beside each other in a corpus (Counts); flow out: a Map, with a cost for every source token that says how
// badly it fits. Four ways: Spelling by bytes, for exact alignment; SameString, MinEditDistance and Statistics by
// token strings, as FuseLLM and FuseChat map vocabularies. Encode and Decode turn a map into checked bytes and back.
//
// The package reads no files (models/vocabularies keeps maps on disk), loads no tokenizers and moves no distributions
// (fusion/align does).
package vocabulary
