// Package detokenize joins the raw strings of tokens to text, all at once or as they come.
//
// In: the decoder of a tokenizer.json (BPEDecoder, ByteFallback, ByteLevel, CTC, Fuse, Metaspace, Replace,
// Strip, WordPiece, Sequence; none joins with spaces) and tokens. Out: text. A part of a character waits for
// the rest of it, so what comes out is always valid UTF-8; bytes that never become one are U+FFFD.
//
// A Decoder is a pipeline of stages that remember what they must: decoding at once and streaming are the
// same code and give the same text. It knows nothing of ids and special tokens.
package detokenize
