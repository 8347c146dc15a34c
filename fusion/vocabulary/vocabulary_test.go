package vocabulary

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/profuser/profuser/fusion/edit"
)

// words is a vocabulary of strings in which the marker stands for a space.
type words struct {
	marker string
	tokens []string
}

func (w words) Size() int             { return len(w.tokens) }
func (w words) Token(id int32) string { return w.tokens[id] }
func (w words) Bytes(id int32) []byte {
	if strings.HasPrefix(w.tokens[id], "<") {
		return nil
	}
	return []byte(strings.ReplaceAll(w.tokens[id], w.marker, " "))
}

func drawWords(t *rapid.T, name, marker string) words {
	w := words{marker, []string{marker, "<end" + marker + ">"}}
	pieces := []rune("abc" + marker)
	long := rapid.SampledFrom([]int{3, 8, 70}).Draw(t, name+" long")
	w.tokens = append(w.tokens, rapid.SliceOfN(rapid.StringOfN(rapid.SampledFrom(pieces), 0, long, -1), 0, 30).Draw(t, name)...) // "" is an id without token, some stand twice
	return w
}

func distance(a, b string) int {
	var alphabet edit.Alphabet
	x, y := alphabet.Append(nil, a), alphabet.Append(nil, b)
	p := edit.NewPattern(alphabet.Size())
	p.Set(x)
	return p.Distance(y)
}

// TestMinEditDistanceIsTheDefinition looks at every target token.
func TestMinEditDistanceIsTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		source, target := drawWords(t, "source", "Ġ"), drawWords(t, "target", "▁")
		m := MinEditDistance(NewStrings(source), NewStrings(target))
		if err := m.Validate(target.Size()); err != nil {
			t.Fatal(err)
		}
		for id, token := range source.tokens {
			want, least := int32(-1), math.MaxInt
			x := strings.ReplaceAll(token, "Ġ", "▁")
			for y, other := range target.tokens {
				if d := distance(x, other); token != "" && other != "" && d < least {
					want, least = int32(y), d
				}
			}
			if got := m.Target(int32(id)); got != want || want >= 0 && m.Costs[id] != float32(least) {
				t.Fatalf("%q is mapped to %d at %v, want %d at %d", token, got, m.Costs[id], want, least)
			}
		}
	})
}

func TestSameString(t *testing.T) {
	source := words{"Ġ", []string{"Ġa", "aĠb", "", "x", "Ġ"}}
	target := words{"▁", []string{"▁", "a▁b", "▁a", "Ġa", "▁a", ""}}
	m := SameString(NewStrings(source), NewStrings(target))
	if err := m.Validate(target.Size()); err != nil {
		t.Fatal(err)
	}
	var got []int32
	for id := range source.tokens {
		got = append(got, m.Target(int32(id)))
	}
	if d := cmp.Diff([]int32{2, 1, -1, -1, 0}, got); d != "" {
		t.Error(d)
	}
	if m.Covered() != 3 || m.Target(-1) != -1 || m.Target(5) != -1 {
		t.Errorf("%d covered, outside %d and %d", m.Covered(), m.Target(-1), m.Target(5))
	}
}

func TestMarkers(t *testing.T) {
	for want, w := range map[string]words{
		"▁": {"▁", []string{"▁a", "Ġ", "Ġb"}},
		"Ġ": {"Ġ", []string{"Ġa", "▁b"}},
		"":  {"#", []string{"a", "Ġb"}},
	} {
		if got := NewStrings(w).Marker(); got != want {
			t.Errorf("%v: marker %q, want %q", w.tokens, got, want)
		}
	}
	plain, marked := NewStrings(words{"#", []string{"Ġa"}}), NewStrings(words{"▁", []string{"▁a"}})
	if got := plain.As(marked, 0); got != "Ġa" {
		t.Errorf("a string without marker became %q", got)
	}
	if got := marked.Bare(0); got != "a" {
		t.Errorf("bare string %q", got)
	}
}

// letters encodes byte by byte, capital letters not at all.
type letters struct{}

func (letters) EncodeMidText(text []byte) (ids []int32) {
	for _, b := range text {
		if b < 'A' || b > 'Z' {
			ids = append(ids, int32(b))
		}
	}
	return ids
}

func TestSpelling(t *testing.T) {
	m := Spelling(words{"▁", []string{"▁ab", "<s>", "A", "b", ""}}, letters{})
	if err := m.Validate(256); err != nil {
		t.Fatal(err)
	}
	want := &Map{Method: MethodSpelling, Offsets: []int32{0, 3, 3, 3, 4, 4}, IDs: []int32{' ', 'a', 'b', 'b'}, Costs: []float32{2, 0, 0, 0, 0}}
	if d := cmp.Diff(want, m); d != "" {
		t.Error(d)
	}
}

func drawCounts(t *rapid.T, name string) *Counts {
	c := &Counts{}
	for range rapid.IntRange(0, 20).Draw(t, name) {
		c.Add(rapid.Int32Range(0, 9).Draw(t, "target"), rapid.Int32Range(0, 9).Draw(t, "source"), rapid.Int64Range(0, 1<<40).Draw(t, "times"))
	}
	return c
}

// TestCountsMerge: sums do not depend on how they are split and in which order they are added, and survive being bytes.
func TestCountsMerge(t *testing.T) {
	sum := func(list ...*Counts) *Counts {
		out := &Counts{}
		for _, c := range list {
			out.Merge(c)
		}
		return out
	}
	marshal := func(t *rapid.T, c *Counts) []byte {
		b, err := c.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawCounts(t, "a"), drawCounts(t, "b"), drawCounts(t, "c")
		want := marshal(t, sum(a, b, c))
		for _, other := range []*Counts{sum(c, b, a), sum(sum(a, b), c), sum(a, sum(b, c)), sum(&Counts{}, b, a, c)} {
			if !bytes.Equal(want, marshal(t, other)) {
				t.Fatal("another order gives other sums")
			}
		}
		var back Counts
		if err := back.UnmarshalBinary(want); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, marshal(t, &back)) || back.Len() != sum(a, b, c).Len() {
			t.Fatal("counts changed on the way through bytes")
		}
	})
}

// TestStatistics: the example of each rule: the most frequent is not the nearest; containing counts a tenth; the corpus
// lacks a token; equal costs.
func TestStatistics(t *testing.T) {
	source := words{"Ġ", []string{"Ġ", "abc", "Ġthe", "unseen", "xx", "12"}}
	target := words{"▁", []string{"▁", "abd", "ab", "▁the", "the", "unseen", "xy", "yx", "1"}}
	var counts Counts
	for _, n := range []struct {
		target, source string
		times          int64
	}{
		{"abd", "abc", 1},  // 1 · sigmoid(1) = 0.73
		{"ab", "abc", 100}, // 0.1 · 1 · 1
		{"the", "Ġthe", 50},
		{"▁the", "Ġthe", 1}, // 0
		{"yx", "xx", 2},
		{"xy", "xx", 2},
		{"1", "12", 3},
	} {
		counts.Add(int32(slices.Index(target.tokens, n.target)), int32(slices.Index(source.tokens, n.source)), n.times)
	}
	m, err := Statistics(source, target, &counts)
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"abc": "ab", "Ġthe": "▁the", "unseen": "unseen", "xx": "xy", "12": "1", "Ġ": "▁"} {
		if got := m.Target(int32(slices.Index(source.tokens, from))); got < 0 || target.tokens[got] != to {
			t.Errorf("%q is mapped to %d, want %q", from, got, to)
		}
	}
	if got, want := float64(m.Costs[5]), 0.1/(1+math.Exp(-3)); math.Abs(got-want) > 1e-7 {
		t.Errorf("cost %v, want %v", got, want)
	}
	counts.Add(9, 0, 1)
	if _, err := Statistics(source, target, &counts); err == nil {
		t.Error("counts of another vocabulary were taken")
	}
}

func TestCodec(t *testing.T) {
	key := Key{Method: MethodMinEditDistance, Source: "s", Target: "t", Strings: "d"}
	rapid.Check(t, func(t *rapid.T) {
		m := newMap(key.Method, 4)
		for range rapid.IntRange(0, 5).Draw(t, "size") {
			m.add(float32(rapid.Float64Range(0, 9).Draw(t, "cost")), rapid.SliceOfN(rapid.Int32Range(0, 6), 0, 3).Draw(t, "targets")...)
		}
		data, err := m.Encode(key)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(data, key, 7)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(m, back); d != "" {
			t.Fatal(d)
		}
		damaged := bytes.Clone(data)
		damaged[rapid.IntRange(0, len(data)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := Decode(damaged, key, 7); err == nil {
			t.Fatal("a damaged map was read")
		}
		if _, err := Decode(data[:rapid.IntRange(0, len(data)-1).Draw(t, "cut")], key, 7); err == nil {
			t.Fatal("a map that is cut off was read")
		}
		if _, err := Decode(data, Key{Method: key.Method, Source: "other", Target: "t", Strings: "d"}, 7); err == nil {
			t.Fatal("another tokenizer's map was read")
		}
		if len(m.IDs) > 0 {
			if _, err := Decode(data, key, int(slices.Max(m.IDs))); err == nil {
				t.Fatal("a target token outside the vocabulary was read")
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	key := Key{Method: MethodSpelling, Source: "s", Target: "t"}
	m := newMap(key.Method, 2)
	m.add(0, 1)
	m.add(1, 2, 3)
	data, err := m.Encode(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(mapMagic + `{"method":"exact","source":"s","target":"t","size":-1,"entries":3}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := Decode(data, key, 4); err == nil && m.Validate(4) != nil {
			t.Error("an invalid map was read")
		}
	})
}

func FuzzCounts(f *testing.F) {
	var c Counts
	c.Add(3, 1, 5)
	c.Add(300, 7, 1<<40)
	data, err := c.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(countsMagic + "\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c Counts
		if c.UnmarshalBinary(data) != nil {
			return
		}
		back, err := c.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var again Counts
		if err := again.UnmarshalBinary(back); err != nil || again.Len() != c.Len() {
			t.Fatal(err, again.Len(), c.Len())
		}
	})
}

func TestDigest(t *testing.T) {
	a, b := NewStrings(words{"▁", []string{"▁a", "b"}}), NewStrings(words{"▁", []string{"▁", "ab"}})
	if Digest(a) == Digest(b) || Digest(a, b) == Digest(b, a) || Digest(a) != Digest(NewStrings(words{"▁", []string{"▁a", "b"}})) {
		t.Error("digests do not tell vocabularies apart")
	}
}
