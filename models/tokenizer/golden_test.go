package tokenizer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/profuser/profuser/models/tokenizer/component"
	"github.com/profuser/profuser/models/tokenizer/subword"
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

func parseGolden(t testing.TB, data []byte) (rows []golden) {
	t.Helper()
	lines := bufio.NewScanner(bytes.NewReader(data))
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

// smallNames are the tokenizers in testdata, made with their results by testdata/reference.py.
func smallNames(t testing.TB) (names []string) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no small tokenizers in testdata: %v", err)
	}
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".json"))
	}
	return names
}

func loadSmall(t testing.TB, name string) *Tokenizer {
	t.Helper()
	tok, err := Load(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestSmallTokenizersAgreeWithReference(t *testing.T) {
	for _, name := range smallNames(t) {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join("testdata", name+".golden.jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, loadSmall(t, name), parseGolden(t, data))
		})
	}
}

func TestRealTokenizersAgreeWithReference(t *testing.T) {
	for _, name := range realNames {
		t.Run(name, func(t *testing.T) {
			tok := loadReal(t, name)
			data := gunzip(t, filepath.Join(sharedFolder(t), "golden", name+".jsonl.gz"))
			rows := parseGolden(t, data)
			if len(rows) < 800 {
				t.Fatalf("%d golden rows, want 800 or more", len(rows))
			}
			checkGolden(t, tok, rows)
		})
	}
}

// checkGolden compares ids, decoded text, spans and bytes.
func checkGolden(t *testing.T, tok *Tokenizer, rows []golden) {
	t.Helper()
	for _, row := range rows {
		ids := tok.Encode(row.Text)
		if diff := cmp.Diff(row.IDsNoSpecial, ids); diff != "" {
			t.Errorf("%q: ids (-want +got):\n%s", row.Text, diff)
			continue
		}
		if whole := slices.Concat(tok.Specials(), ids, tok.SpecialsAfter()); !slices.Equal(row.IDs, whole) {
			t.Errorf("%q: ids with specials %v, want %v", row.Text, whole, row.IDs)
		}
		if got := tok.Decode(row.IDs, true); got != row.Decoded {
			t.Errorf("%q: decoded %q, want %q", row.Text, got, row.Decoded)
		}
		if got := tok.Decode(ids, false); got != row.DecodedPlain {
			t.Errorf("%q: decoded without specials %q, want %q", row.Text, got, row.DecodedPlain)
		}
		checkSpans(t, tok, row.Text)
		checkBytes(t, tok, row.Text)
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

// checkBytes checks that the tokens' bytes are the text, but for dummy prefixes and normalisation.
func checkBytes(t testing.TB, tok *Tokenizer, text string) {
	t.Helper()
	bpe, ok := tok.model.(*subword.BPE)
	if !ok || !bpe.ByteLevel && !bpe.ByteFallback {
		return // unknown characters
	}
	if !bpe.ByteLevel && strings.Contains(text, component.Marker) {
		return // a marker of the text can share a token with the dummy prefix
	}
	want := strings.ToValidUTF8(text, "\uFFFD")
	if want, _ = tok.normalizer.Apply(want, true, false); !bpe.ByteLevel {
		want = strings.ReplaceAll(want, component.Marker, " ")
	}
	var got strings.Builder
	ids, spans := tok.EncodeSpans(text)
	for i, id := range ids {
		content, covered := string(tok.Bytes(id)), text[spans[i].Start:spans[i].End]
		if tok.at(id).added {
			content = covered // with the white space that it takes along
		} else if len(content) == len(covered)+1 && content[0] == ' ' {
			content = content[1:] // the dummy prefix
		}
		got.WriteString(content)
	}
	if got.String() != want {
		t.Errorf("%q: token bytes spell %q", text, got.String())
	}
}
