package world

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/profuser/profuser/fusion/benchmark"
	"github.com/profuser/profuser/models/tokenizer"
)

// TestCommittedFilesAreTheGenerators compares data/ with what `go generate` would write, byte for byte.
func TestCommittedFilesAreTheGenerators(t *testing.T) {
	files, err := Committed(1)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("data/%s is not what the generator makes: run go generate ./data/world", name)
		}
	}
}

// TestAnswersAreMarkedAsTheyAreMeant draws many items: right answers in both styles are right, wrong ones wrong.
func TestAnswersAreMarkedAsTheyAreMeant(t *testing.T) {
	r := Random(3, "test")
	for range 2000 {
		for _, skill := range Skills {
			i := draw[skill](r)
			for _, c := range []struct {
				text string
				want bool
			}{{i.Own, true}, {i.Reference, true}, {i.WrongOwn, false}, {i.WrongReference, false}} {
				if benchmark.Correct(c.text, i.Answer, i.Candidates) != c.want {
					t.Fatalf("%s: %q\nanswer %q of %v: text %q must be marked %v", skill, i.Prompt, i.Answer, i.Candidates, c.text, c.want)
				}
			}
		}
	}
}

func TestHeldOutItemsAreNeverTaught(t *testing.T) {
	held := map[string]bool{}
	for _, i := range Items(Random(1, "held out"), heldOutPerSkill, true) {
		held[i.Wording] = true
	}
	for _, name := range sortedKeys(Mixtures) {
		r := Random(9, name)
		for range 3000 {
			prompt, _ := Mixtures[name].Conversation(r)
			if held[prompt] {
				t.Fatalf("%s is taught the held-out prompt %q", name, prompt)
			}
		}
	}
	for _, i := range Items(Random(1, "prompts"), 20, false) {
		if i.HeldOut() {
			t.Errorf("prompt %q is held out", i.Prompt)
		}
	}
}

// TestTokenizersCoverTheWorld: every text decodes to itself and needs no byte tokens; a digit is a token in the
// Llama-style one.
func TestTokenizersCoverTheWorld(t *testing.T) {
	r := Random(5, "test")
	for _, name := range []string{"llama", "mpt"} {
		tok, err := tokenizer.Load(filepath.Join("..", "tokenizers", name))
		if err != nil {
			t.Fatal(err)
		}
		if tok.Size() != vocabularySize {
			t.Errorf("%s has %d ids, want %d", name, tok.Size(), vocabularySize)
		}
		for range 300 {
			for _, skill := range Skills {
				i := draw[skill](r)
				ids := tok.Encode(i.Reference)
				if got := tok.Decode(ids, true); got != i.Reference {
					t.Fatalf("%s: %q became %q", name, i.Reference, got)
				}
				for _, id := range ids {
					if tok.ByteFallback(id) {
						t.Fatalf("%s: %q needs byte token %s", name, i.Reference, tok.Token(id))
					}
					if name == "llama" && len(strings.Trim(tok.Token(id), "▁")) > 1 && strings.ContainsAny(tok.Token(id), "0123456789") {
						t.Fatalf("token %q holds more than one digit", tok.Token(id))
					}
				}
			}
		}
	}
}

func TestTrainingIsReproducible(t *testing.T) {
	a, b := Training(1, 50, 50, 10), Training(1, 50, 50, 10)
	for name := range a {
		if !bytes.Equal(a[name], b[name]) || len(a[name]) == 0 {
			t.Errorf("%s differs between two runs, or is empty", name)
		}
	}
}
