package contamination

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/profuser/profuser/fusion/words"
)

// index holds the texts of two files.
func index(t testing.TB, n int, first, second []string) *Index {
	t.Helper()
	x, err := NewIndex(n)
	if err != nil {
		t.Fatal(err)
	}
	for i, texts := range [][]string{first, second} {
		x.Begin([]string{"first", "second"}[i])
		for _, text := range texts {
			x.Add(text)
		}
	}
	return x
}

func TestFind(t *testing.T) {
	item := "A train leaves Springfield at 3 o'clock, and travels 60 miles an hour; how far is it at five?"
	x := index(t, 13, []string{item, "too short"}, []string{item, "one two three four five six seven eight nine ten eleven twelve thirteen"})
	for text, want := range map[string]string{
		item: "first",
		"Solve this: a TRAIN leaves springfield at 3 oclock and travels 60 miles an hour. How far?": "first",
		"a train leaves springfield at 3 oclock and then travels 60 miles an hour, how far is it":   "",
		"zero one two three four five six seven eight nine ten eleven twelve thirteen":              "second",
		"one two three four five six seven eight nine ten eleven twelve":                            "",
		"": "",
	} {
		if file, _, ok := x.Find(text); file != want || ok != (want != "") {
			t.Errorf("%q: file %q, want %q", text, file, want)
		}
	}
	if _, run, _ := x.Find("Say: " + item); run != "a train leaves springfield at 3 oclock and travels 60 miles an hour" {
		t.Errorf("run %q", run)
	}
	if f := x.Files(); f[0] != (File{"first", 2, 1, 7}) || f[1] != (File{"second", 2, 0, 1}) {
		t.Errorf("%+v", f)
	}
	for _, n := range []int{LeastWords - 1, MostWords + 1} {
		if _, err := NewIndex(n); err == nil {
			t.Errorf("runs of %d words were accepted", n)
		}
	}
}

// TestFindIsSharing: a text is found exactly if it shares n words in a row with one of the texts, by definition.
func TestFindIsSharing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(LeastWords, 7).Draw(t, "n")
		text := rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "B,", "c", "b"}), 0, 14).Draw(t, "words"), " ")
		})
		items := rapid.SliceOfN(text, 0, 4).Draw(t, "items")
		asked := text.Draw(t, "text")
		x, err := NewIndex(n)
		if err != nil {
			t.Fatal(err)
		}
		x.Begin("items")
		runs := map[string]bool{}
		for _, item := range items {
			x.Add(item)
			for all := words.Comparable(item); len(all) >= n; all = all[1:] {
				runs[strings.Join(all[:n], " ")] = true
			}
		}
		want := false
		for all := words.Comparable(asked); len(all) >= n; all = all[1:] {
			want = want || runs[strings.Join(all[:n], " ")]
		}
		if _, run, ok := x.Find(asked); ok != want || ok && !runs[run] {
			t.Fatalf("%q in %q: %v (%q), by definition %v", asked, items, ok, run, want)
		}
		if x.Files()[0].Runs != len(runs) {
			t.Fatalf("%d runs, by definition %d", x.Files()[0].Runs, len(runs))
		}
	})
}

// FuzzFind: whatever a text is, with its own words around it is found if it is long enough, and a run is really there.
func FuzzFind(f *testing.F) {
	f.Add("a b c d e f", "x a b c d e")
	f.Add("我吃苹果了", "今天我吃苹果了。")
	f.Add("İ i ı ẞ ß s", "caf\xe9 \u00a0")
	f.Fuzz(func(t *testing.T, item, text string) {
		x := index(t, LeastWords, []string{item}, nil)
		long := len(words.Comparable(item)) >= LeastWords
		if _, _, ok := x.Find(item); ok != long {
			t.Fatalf("%q is found: %v, long enough: %v", item, ok, long)
		}
		if _, run, ok := x.Find(text); ok {
			if !strings.Contains(" "+strings.Join(words.Comparable(item), " ")+" ", " "+run+" ") {
				t.Fatalf("%q shares %q with %q", text, run, item)
			}
		}
	})
}

// BenchmarkFind checks prompts of 200 words against the runs of a thousand texts, and says how many these are.
func BenchmarkFind(b *testing.B) {
	x, err := NewIndex(13)
	if err != nil {
		b.Fatal(err)
	}
	x.Begin("items")
	number := 0
	text := func(n int) string {
		var t strings.Builder
		for range n {
			number++
			t.WriteString("w" + strings.Repeat("x", number%7) + string(rune('a'+number%26)) + string(rune('a'+number/26%26)) + string(rune('a'+number/676%26)) + " ")
		}
		return t.String()
	}
	for range 1000 {
		x.Add(text(1012))
	}
	prompt := text(200)
	b.SetBytes(int64(len(prompt)))
	b.ReportAllocs()
	for b.Loop() {
		x.Find("q " + prompt)
	}
	b.ReportMetric(float64(x.Files()[0].Runs), "runs")
}
