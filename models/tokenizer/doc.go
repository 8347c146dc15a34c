// Package tokenizer turns text into a model's token ids and back, exactly as the reference
// implementation does for the same tokenizer.json, and says which bytes every token stands for.
//
// In: a Hugging Face tokenizer.json with a byte-pair model, SentencePiece-style (Llama, Mistral:
// a word marker for the space, byte fallback) or byte-level (GPT-2, MPT, Llama-3, Qwen2). Out: ids,
// the byte span of each token in the text, the bytes of each vocabulary entry, a fingerprint.
//
// Text flows through: added tokens as written → normaliser → added tokens in normalised text →
// pre-tokenizer (pieces) → symbols → merges. Every token's size in normalised bytes is carried along,
// and mapped back to the text, so spans are exact and tile the text.
//
// A component that is not implemented is refused by name when the file is loaded; nothing is
// approximated. The package does not render conversations (models/chat does), keeps no cache, and
// ignores the file's truncation and padding, which are the caller's business.
package tokenizer
