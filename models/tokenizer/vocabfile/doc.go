// Package vocabfile reads vocabularies that are no tokenizer.json: SentencePiece's tokenizer.model and
// tiktoken's lists of tokens and ranks.
//
// In: the bytes of a file. Out: plain values: pieces with scores and kinds and the options that matter for
// encoding, or tokens by rank. Package tokenizer makes a Tokenizer of them.
//
// The readers are bounded by the file's size and refuse what they do not understand. They check the
// form, not that the vocabulary makes sense.
package vocabfile
