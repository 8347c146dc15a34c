// Package pretokenize cuts normalised text into the pieces that merging and matching never cross.
//
// In: the pre_tokenizer of a tokenizer.json (BertPreTokenizer, ByteLevel, CharDelimiterSplit, Digits,
// Metaspace, Punctuation, Split, Whitespace, WhitespaceSplit, Sequence) and text with the Positions of
// its bytes. Out: the pieces in order, each with its place. White space that is thrown away is in no piece.
//
// The patterns of GPT-2, Llama-3, Qwen2, Falcon and DeepSeek have scanners written by hand, without
// backtracking; any other goes to package regex. Pieces of byte-level vocabularies are bytes, not
// symbols of its alphabet; cuts after ByteLevel are made as if they were symbols. Unknown components
// and options are errors.
package pretokenize
