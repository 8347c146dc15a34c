package tokenizer

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/profuser/profuser/models/tokenizer/bytelevel"
	"github.com/profuser/profuser/models/tokenizer/detokenize"
	"github.com/profuser/profuser/models/tokenizer/normalize"
	"github.com/profuser/profuser/models/tokenizer/pretokenize"
)

// pieces collects what a pre-tokenizer gives.
type pieces struct {
	t         *testing.T
	text      string
	byteLevel bool
	all       []string
	last      int
}

func (p *pieces) Piece(s string, o *normalize.Positions, start int) {
	if from, to := o.Text(start), o.Text(start+len(s)); from < p.last || to < from || to > len(p.text) {
		p.t.Errorf("%q: piece %q covers %d:%d after %d", p.text, s, from, to, p.last)
	} else {
		p.last = to
	}
	if p.byteLevel {
		s = bytelevel.Token(s)
	}
	p.all = append(p.all, s)
}

// component runs one component of a golden row.
func runComponent(t *testing.T, kind string, raw, in json.RawMessage) any {
	switch kind {
	case "normalizer":
		chain, err := normalize.Read(raw)
		if err != nil {
			t.Fatal(err)
		}
		text := unquote(t, in)
		plain, _ := chain.Apply(text, false, false)
		tracked, at := chain.Apply(text, false, true)
		if plain != tracked || at != nil && (len(at) != len(tracked)+1 || int(at[len(tracked)]) != len(text)) {
			t.Errorf("%s on %q: %q without and %q with positions %v", raw, text, plain, tracked, at)
		}
		return plain
	case "pre_tokenizer":
		chain, err := pretokenize.Read(raw)
		if err != nil {
			t.Fatal(err)
		}
		text := unquote(t, in)
		found := &pieces{t: t, text: text, byteLevel: chain.ByteLevel, all: []string{}}
		_, size := utf8.DecodeRuneInString(text)
		chain.Cut(&pretokenize.Run{Sink: found, First: true, FirstSize: size, Track: true}, text, nil)
		return found.all
	}
	chain, err := detokenize.Read(raw)
	if err != nil {
		t.Fatal(err)
	}
	var tokens []string
	if err := json.Unmarshal(in, &tokens); err != nil {
		t.Fatal(err)
	}
	decoder, text := chain.New(), ""
	for _, token := range tokens {
		decoder.Push(token)
		text += decoder.Take()
	}
	return text + decoder.End()
}

func unquote(t *testing.T, raw json.RawMessage) (s string) {
	t.Helper()
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestComponentsAgreeWithReference runs single components on text, against the reference's results.
func TestComponentsAgreeWithReference(t *testing.T) {
	rows, faults := 0, map[string]int{}
	for line := range bytes.Lines(gunzip(t, "testdata/components.golden.jsonl.gz")) {
		var row struct {
			Kind          string
			JSON, In, Out json.RawMessage
		}
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatal(err)
		}
		rows++
		var want any
		if row.Kind == "pre_tokenizer" {
			list := []string{}
			if err := json.Unmarshal(row.Out, &list); err != nil {
				t.Fatal(err)
			}
			want = list
		} else {
			want = unquote(t, row.Out)
		}
		if diff := cmp.Diff(want, runComponent(t, row.Kind, row.JSON, row.In)); diff != "" {
			if faults[string(row.JSON)]++; faults[string(row.JSON)] < 4 {
				t.Errorf("%s %s on %s (-want +got):\n%s", row.Kind, row.JSON, row.In, diff)
			}
		}
	}
	for component, n := range faults {
		t.Errorf("%d faults of %.200s", n, component)
	}
	if rows < 5000 {
		t.Errorf("%d rows, want 5000 or more", rows)
	}
}

// kindNames are the tokenizers in testdata/kinds, made with their results by testdata/make_golden.py.
func kindNames(t testing.TB) (names []string) {
	t.Helper()
	files, err := filepath.Glob("testdata/kinds/*.golden.jsonl.gz")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d tokenizers in testdata/kinds: %v", len(files), err)
	}
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".golden.jsonl.gz"))
	}
	return names
}

// loadKind loads the file of a kind, whatever its format.
func loadKind(t testing.TB, name string) *Tokenizer {
	t.Helper()
	var tok *Tokenizer
	var err error
	if file := "testdata/kinds/" + name + ".model.gz"; exists(file) {
		tok, err = ParseSentencePiece(gunzip(t, file))
	} else if file := "testdata/kinds/" + name + ".tiktoken.gz"; exists(file) {
		pattern := map[string]string{"r50k": pretokenize.R50k, "cl100k": pretokenize.Cl100k, "o200k": pretokenize.O200k}[strings.TrimPrefix(name, "tiktoken-")]
		tok, err = ParseTiktoken(gunzip(t, file), TiktokenOptions{Pattern: pattern, Specials: map[string]int32{"<|end|>": 700}})
	} else {
		tok, err = Parse(gunzip(t, "testdata/kinds/"+name+".json.gz"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func TestKindsAgreeWithReference(t *testing.T) {
	for _, name := range kindNames(t) {
		t.Run(name, func(t *testing.T) {
			tok := loadKind(t, name)
			rows := parseGolden(t, gunzip(t, "testdata/kinds/"+name+".golden.jsonl.gz"))
			for _, row := range rows {
				if row.IDs != nil {
					checkGolden(t, tok, []golden{row})
					continue
				}
				if diff := cmp.Diff(row.IDsNoSpecial, tok.Encode(row.Text)); diff != "" {
					t.Errorf("%q: ids (-want +got):\n%s", row.Text, diff)
				}
				checkSpans(t, tok, row.Text)
			}
		})
	}
}
