package vocabularies

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/fusion/vocabulary"
	"github.com/profuser/profuser/models/tokenizer"
)

func demoTokenizer(t *testing.T, name string) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.Load(filepath.Join("..", "..", "data", "tokenizers", name))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

var methods = []vocabulary.Method{vocabulary.MethodSpelling, vocabulary.MethodSameString, vocabulary.MethodMinEditDistance, vocabulary.MethodStatistics}

// TestMapsAreKept: the second call reads what the first one wrote, and says the same.
func TestMapsAreKept(t *testing.T) {
	source, target := demoTokenizer(t, "mpt"), demoTokenizer(t, "llama")
	dir := filepath.Join(t.TempDir(), "maps")
	s := Store{Dir: dir, Warn: func(message string) { t.Error(message) }}
	var counts vocabulary.Counts
	counts.Add(300, 300, 2)
	for n, method := range methods {
		first, err := s.Map(method, source, target, &counts)
		if err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(files) != n+1 {
			t.Fatalf("after %s: files %v, %v", method, files, err)
		}
		again, err := s.Map(method, source, target, &counts)
		if d := cmp.Diff(first, again); err != nil || d != "" {
			t.Errorf("%s: %v (-built +read):\n%s", method, err, d)
		}
		built, err := Store{}.Map(method, source, target, &counts)
		if d := cmp.Diff(first, built); err != nil || d != "" {
			t.Errorf("%s: %v (-kept +built):\n%s", method, err, d)
		}
	}
	counts.Add(301, 300, 7)
	if _, err := s.Map(vocabulary.MethodStatistics, source, target, &counts); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "statistics-*"))
	if err != nil || len(files) != 2 {
		t.Errorf("two corpora have the files %v, %v", files, err)
	}
}

// TestDamageIsBuiltAgain: with a warning, and the file is whole afterwards.
func TestDamageIsBuiltAgain(t *testing.T) {
	source, target := demoTokenizer(t, "mpt"), demoTokenizer(t, "llama")
	var warnings []string
	s := Store{Dir: t.TempDir(), Warn: func(message string) { warnings = append(warnings, message) }}
	want, err := s.Map(vocabulary.MethodMinEditDistance, source, target, nil)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	files, err := filepath.Glob(filepath.Join(s.Dir, "*.map"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	other, err := s.Map(vocabulary.MethodMinEditDistance, target, source, nil)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.Encode(vocabulary.Key{Method: vocabulary.MethodMinEditDistance, Source: target.Fingerprint(), Target: source.Fingerprint()})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"checksum": "profuser", "cut": string(whole[:len(whole)/2]), "flipped": strings.Replace(string(whole), "\x05", "\x06", 1), "foreign": string(foreign), "empty": "",
	} {
		warnings = nil
		if err := os.WriteFile(files[0], []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := s.Map(vocabulary.MethodMinEditDistance, source, target, nil)
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%s: %v\n%s", name, err, d)
		}
		if len(warnings) != 1 || !strings.Contains(warnings[0], "built again") {
			t.Errorf("%s: warnings %q", name, warnings)
		}
		if now, err := os.ReadFile(files[0]); err != nil || string(now) != string(whole) {
			t.Errorf("%s: the file is not whole again, %v", name, err)
		}
	}
}

// TestFolderThatCannotBeWritten costs a warning.
func TestFolderThatCannotBeWritten(t *testing.T) {
	source := demoTokenizer(t, "mpt")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var warnings []string
	s := Store{Dir: filepath.Join(file, "below"), Warn: func(message string) { warnings = append(warnings, message) }}
	m, err := s.Map(vocabulary.MethodSameString, source, source, nil)
	if err != nil || m.Covered() == 0 || len(warnings) == 0 {
		t.Errorf("%v, %d covered, warnings %q", err, m.Covered(), warnings)
	}
}

func TestFaults(t *testing.T) {
	source := demoTokenizer(t, "mpt")
	if _, err := (Store{}).Map(vocabulary.MethodStatistics, source, source, nil); err == nil {
		t.Error("statistics without counts")
	}
	if _, err := (Store{}).Map("nearest", source, source, nil); err == nil {
		t.Error("an unknown method")
	}
}
