package vocabulary_test

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/profuser/profuser/fusion/vocabulary"
	"github.com/profuser/profuser/models/tokenizer"
)

// shared is the folder of real tokenizers and texts, seen from this package.
var shared = filepath.Join("..", "..", "..", "shared")

var tokenizers sync.Map

// realTokenizer loads a tokenizer of ../shared once; without it the test is skipped.
func realTokenizer(t testing.TB, name string) *tokenizer.Tokenizer {
	t.Helper()
	if known, ok := tokenizers.Load(name); ok {
		return known.(*tokenizer.Tokenizer)
	}
	file, err := os.Open(filepath.Join(shared, "tokenizers", name+".json.gz"))
	if os.IsNotExist(err) {
		t.Skipf("real tokenizers are not here: no ../shared/tokenizers/%s.json.gz", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	tokenizers.Store(name, tok)
	return tok
}

func BenchmarkMinEditDistanceMPTToVicuna(b *testing.B) {
	source, target := vocabulary.NewStrings(realTokenizer(b, "mptchat")), vocabulary.NewStrings(realTokenizer(b, "vicuna"))
	for b.Loop() {
		vocabulary.MinEditDistance(source, target)
	}
}

func BenchmarkSpellingMPTToVicuna(b *testing.B) {
	source, target := realTokenizer(b, "mptchat"), realTokenizer(b, "vicuna")
	for b.Loop() {
		vocabulary.Spelling(source, target)
	}
}
