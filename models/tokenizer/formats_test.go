package tokenizer

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/profuser/profuser/models/tokenizer/vocabfile"
)

// FuzzSentencePiece reads any bytes as a tokenizer.model.
func FuzzSentencePiece(f *testing.F) {
	for _, algorithm := range []vocabfile.Algorithm{vocabfile.Unigram, vocabfile.BPE} {
		f.Add(smallModel(algorithm, ""))
		f.Add(smallModel(algorithm, "\x08\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00a\x00"))
	}
	f.Add([]byte("\x0a\x0b\x0a\x02ab\x15\x00\x00\x80\xbf\x18\x01\x0a\x05\x0a\x01a\x18\x04\x12\x02\x18\x02"))
	f.Add([]byte("\x0a\xff\xff\xff\xff\x7f"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if tok, err := ParseSentencePiece(data); err == nil {
			use(t, tok, data)
		}
	})
}

// smallModel is a tokenizer.model of a few pieces.
func smallModel(algorithm vocabfile.Algorithm, charsmap string) (data []byte) {
	message := func(to []byte, number byte, content []byte) []byte {
		return append(binary.AppendUvarint(append(to, number<<3|2), uint64(len(content))), content...)
	}
	for i, token := range []string{"<unk>", "<s>", "▁", "a", "b", "ab", "▁a", "fox", "<0x0A>"} {
		kind := []vocabfile.Kind{vocabfile.Unknown, vocabfile.Control, 1, 1, 1, 1, 1, vocabfile.UserDefined, vocabfile.Byte}[i]
		piece := append(message(nil, 1, []byte(token)), 2<<3|5)
		piece = binary.LittleEndian.AppendUint32(piece, math.Float32bits(-float32(i)))
		data = message(data, 1, append(piece, 3<<3, byte(kind)))
	}
	data = message(data, 2, []byte{3 << 3, byte(algorithm), 35<<3&0x7F | 0x80, 35 << 3 >> 7, 1})
	return message(data, 3, message(nil, 2, []byte(charsmap)))
}

func TestSmallModel(t *testing.T) {
	for algorithm, want := range map[vocabfile.Algorithm][]int32{vocabfile.Unigram: {2, 5, 7, 8}, vocabfile.BPE: {2, 5, 7, 8}} {
		tok, err := ParseSentencePiece(smallModel(algorithm, ""))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, tok.Encode("abfox\n")); diff != "" {
			t.Errorf("%v (-want +got):\n%s", algorithm, diff)
		}
	}
}

// FuzzTiktoken reads any bytes as a tiktoken file.
func FuzzTiktoken(f *testing.F) {
	for _, seed := range []string{"YQ== 0\nYg== 1\nYWI= 2\n", "YQ== 5\r\n\r\nIGE= 7", "YQ== -1", "YQ== 1\nYQ== 2", "= 1", "YQ== 9999999"} {
		f.Add([]byte(seed), `\s+|\S+`)
	}
	f.Fuzz(func(t *testing.T, data []byte, pattern string) {
		if len(pattern) > 40 {
			return
		}
		if tok, err := ParseTiktoken(data, TiktokenOptions{Pattern: pattern}); err == nil {
			use(t, tok, data[:min(len(data), 60)])
		}
	})
}

// use encodes and decodes some text.
func use(t *testing.T, tok *Tokenizer, data []byte) {
	for _, text := range []string{"hello abab <s> 12", "\xff▁ a", string(data[:min(len(data), 300)])} {
		checkTiling(t, tok, text)
		ids := tok.Encode(text)
		checkStream(t, tok, ids)
	}
	tok.Fingerprint()
}

// checkStream checks that text as it comes is the text at once.
func checkStream(t *testing.T, tok *Tokenizer, ids []int32) {
	t.Helper()
	for _, skip := range []bool{false, true} {
		stream, got := tok.NewStream(skip), ""
		for _, id := range ids {
			part := stream.Push(id)
			if strings.ToValidUTF8(part, "") != part {
				t.Fatalf("a part is not UTF-8: %q", part)
			}
			got += part
		}
		if got += stream.End(); got != tok.Decode(ids, skip) {
			t.Fatalf("streamed %q, at once %q", got, tok.Decode(ids, skip))
		}
	}
}

func TestStream(t *testing.T) {
	tok := loadSmall(t, "gpt2-nfc")
	stream := tok.NewStream(true)
	var parts []string
	for _, id := range tok.Encode("é🙂!") {
		parts = append(parts, stream.Push(id))
	}
	parts = append(parts, stream.End())
	if got := strings.Join(parts, "|"); got != "|é||||🙂|!|" && got != "é||||🙂|!|" {
		t.Errorf("parts are %q", got)
	}
	for _, name := range kindNames(t) {
		tok := loadKind(t, name)
		for _, row := range parseGolden(t, gunzip(t, "testdata/kinds/"+name+".golden.jsonl.gz")) {
			checkStream(t, tok, row.IDsNoSpecial)
		}
	}
}

// TestLoadFindsOtherFormats loads a tokenizer.model from a directory and refuses a tiktoken file without a pattern.
func TestLoadFindsOtherFormats(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.model"), gunzip(t, "testdata/kinds/sp-bpe.model.gz"), 0o600); err != nil {
		t.Fatal(err)
	}
	tok, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if ids := tok.Encode("<s>fox</s>"); tok.Token(ids[0]) != "<s>" || !tok.Special(ids[len(ids)-1]) {
		t.Errorf("ids %v", ids)
	}
	other := filepath.Join(t.TempDir(), "own.tiktoken")
	if err := os.WriteFile(other, gunzip(t, "testdata/kinds/tiktoken-r50k.tiktoken.gz"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(other); err == nil || !strings.Contains(err.Error(), "own.tiktoken") || !strings.Contains(err.Error(), "cl100k_base.tiktoken") {
		t.Errorf("tiktoken without pattern: %v", err)
	}
}

// TestNormalisedOrdersAreText: a special string that only normalisation makes is found by the model of the reference,
// but not in contents.
func TestNormalisedOrdersAreText(t *testing.T) {
	tok := loadKind(t, "deberta")
	const text = "a ＜ｕｎｋ＞ ［ＣＬＳ］ b"
	ids, _ := tok.EncodeOutside(text, []Span{{2, len(text)}})
	for _, id := range ids {
		if tok.Special(id) && tok.Token(id) != "<unk>" {
			t.Errorf("%q is in the contents", tok.Token(id))
		}
	}
}

// TestLongDocuments: cost is linear enough that 20,000 bytes of anything are quick.
func TestLongDocuments(t *testing.T) {
	for _, name := range kindNames(t) {
		tok := loadKind(t, name)
		for _, unit := range []string{"the quick ", " ", "a", "\n", "é", "e\u0301", "=", "日", "<s>"} {
			text := strings.Repeat(unit, 20_000/len(unit))
			checkTiling(t, tok, text)
		}
	}
}
