package tokenizer

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"
)

// realNames are the real tokenizers of ../shared, with the reference implementation's results.
var realNames = []string{"gpt2", "llama2", "mistral03", "mptchat", "vicuna"}

// golden is one row of the reference implementation's results.
type golden struct {
	Text         string  `json:"text"`
	IDs          []int32 `json:"ids"`
	IDsNoSpecial []int32 `json:"ids_no_special"`
	Decoded      string  `json:"decoded_skip_special"`
	DecodedPlain string  `json:"decoded_no_special_ids"`
}

// sharedFolder is ../shared/tokenizers seen from the repository's root; the test is skipped without it.
func sharedFolder(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Skip("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	shared := filepath.Join(filepath.Dir(dir), "shared", "tokenizers")
	if _, err := os.Stat(shared); err != nil {
		t.Skip("real tokenizers are not here: no ../shared/tokenizers")
	}
	return shared
}

func gunzip(t testing.TB, file string) []byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func loadReal(t testing.TB, name string) *Tokenizer {
	t.Helper()
	file := filepath.Join(t.TempDir(), FileName)
	if err := os.WriteFile(file, gunzip(t, filepath.Join(sharedFolder(t), name+".json.gz")), 0o600); err != nil {
		t.Fatal(err)
	}
	tok, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func readGolden(t testing.TB, name string) (rows []golden) {
	t.Helper()
	data := gunzip(t, filepath.Join(sharedFolder(t), "golden", name+".jsonl.gz"))
	lines := bufio.NewScanner(strings.NewReader(string(data)))
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var row golden
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

func TestRealTokenizersAgreeWithReference(t *testing.T) {
	for _, name := range realNames {
		t.Run(name, func(t *testing.T) {
			tok := loadReal(t, name)
			rows := readGolden(t, name)
			if len(rows) < 800 {
				t.Fatalf("%d golden rows", len(rows))
			}
			for _, row := range rows {
				ids := tok.Encode(row.Text)
				if diff := cmp.Diff(row.IDsNoSpecial, ids); diff != "" {
					t.Errorf("%q: ids (-want +got):\n%s", row.Text, diff)
					continue
				}
				whole := append(tok.Specials(), ids...)
				if diff := cmp.Diff(row.IDs, whole); diff != "" {
					t.Errorf("%q: ids with specials (-want +got):\n%s", row.Text, diff)
				}
				if got := tok.Decode(row.IDs, true); got != row.Decoded {
					t.Errorf("decoded %q, want %q", got, row.Decoded)
				}
				if got := tok.Decode(ids, false); got != row.DecodedPlain {
					t.Errorf("decoded without specials %q, want %q", got, row.DecodedPlain)
				}
				checkSpans(t, tok, row.Text)
				checkBytes(t, tok, row.Text)
			}
		})
	}
}

// checkSpans checks that the spans tile the text and that every token's bytes are those of its span, but
// for a dummy prefix, a rewritten character or stripped white space.
func checkSpans(t testing.TB, tok *Tokenizer, text string) {
	t.Helper()
	ids, spans := tok.EncodeSpans(text)
	if diff := cmp.Diff(tok.Encode(text), ids); diff != "" {
		t.Fatalf("%q: ids of EncodeSpans differ: %s", text, diff)
	}
	at := 0
	for i, span := range spans {
		if span.Start != at || span.End < span.Start {
			t.Fatalf("%q: span %d is %v, want it to start at %d", text, i, span, at)
		}
		at = span.End
	}
	if len(ids) > 0 && at != len(text) {
		t.Fatalf("%q: spans end at %d of %d", text, at, len(text))
	}
}

// checkBytes checks that the tokens' bytes are the text, with special tokens spelled out.
func checkBytes(t testing.TB, tok *Tokenizer, text string) {
	t.Helper()
	if tok.normalizer.prepend && strings.Contains(text, marker) {
		return // a marker of the text can share a token with the dummy prefix
	}
	ids, spans := tok.EncodeSpans(text)
	want := text
	if tok.normalizer.compose {
		want = norm.NFC.String(text)
	}
	if tok.hasMarkers() {
		want = strings.ReplaceAll(want, marker, " ")
	}
	var got strings.Builder
	for i, id := range ids {
		content := string(tok.Bytes(id))
		if tok.Special(id) {
			content = tok.Token(id)
		}
		if size := spans[i].End - spans[i].Start; len(content) == size+1 && content[0] == ' ' && tok.hasMarkers() {
			content = content[1:] // the dummy prefix
		}
		got.WriteString(content)
	}
	if got.String() != want {
		t.Errorf("%q: token bytes spell %q", text, got.String())
	}
}
