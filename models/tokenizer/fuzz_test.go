package tokenizer

import "testing"

func FuzzParse(f *testing.F) {
	const model = `"model": {"type": "BPE", "unk_token": "<u>", "fuse_unk": true, "vocab": {"<u>": 0, "a": 1, "b": 2, "ab": 3, "▁": 4, "▁a": 5, "<0x20>": 6}, "merges": ["a b", "▁ a"]}`
	for _, seed := range []string{
		`{` + model + `}`,
		`{"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}, ` + model + `}`,
		`{"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true}, "decoder": {"type": "Metaspace", "replacement": "▁"}, ` + model + `}`,
		`{"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": true}, "decoder": {"type": "ByteLevel"}, "model": {"vocab": {"Ġ": 0, "a": 1, "Ġa": 2}, "merges": [["Ġ", "a"]]}}`,
		`{"added_tokens": [{"id": 9, "content": "<s>", "special": true, "lstrip": true, "rstrip": true}, {"id": 8, "content": "a a", "normalized": true, "single_word": true}], ` + model + `}`,
		`{"post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<u>"}}, {"Sequence": {"id": "A"}}], "special_tokens": {"<u>": {"ids": [0]}}}, ` + model + `}`,
		`{"decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}, ` + model + `}`,
		`{"normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true}, "pre_tokenizer": {"type": "BertPreTokenizer"}, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true}, "post_processor": {"type": "BertProcessing", "sep": ["a", 1], "cls": ["b", 2]}, "model": {"type": "WordPiece", "unk_token": "?", "vocab": {"?": 0, "a": 1, "##b": 2}}}`,
		`{"normalizer": {"type": "Sequence", "normalizers": [{"type": "Nmt"}, {"type": "NFKC"}, {"type": "Strip", "strip_left": true, "strip_right": true}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]}, "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"}, "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": true, "vocab": [["?", 0], ["a", -1.5], ["▁a", -2], ["<0x41>", 0]]}}`,
		`{"normalizer": {"type": "Precompiled", "precompiled_charsmap": "CAAAAAAEAAAAAAAAYQA="}, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Punctuation", "behavior": "MergedWithNext"}, {"type": "Split", "pattern": {"Regex": "\\s+|(?i:k)?+"}, "behavior": "Contiguous", "invert": true}, {"type": "ByteLevel"}, {"type": "Digits"}]}, "decoder": {"type": "BPEDecoder", "suffix": "b"}, ` + model + `}`,
		`{"model": {"ignore_merges": true, "byte_fallback": true, "vocab": {"a": 0, "<0x61>": 1048575}, "merges": []}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := Parse(data)
		if err != nil {
			return
		}
		for _, text := range []string{"hello abab <s> 12", "\xff▁ a", string(data[:min(len(data), 300)])} {
			checkTiling(t, tok, text)
			tok.Decode(tok.Encode(text), true)
		}
	})
}

func FuzzEncodeDecode(f *testing.F) {
	for _, text := range []string{"", "The quick brown fox", " a\n\n\tb ", "<s>a</s>", "e\u0301\u0323", "\xff\xe6", "▁▁a", "🙂 日本", "<|end|> x", "'ſ 12345"} {
		f.Add(text)
	}
	var all []*Tokenizer
	for _, name := range smallNames(f) {
		all = append(all, loadSmall(f, name))
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, tok := range all {
			checkTiling(t, tok, text)
			checkBytes(t, tok, text)
			tok.Decode(tok.Encode(text), false)
		}
	})
}
