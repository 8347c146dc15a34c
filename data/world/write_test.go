package world

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/schemas"
)

// committed is made once for all tests: learning the tokenizers takes a second.
var committed = func() func(t *testing.T) map[string][]byte {
	var files map[string][]byte
	return func(t *testing.T) map[string][]byte {
		t.Helper()
		if files == nil {
			var err error
			if files, err = Committed(1); err != nil {
				t.Fatal(err)
			}
		}
		return files
	}
}()

// TestCommittedFilesAreTheGenerators: data/ holds byte for byte what the generator writes, and nothing else beside it.
func TestCommittedFilesAreTheGenerators(t *testing.T) {
	for name, want := range committed(t) {
		got, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(name)))
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("data/%s differs from what the generator writes: run go generate ./data/...", name)
		}
	}
	err := filepath.WalkDir("../tokenizers", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))
		if _, made := committed(t)[name]; !made {
			t.Errorf("data/%s is not the generator's", name)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestWriteAll(t *testing.T) {
	dir := t.TempDir()
	files := map[string][]byte{"a.jsonl": []byte("1\n"), "b/c/d.json": []byte("{}\n")}
	if err := WriteAll(dir, files); err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name))); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s holds %q, %v", name, got, err)
		}
	}
	if err := WriteAll(filepath.Join(dir, "a.jsonl"), files); err == nil {
		t.Error("a folder that is a file was written below")
	}
	if err := WriteAll(dir, map[string][]byte{"b/c": nil}); err == nil {
		t.Error("a file took the place of a folder")
	}
}

// committedRows are the rows of both sets.
func committedRows(t *testing.T) (prompts, heldOut []row) {
	t.Helper()
	return readRows(t, committed(t)["prompts.jsonl"]), readRows(t, committed(t)["heldout.jsonl"])
}

func TestRows(t *testing.T) {
	prompts, heldOut := committedRows(t)
	if len(prompts) != promptsPerSkill*len(Skills) || len(heldOut) != heldOutPerSkill*len(Skills) {
		t.Errorf("%d prompts and %d held-out items", len(prompts), len(heldOut))
	}
	ids, texts := map[string]bool{}, map[string]bool{}
	for _, r := range slices.Concat(prompts, heldOut) {
		var messages []schemas.Message
		for _, m := range r.Messages {
			messages = append(messages, schemas.Message{Role: m.Role, Content: m.Content})
		}
		record := schemas.Prompt{ID: schemas.PromptID(messages), ExternalID: r.ID, Messages: messages, Reference: &r.Reference, SystemHash: schemas.SystemHash(messages), Tags: r.Tags}
		if err := record.Validate(); err != nil {
			t.Errorf("%s: %v", r.ID, err)
		}
		if ids[r.ID] || texts[record.ID] {
			t.Errorf("%s is there twice, or held out and not", r.ID)
		}
		ids[r.ID], texts[record.ID] = true, true
		if !slices.Contains(Skills, r.Tags[0]) {
			t.Errorf("%s: first tag %q is no skill", r.ID, r.Tags[0])
		}
	}
}

// formats loads the committed tokenizers as models load them.
func formats(t *testing.T) map[string]*chat.Format {
	t.Helper()
	out := map[string]*chat.Format{}
	for _, name := range []string{"llama", "mpt"} {
		f, err := chat.Load("../tokenizers/"+name, chat.Options{})
		if err != nil {
			t.Fatal(err)
		}
		out[name] = f
	}
	return out
}

func TestTokenizers(t *testing.T) {
	for name, f := range formats(t) {
		tok := f.Tokenizer()
		if tok.Size() != vocabularySize {
			t.Errorf("%s has %d ids, want %d", name, tok.Size(), vocabularySize)
		}
		if got := tok.Token(f.EndOfTurn()); got != "</s>" || !slices.Equal(f.StopIDs(), []int32{f.EndOfTurn()}) {
			t.Errorf("%s ends a turn with %q and stops at %v", name, got, f.StopIDs())
		}
		c, err := decoder.ReadConfig("../tokenizers/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if c.VocabSize() != vocabularySize {
			t.Errorf("%s: config.json has a vocabulary of %d, want %d", name, c.VocabSize(), vocabularySize)
		}
	}
}

// TestTokenizersFit: every text of the world goes through the format and comes back, in known pieces, within the
// models' context.
func TestTokenizersFit(t *testing.T) {
	r := Random(5, "test")
	for name, f := range formats(t) {
		c, err := decoder.ReadConfig("../tokenizers/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			for _, skill := range Skills {
				i := draw[skill](r)
				for _, answer := range []string{i.Own, i.Reference, i.WrongOwn, i.WrongReference} {
					if n := fits(t, f, i.Prompt, answer); n > c.Context()/2 {
						t.Fatalf("%s: %q, %q: %d tokens, the context is %d", name, i.Prompt, answer, n, c.Context())
					}
				}
			}
		}
	}
}

// fits checks one conversation with its answer and returns its tokens.
func fits(t *testing.T, f *chat.Format, ask, answer string) int {
	t.Helper()
	tok := f.Tokenizer()
	messages := []schemas.Message{{Role: schemas.RoleUser, Content: ask}}
	prompt, err := f.Prompt(messages)
	if err != nil {
		t.Fatal(err)
	}
	e, err := f.Encode(messages, answer, true)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(e.PromptIDs, prompt) {
		t.Fatalf("%q: the answer %q changes the prompt's tokens", ask, answer)
	}
	if text, starts, closed := f.Answer(e.TextIDs); text != answer || !closed || !slices.Equal(starts, e.Starts[:len(starts)]) {
		t.Fatalf("%q came back as %q, closed %v, starts %v, want %v", answer, text, closed, starts, e.Starts)
	}
	all := slices.Concat(e.PromptIDs, e.TextIDs)
	for _, id := range all {
		if tok.ByteFallback(id) || tok.Token(id) == "<unk>" {
			t.Fatalf("token %q in %q %q", tok.Token(id), ask, answer)
		}
	}
	return len(all)
}

// TestDigits: the Llama-style tokenizer writes numbers digit by digit, the byte-level one may merge them, so that the
// two cut the same text differently.
func TestDigits(t *testing.T) {
	pieces := func(f *chat.Format, text string) []string {
		var out []string
		for _, id := range f.Tokenizer().Encode(text) {
			out = append(out, string(f.Tokenizer().Bytes(id)))
		}
		return out
	}
	f := formats(t)
	for n := 2; n <= 40; n++ {
		j, _ := json.Marshal(n)
		text := "a " + string(j) + "."
		for _, p := range pieces(f["llama"], text) {
			if strings.ContainsAny(p, "0123456789") && len(strings.TrimSpace(p)) != 1 {
				t.Errorf("llama cuts %q into a piece %q", text, p)
			}
		}
	}
	if diff := cmp.Diff([]string{" 12"}, pieces(f["mpt"], " 12")); diff != "" {
		t.Errorf("mpt (-want +got):\n%s", diff)
	}
}
