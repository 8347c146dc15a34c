package vocabulary_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/text/unicode/norm"

	"github.com/profuser/profuser/fusion/edit"
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

// TestRealMinEditDistance: of MPT's 50,279 tokens 29,917 have no equal in Llama-2's vocabulary (spec/alignment.md §5), and a
// sample of them has no nearer token than the one that was found.
func TestRealMinEditDistance(t *testing.T) {
	source, target := vocabulary.NewStrings(realTokenizer(t, "mptchat")), vocabulary.NewStrings(realTokenizer(t, "llama2"))
	m := vocabulary.MinEditDistance(source, target)
	if err := m.Validate(target.Size()); err != nil {
		t.Fatal(err)
	}
	apart := 0
	for id, cost := range m.Costs {
		if cost > 0 {
			apart++
		}
		if m.Target(int32(id)) < 0 && source.Token(int32(id)) != "" {
			t.Fatalf("token %d has no target", id)
		}
	}
	if m.Size() != 50279 || apart != 29917 {
		t.Errorf("%d of %d tokens have no equal, want 29,917 of 50,279", apart, m.Size())
	}
	var alphabet edit.Alphabet
	var words [][]int32
	for id := range int32(target.Size()) {
		words = append(words, alphabet.Append(nil, target.Token(id)))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		id := random.Int32N(int32(source.Size()))
		x := alphabet.Append(nil, source.As(target, id))
		p := edit.NewPattern(alphabet.Size())
		p.Set(x)
		want, least := int32(-1), math.MaxInt
		for y, word := range words {
			if d := p.Distance(word); target.Token(int32(y)) != "" && d < least {
				want, least = int32(y), d
			}
		}
		if got := m.Target(id); got != want || m.Costs[id] != float32(least) {
			t.Errorf("%q is mapped to %q at %v, want %q at %d", source.Token(id), target.Token(got), m.Costs[id], target.Token(want), least)
		}
	}
}

// TestRealSpelling: every token of real vocabularies is spelt by the tokens that it is mapped to.
func TestRealSpelling(t *testing.T) {
	for _, pair := range [][2]string{{"mptchat", "vicuna"}, {"vicuna", "mptchat"}, {"gpt2", "mistral03"}} {
		source, target := realTokenizer(t, pair[0]), realTokenizer(t, pair[1])
		m := vocabulary.Spelling(source, target)
		if err := m.Validate(target.Size()); err != nil {
			t.Fatal(err)
		}
		single := 0
		for id := range int32(source.Size()) {
			targets := m.Targets(id)
			var spelt []byte
			for _, to := range targets {
				spelt = append(spelt, target.Bytes(to)...)
			}
			if content := source.Bytes(id); len(content) == 1 && content[0] >= 0xC0 && len(targets) == 0 {
				continue // a byte that UTF-8 does not use, and so no token of the target has
			} else if !bytes.Equal(content, spelt) && !bytes.Equal(norm.NFC.Bytes(content), spelt) {
				t.Errorf("%s to %s: %q became %q", pair[0], pair[1], content, spelt)
			}
			if len(targets) == 1 {
				single++
			}
		}
		t.Logf("%s to %s: %d of %d tokens have one target token", pair[0], pair[1], single, m.Size())
	}
}
