package tokenizer

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/profuser/profuser/models/tokenizer/subword"
	"pgregory.net/rapid"
)

func TestLoadNamesWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(dir)
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "has no tokenizer.json; copy") {
		t.Errorf("directory without tokenizer.json: %v", err)
	}
	if _, err := Load(filepath.Join(dir, "nothing")); err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("missing path: %v", err)
	}
	file := filepath.Join(dir, FileName)
	if err := os.WriteFile(file, []byte(`{"model": {"type": "Tree"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), `model: type "Tree"`) {
		t.Errorf("unsupported model: %v", err)
	}
}

func TestParseRefusesByName(t *testing.T) {
	const model = `"model": {"vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}`
	tests := []struct{ name, file, want string }{
		{"not JSON", `{`, "not a tokenizer.json"},
		{"empty", `{}`, "model: vocab"},
		{"null", `null`, "not a tokenizer.json"},
		{"no tokens", `{"model": {"vocab": {}, "merges": []}}`, "vocab is empty"},
		{"normalizer", `{"normalizer": {"type": "Uppercase"}, ` + model + `}`, `normalizer: type "Uppercase" is not supported`},
		{"nested normalizer", `{"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "NFX"}]}, ` + model + `}`, `type "NFX"`},
		{"replace", `{"normalizer": {"type": "Replace", "pattern": {"Regex": "(a"}, "content": "b"}, ` + model + `}`, "Replace: regular expression"},
		{"pre-tokenizer", `{"pre_tokenizer": {"type": "UnicodeScripts"}, ` + model + `}`, `pre_tokenizer: type "UnicodeScripts"`},
		{"split", `{"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "\\X+"}, "behavior": "Isolated", "invert": false}, ` + model + `}`, "Split: regular expression"},
		{"metaspace", `{"pre_tokenizer": {"type": "Metaspace", "replacement": "_"}, ` + model + `}`, `replacement "_"`},
		{"prefix scheme", `{"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "last"}, ` + model + `}`, `"last"`},
		{"behavior", `{"pre_tokenizer": {"type": "Split", "pattern": {"String": "a"}, "behavior": "Kept", "invert": false}, ` + model + `}`, `behavior "Kept"`},
		{"option", `{"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": true, "colour": 1}, ` + model + `}`, `ByteLevel: unknown field "colour"`},
		{"sequence option", `{"normalizer": {"type": "Sequence", "normalizers": [], "colour": 1}, ` + model + `}`, `unknown field "colour"`},
		{"model option", `{"model": {"type": "BPE", "colour": 1, "vocab": {"a": 0}, "merges": []}}`, `unknown field "colour"`},
		{"option of another model", `{"model": {"type": "WordPiece", "unk_token": "a", "fuse_unk": true, "vocab": {"a": 0}}}`, `WordPiece has no option "fuse_unk"`},
		{"form of vocab", `{"model": {"type": "Unigram", "vocab": {"a": 0}}}`, "wrong form"},
		{"unk_id", `{"model": {"type": "Unigram", "unk_id": 7, "vocab": [["a", 0]]}}`, "unk_id is 7"},
		{"word pieces without unknown", `{"model": {"type": "WordPiece", "vocab": {"a": 0}}}`, "needs unk_token"},
		{"template twice", `{"post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"Sequence": {"id": "A"}}]}, ` + model + `}`, "repeats the text"},
		{"charsmap", `{"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}, ` + model + `}`, "charsmap"},
		{"two kinds", `{"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Metaspace", "replacement": "▁"}, {"type": "ByteLevel"}]}, ` + model + `}`, "not supported"},
		{"post-processor", `{"post_processor": {"type": "BertProcessing"}, ` + model + `}`, "post_processor: BertProcessing needs sep and cls"},
		{"undefined special", `{"post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}]}, ` + model + `}`, `"<s>"`},
		{"special out of range", `{"post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}], "special_tokens": {"<s>": {"ids": [9]}}}, ` + model + `}`, "id 9"},
		{"decoder", `{"decoder": {"type": "WordPieces"}, ` + model + `}`, `decoder: type "WordPieces"`},
		{"dropout", `{"model": {"dropout": 0.1, "vocab": {"a": 0}, "merges": []}}`, "dropout"},
		{"suffix", `{"pre_tokenizer": {"type": "ByteLevel"}, "model": {"end_of_word_suffix": "</w>", "vocab": {"a": 0}, "merges": []}}`, "end_of_word_suffix"},
		{"unknown token", `{"model": {"unk_token": "?", "vocab": {"a": 0}, "merges": []}}`, `unk_token "?"`},
		{"negative id", `{"model": {"vocab": {"a": -1}, "merges": []}}`, "id -1"},
		{"huge id", `{"model": {"vocab": {"a": 2000000000}, "merges": []}}`, "id 2000000000"},
		{"one id twice", `{"model": {"vocab": {"a": 1, "b": 1}, "merges": []}}`, `two tokens, "a" and "b"`},
		{"one token twice", `{"added_tokens": [{"id": 5, "content": "a"}], ` + model + `}`, "two ids, 0 and 5"},
		{"added id taken", `{"added_tokens": [{"id": 0, "content": "c"}], ` + model + `}`, "id 0 has two tokens"},
		{"empty added token", `{"added_tokens": [{"id": 5, "content": ""}], ` + model + `}`, "empty"},
		{"merge without space", `{"model": {"vocab": {"a": 0}, "merges": ["a"]}}`, "merge 0"},
		{"merge of three", `{"model": {"vocab": {"a": 0}, "merges": [["a", "a", "a"]]}}`, "3 parts"},
		{"merge out of vocabulary", `{"model": {"vocab": {"a": 0, "b": 1}, "merges": ["a b"]}}`, "must be in the vocabulary"},
		{"no merges", `{"model": {"vocab": {"a": 0}}}`, "model: merges"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse([]byte(test.file))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestVocabulary(t *testing.T) {
	tok := loadSmall(t, "metaspace-first")
	id := func(token string) int32 {
		id, ok := tok.ID(token)
		if !ok {
			t.Fatalf("no token %q", token)
		}
		return id
	}
	type entry struct {
		Bytes                 string
		None                  bool
		Special, ByteFallback bool
	}
	got := map[string]entry{}
	for _, token := range []string{"▁the", "e", "<0x0A>", "<s>", "<gap>", "<|tool|>"} {
		i := id(token)
		if tok.Token(i) != token {
			t.Errorf("token of %d is %q, want %q", i, tok.Token(i), token)
		}
		got[token] = entry{string(tok.Bytes(i)), tok.Bytes(i) == nil, tok.Special(i), tok.ByteFallback(i)}
	}
	want := map[string]entry{
		"▁the":     {Bytes: " the"},
		"e":        {Bytes: "e"},
		"<0x0A>":   {Bytes: "\n", ByteFallback: true},
		"<s>":      {None: true, Special: true},
		"<gap>":    {Bytes: "<gap>"},
		"<|tool|>": {Bytes: "<|tool|>"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("vocabulary (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int32{1}, tok.Specials()); diff != "" {
		t.Errorf("specials: %s", diff)
	}
	for _, i := range []int32{-1, int32(tok.Size()), 1 << 30} {
		if tok.Bytes(i) != nil || tok.Token(i) != "" || tok.Special(i) || tok.ByteFallback(i) {
			t.Errorf("id %d is out of range, but known", i)
		}
	}
	if _, ok := tok.ID("no such token"); ok {
		t.Error("an unknown token has an id")
	}
}

func TestEncodeMidText(t *testing.T) {
	tokens := func(tok *Tokenizer, ids []int32) (names []string) {
		for _, id := range ids {
			names = append(names, tok.Token(id))
		}
		return names
	}
	tests := []struct {
		tokenizer, text string
		want            []string
	}{
		{"prepend", "the", []string{"the"}},
		{"prepend", " the", []string{"▁the"}},
		{"prepend", "", nil},
		{"prepend", "<s>", []string{"<0x3C>", "s", "<0x3E>"}},
		{"prepend", "a\xe6\x9d", []string{"a", "<0xE6>", "<0x9D>"}},
		{"prepend", "\xffa", []string{"<0xFF>", "<0x61>"}},
		{"metaspace-split", "the\xff", []string{"the"}},
		{"gpt2-prefix", "the", []string{"the"}},
		{"gpt2-prefix", " the", []string{"Ġthe"}},
		{"gpt2-prefix", "<|end|>", []string{"<", "|", "e", "n", "d", "|", ">"}},
		{"gpt2-nfc", "the    x", []string{"the", "    ", "x"}},
		{"gpt2-nfc", "e\xe6", []string{"e", "æ"}},
	}
	for _, test := range tests {
		tok := loadSmall(t, test.tokenizer)
		if diff := cmp.Diff(test.want, tokens(tok, tok.EncodeMidText([]byte(test.text)))); diff != "" {
			t.Errorf("%s: %q (-want +got):\n%s", test.tokenizer, test.text, diff)
		}
	}
}

func TestEncodeQuoted(t *testing.T) {
	tok := loadSmall(t, "gpt2-prefix") // <|end|> strips white space on both sides
	end, _ := tok.ID("<|end|>")
	count := func(text string, quoted Span) (n int) {
		ids, spans := tok.EncodeQuoted(text, quoted)
		for i, id := range ids {
			if id == end {
				n++
				if s := spans[i]; s.Start < quoted.End && s.End > quoted.Start {
					t.Errorf("%q: the special token covers %v of the quoted %v", text, s, quoted)
				}
			}
		}
		return n
	}
	const text = "a <|end|> b <|end|> c"
	for _, test := range []struct {
		quoted Span
		want   int
	}{{Span{}, 2}, {Span{0, len(text)}, 0}, {Span{1, 9}, 1}, {Span{9, 11}, 2}, {Span{8, 13}, 0}, {Span{9, 20}, 1}} {
		if got := count(text, test.quoted); got != test.want {
			t.Errorf("quoted %v: %d special tokens, want %d", test.quoted, got, test.want)
		}
	}
}

func TestFingerprint(t *testing.T) {
	seen := map[string]string{}
	for _, name := range smallNames(t) {
		print := loadSmall(t, name).Fingerprint()
		if print != loadSmall(t, name).Fingerprint() || len(print) != 64 {
			t.Errorf("%s: fingerprint %q is not stable", name, print)
		}
		if other, ok := seen[print]; ok {
			t.Logf("%s and %s have the same vocabulary", name, other)
		}
		seen[print] = name
	}
	if len(seen) < 6 {
		t.Errorf("%d different fingerprints of %d tokenizers", len(seen), len(smallNames(t)))
	}
	const file = `{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}, "added_tokens": [{"id": 2, "content": "c", "special": SPECIAL}]}`
	special, err := Parse([]byte(strings.Replace(file, "SPECIAL", "true", 1)))
	if err != nil {
		t.Fatal(err)
	}
	ordinary, err := Parse([]byte(strings.Replace(file, "SPECIAL", "false", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if special.Fingerprint() == ordinary.Fingerprint() {
		t.Error("a special token does not change the fingerprint")
	}
}

// anyText draws strings with what tokenizers treat in their own ways, and any bytes.
func anyText() *rapid.Generator[string] {
	parts := []*rapid.Generator[string]{
		rapid.StringMatching(`[a-zA-Z ]{1,8}`),
		rapid.SampledFrom([]string{
			" ", "  ", "    ", "\n", "\n\n", "\r\n", "\t", "▁", "<s>", "</s>", "<|end|>", "<gap>", "word", "<0x0A>", "'s", "12345",
			"e\u0301", "\u0301\u0323", "\u1112\u1161\u11ab", "🙂", "日本", "Ġ", "\u00a0", "\u3000", "\u212b",
		}),
		rapid.StringN(1, 4, -1),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 4), func(b []byte) string { return string(b) }),
	}
	return rapid.Map(rapid.SliceOfN(rapid.OneOf(parts...), 0, 12), func(s []string) string { return strings.Join(s, "") })
}

func TestSpansTileAnyText(t *testing.T) {
	for _, name := range smallNames(t) {
		tok := loadSmall(t, name)
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			text := anyText().Draw(t, "text")
			checkTiling(t, tok, text)
		}))
	}
}

// checkTiling checks ids against spans for whole, quoted and middle texts.
func checkTiling(t rapid.TB, tok *Tokenizer, text string) {
	t.Helper()
	ids := tok.Encode(text)
	all, spans := tok.EncodeSpans(text)
	if diff := cmp.Diff(ids, all); diff != "" {
		t.Fatalf("%q: EncodeSpans has other ids: %s", text, diff)
	}
	middle, middleSpans := tok.EncodeMidSpans(text)
	_, quotedSpans := tok.EncodeQuoted(text, Span{len(text) / 3, len(text) / 2})
	for _, list := range [][]Span{spans, middleSpans, quotedSpans} {
		at := 0
		for i, span := range list {
			if span.Start != at || span.End < span.Start {
				t.Fatalf("%q: span %d of %v does not start at %d", text, i, list, at)
			}
			at = span.End
		}
		if len(list) > 0 && at != len(text) {
			t.Fatalf("%q: spans %v end at %d of %d", text, list, at, len(text))
		}
	}
	for _, id := range append(ids, middle...) {
		if tok.Token(id) == "" {
			t.Fatalf("%q: id %d has no token", text, id)
		}
	}
	for _, id := range tok.EncodeMidText([]byte(text)) {
		if tok.Special(id) && id != unknownID(tok) {
			t.Fatalf("%q: special token %q in the middle of a text", text, tok.Token(id))
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	tok := loadSmall(t, "gpt2-nfc")
	text := strings.Repeat("The quick brown fox 12345 e\u0301 <|end|>\n", 20)
	want := tok.Encode(text)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				if diff := cmp.Diff(want, tok.Encode(text)); diff != "" {
					t.Errorf("ids differ: %s", diff)
				}
				tok.Decode(want, true)
				tok.Fingerprint()
			}
		})
	}
	group.Wait()
}

func TestLongPieces(t *testing.T) {
	for _, name := range smallNames(t) {
		tok := loadSmall(t, name)
		for _, text := range []string{strings.Repeat("a", 20_000), strings.Repeat(" ", 20_000), strings.Repeat("the", 7_000), strings.Repeat("\u0301", 2_000), strings.Repeat("\xff", 1000)} {
			checkTiling(t, tok, text)
		}
	}
}

// unknownID is the id of unknown text.
func unknownID(tok *Tokenizer) int32 {
	switch m := tok.model.(type) {
	case *subword.BPE:
		return m.Unknown
	case *subword.WordPiece:
		return m.Unknown
	case *subword.WordLevel:
		return m.Unknown
	case *subword.Unigram:
		return m.Unknown
	}
	return -1
}
