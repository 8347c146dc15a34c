// Package tokenizer turns text into a model's token ids and back, exactly as the reference
// implementation does for the same file, and says which bytes every token stands for.
//
// In: a Hugging Face tokenizer.json (byte-pair merges in SentencePiece's style or byte-level, WordPiece,
// Unigram, whole words), a tokenizer.model of SentencePiece, or a tiktoken file. Out: ids, the byte span
// of each token in the text, the bytes of each vocabulary entry, a fingerprint, text as ids come.
//
// Text flows through: added tokens as written → normaliser (normalize) → added tokens in normalised
// text → pre-tokenizer (pretokenize) → model (subword). Every token's size in normalised bytes is
// carried along, and mapped back to the text, so spans are exact and tile the text. Ids flow back
// through the decoder (detokenize).
//
// A component or an option that is not implemented is refused by name when the file is loaded; nothing is
// approximated. The package does not render conversations (models/chat does), shares nothing between
// goroutines that encode (each remembers some frequent words), and ignores the file's truncation and padding, which are the caller's business.
package tokenizer
