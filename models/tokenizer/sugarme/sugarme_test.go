package sugarme

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sugarme/tokenizer"

	"github.com/profuser/profuser/models/tokenizer/backend"
)

// row is one string of a golden file of package tokenizer.
type row struct {
	Text    string  `json:"text"`
	IDs     []int32 `json:"ids_no_special"`
	Decoded string  `json:"decoded_no_special_ids"`
}

// golden are the tokenizers of package tokenizer's testdata with the reference's results.
func golden(t *testing.T, each func(name string, data []byte, rows []row)) {
	files, err := filepath.Glob("../testdata/*.golden.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files: ", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".golden.jsonl")
		data, err := os.ReadFile(filepath.Join("../testdata", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var rows []row
		for line := range strings.Lines(string(text)) {
			var r row
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			rows = append(rows, r)
		}
		each(name, data, rows)
	}
}

// wrong is how many strings a back end gets wrong, and the first of them.
func wrong(b backend.Backend, rows []row) (n int, first string) {
	for _, r := range rows {
		ids, err := b.Encode(r.Text)
		text, decodeErr := b.Decode(r.IDs, false)
		if err != nil || decodeErr != nil || !slices.Equal(ids, r.IDs) || text != r.Decoded {
			if n == 0 {
				first = r.Text
			}
			n++
		}
	}
	return n, first
}

// TestParseIsRight: what Parse loads gives the reference's results.
func TestParseIsRight(t *testing.T) {
	golden(t, func(name string, data []byte, rows []row) {
		b, err := Parse(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if n, first := wrong(b, rows); n > 0 {
			t.Errorf("%s: %d of %d strings are wrong, the first is %q", name, n, len(rows), first)
		}
	})
}

// TestRightKinds: the kinds that the library gets right by its own means are those of right, no more and no fewer.
func TestRightKinds(t *testing.T) {
	golden(t, func(name string, data []byte, rows []row) {
		kind, err := kindOf(data)
		if err != nil {
			t.Fatal(err)
		}
		n := len(rows)
		if b, err := ParseAny(data); err == nil {
			n, _ = wrong(b, rows)
		}
		t.Logf("%s (%s): %d of %d strings are wrong", name, kind, n, len(rows))
		if listed := slices.Contains(right, kind); listed && n > 0 {
			t.Errorf("%s: %s is listed as right, and %d strings are wrong", name, kind, n)
		}
		if n == 0 {
			t.Errorf("%s: %s is right now: put it into the list if all its tokenizers are", name, kind)
		}
	})
}

// TestFailuresAreErrors: neither a panic nor a log.Fatal of the library ends the process.
func TestFailuresAreErrors(t *testing.T) {
	if err := guard(func() error { tokenizer.NewInputSequence(3); return nil }); err == nil || !strings.Contains(err.Error(), "log.Fatal") {
		t.Errorf("log.Fatal: error %v", err)
	}
	for _, data := range []string{"", "null", "{}", `{"model": {"type": "BPE"}}`, `{"model": {"type": "BPE", "vocab": {"a": "b"}, "merges": []}}`} {
		if _, err := ParseAny([]byte(data)); err == nil {
			t.Errorf("%s: no error", data)
		}
		if _, err := Parse([]byte(data)); err == nil {
			t.Errorf("%s: no error", data)
		}
	}
	data, err := os.ReadFile("../testdata/prepend.json")
	if err != nil {
		t.Fatal(err)
	}
	b, err := ParseAny(data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Encode("caf\xe9"); err == nil {
		t.Error("invalid UTF-8, which the library panics on, is no error")
	}
	if _, err := b.Decode(nil, true); err == nil {
		t.Error("no ids, which the library panics on, are no error")
	}
}

// TestSkipSpecial: special tokens are left out over our engine.
func TestSkipSpecial(t *testing.T) {
	data, err := os.ReadFile("../testdata/prepend.json")
	if err != nil {
		t.Fatal(err)
	}
	b, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := b.Encode("the fox</s>")
	if err != nil {
		t.Fatal(err)
	}
	with, _ := b.Decode(ids, false)
	without, _ := b.Decode(ids, true)
	if with != "the fox</s>" || without != "the fox" {
		t.Errorf("decoded %q and %q", with, without)
	}
	if id, ok := b.Inner().TokenToId("</s>"); !ok || id != int(ids[len(ids)-1]) {
		t.Errorf("</s> is %d, %v", id, ok)
	}
}
