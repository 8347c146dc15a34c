package regex

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestFind's results are those of the reference (Split, behavior Isolated), for the features that differ between
// the two syntaxes.
func TestFind(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		want          []string
	}{
		{`\s+$`, "a  \nb  ", []string{"  ", "  "}},
		{`^b`, "a\nb", []string{"b"}},
		{`a++`, "aaa", []string{"aaa"}},
		{`a++a`, "aaa", nil},
		{`a{1,2}+`, "aaaaa", []string{"aaaaa"}},
		{`a{,2}`, "aaa", []string{"aa", "a"}},
		{`(?i:'s)`, "'ſ 'S", []string{"'ſ", "'S"}},
		{`(?i)k`, "\u212A K k", []string{"\u212A", "K", "k"}},
		{`\bfoo\b`, "foo foo1", []string{"foo"}},
		{`.+`, "a\rb\nc\u2028d", []string{"a\rb", "c\u2028d"}},
		{`(?<n>a)b`, "ab", []string{"ab"}},
		{`\h`, "ag", []string{"a"}},
		{`\w+`, "a²Ⅷ-é\u0301_", []string{"a²Ⅷ", "é\u0301_"}},
		{`[^\r\n\p{L}\p{N}]?+\p{L}++`, " ab", []string{" ab"}},
		{`\u00e9|\x{65E5}`, "é日", []string{"é", "日"}},
		{`[\[\]^-]`, "[]^-", []string{"[", "]", "^", "-"}},
		{`\p{^L}+`, "a12", []string{"12"}},
	} {
		r, err := Compile(test.pattern)
		if err != nil {
			t.Errorf("%s: %v", test.pattern, err)
			continue
		}
		var got []string
		r.Find(test.text, func(start, end int) { got = append(got, test.text[start:end]) })
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s in %q (-want +got):\n%s", test.pattern, test.text, diff)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for _, pattern := range []string{"(", ")", "[a", `\`, "*", `[a&&b]`, `\X`, `(?x) a`, `\p{Nothing}`, "[[:alpha:]]", `\xFF`, "a\xff", strings.Repeat("(", 70000), `(?~a)`, `[b-a]`} {
		if _, err := Compile(pattern); err == nil || !strings.Contains(err.Error(), "regular expression") {
			t.Errorf("%.20q: %v", pattern, err)
		}
	}
}

func TestFindEnds(t *testing.T) {
	r, err := Compile(`(a*)*b`)
	if err != nil {
		t.Fatal(err)
	}
	r.budget, r.compiled.MatchTimeout = 50*time.Millisecond, 50*time.Millisecond
	start := time.Now()
	r.Find(strings.Repeat("a", 5000), func(int, int) {})
	if spent := time.Since(start); spent > 2*time.Second {
		t.Errorf("took %v", spent)
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{`\s+(?!\S)|\s+`, `(?i:'s|'t)`, `[^\r\n\p{L}\p{N}]?+\p{L}++`, `a{,3}?(?<x>b)`, `[]^-]\x{41}`} {
		f.Add(seed, "it's 12 é\n x")
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		r, err := Compile(pattern)
		if err != nil || len(text) > 40 || len(pattern) > 40 {
			return
		}
		last := 0
		r.Find(strings.ToValidUTF8(text, "?"), func(start, end int) {
			if start < last || end < start {
				t.Fatalf("%q: match %d:%d after %d", pattern, start, end, last)
			}
			last = end
		})
	})
}
