package align

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/fusion/vocabulary"
	"github.com/profuser/profuser/schemas"
)

// goldenText is one case of testdata/comparison.json.
type goldenText struct {
	Source, Target struct {
		Marker string
		Tokens []string
	}
	SourceIDs      []int32 `json:"source_ids"`
	TargetIDs      []int32 `json:"target_ids"`
	Rows, Own      []goldenRow
	Pairs          [][2]int32
	Warp           [][]int32
	WarpStatistics [][]int32 `json:"warp_statistics"`
	MinEdit        []int32   `json:"min_edit"`
	Statistic      []int32   `json:"statistics"`
	Results        []struct {
		Method, Fallback string
		Rows             []goldenRow
		Status           []int32
	}
}

// goldenRow is a list of ids with their values.
type goldenRow [][2]float64

func (g goldenText) vocabularies() (source, target tokenStrings) {
	return tokenStrings{g.Source.Marker, g.Source.Tokens}, tokenStrings{g.Target.Marker, g.Target.Tokens}
}

func (g goldenText) input(ids []int32, rows []goldenRow) Input {
	in := Input{IDs: ids}
	for _, row := range rows {
		in.Counts = append(in.Counts, int32(len(row)))
		for _, entry := range row {
			in.Entries, in.Values = append(in.Entries, int32(entry[0])), append(in.Values, entry[1])
		}
	}
	return in
}

func readGoldenTexts(t *testing.T) (texts []goldenText) {
	t.Helper()
	data, err := os.ReadFile("testdata/comparison.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &texts); err != nil {
		t.Fatal(err)
	}
	return texts
}

// mapFor builds the vocabulary map of a method.
func mapFor(t interface{ Fatal(...any) }, method string, source, target vocabulary.Vocabulary, counts *vocabulary.Counts) *vocabulary.Map {
	a, b := vocabulary.NewStrings(source), vocabulary.NewStrings(target)
	switch method {
	case MethodExactMatch:
		return vocabulary.SameString(a, b)
	case MethodStatistics:
		m, err := vocabulary.Statistics(source, target, counts)
		if err != nil {
			t.Fatal(err)
		}
		return m
	default:
		return vocabulary.MinEditDistance(a, b)
	}
}

// TestRowsAreThePublishedRules compares everything with what testdata/comparison.py writes.
func TestRowsAreThePublishedRules(t *testing.T) {
	planned := 0
	for n, g := range readGoldenTexts(t) {
		source, target := g.vocabularies()
		var counts vocabulary.Counts
		for _, p := range g.Pairs {
			counts.Add(p[0], p[1], 1)
		}
		for method, want := range map[string][][]int32{MethodMinEditDistance: g.Warp, MethodStatistics: g.WarpStatistics} {
			warped := NewWarper(method, vocabulary.NewStrings(source), vocabulary.NewStrings(target)).Warp(g.SourceIDs, g.TargetIDs)
			var beside [][]int32
			for i := range warped.First {
				beside = append(beside, slices.Collect(between(warped.First[i], warped.Last[i]+1)))
			}
			if d := cmp.Diff(want, beside); d != "" {
				t.Fatalf("case %d, %s: warping (-published +got):\n%s", n, method, d)
			}
		}
		for method, want := range map[string][]int32{MethodMinEditDistance: g.MinEdit, MethodStatistics: g.Statistic} {
			m := mapFor(t, method, source, target, &counts)
			for id := range want {
				if got := m.Target(int32(id)); got != want[id] {
					t.Errorf("case %d: %s maps %q to %d, published %d", n, method, source.tokens[id], got, want[id])
				}
			}
		}
		for _, r := range g.Results {
			c, err := NewComparison(r.Method, r.Fallback, source, target, mapFor(t, r.Method, source, target, &counts))
			if err != nil {
				t.Fatal(err)
			}
			in := g.input(g.SourceIDs, g.Rows)
			got, err := c.Rows(in, g.input(g.TargetIDs, g.Own))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(r.Status, got.Status); d != "" {
				t.Errorf("case %d, %s, %s: status (-published +got):\n%s", n, r.Method, r.Fallback, d)
				continue
			}
			at := 0
			for i, row := range r.Rows {
				if int(got.Counts[i]) != len(row) {
					t.Fatalf("case %d, %s, %s: row %d has %d entries, published %d", n, r.Method, r.Fallback, i, got.Counts[i], len(row))
				}
				for _, want := range row {
					value := got.Mass[at]
					if from := got.From[at]; from >= 0 {
						value = in.Values[from]
					} else if got.Status[i] == schemas.StatusExact {
						planned++
					}
					if got.IDs[at] != int32(want[0]) || math.Abs(value-want[1]) > 1e-9 {
						t.Errorf("case %d, %s, %s: row %d: token %d has %v, published token %v with %v", n, r.Method, r.Fallback, i, got.IDs[at], value, want[0], want[1])
					}
					at++
				}
			}
		}
	}
	if planned < 100 {
		t.Errorf("%d entries came from transport plans: too few to try them", planned)
	}
}

// drawStored makes a text of random tokens with stored distributions of the source, log-probs of its whole vocabulary or
// some of it.
func drawStored(t *rapid.T, source, target tokenStrings) (text []byte, s Tokens, d dist.Sparse, ranks []int32, to Tokens, own dist.Sparse) {
	text = []byte("text")
	tokens := func(name string, v tokenStrings) Tokens {
		k := Tokens{IDs: rapid.SliceOfN(rapid.Int32Range(0, int32(len(v.tokens)-1)), 0, 12).Draw(t, name)}
		k.Starts = make([]int32, len(k.IDs))
		return k
	}
	stored := func(name string, v tokenStrings, ids []int32) (d dist.Sparse) {
		for range ids {
			weights := rapid.SliceOfN(rapid.Float64Range(0.1, 9), len(v.tokens), len(v.tokens)).Draw(t, name)
			sum := 0.0
			for _, w := range weights {
				sum += w
			}
			order := rapid.Permutation(slices.Collect(between(0, int32(len(v.tokens))))).Draw(t, name+" order")
			slices.SortStableFunc(order, func(a, b int32) int { return cmpFloat(weights[b], weights[a]) })
			var logProbs []float32
			for _, id := range order {
				logProbs = append(logProbs, float32(math.Log(weights[id]/sum)))
			}
			d.Append(order, logProbs)
		}
		return d
	}
	s, to = tokens("source tokens", source), tokens("target tokens", target)
	d = stored("source", source, s.IDs)
	if rapid.Bool().Draw(t, "own") {
		own = stored("target", target, to.IDs)
	}
	return text, s, d, make([]int32, len(s.IDs)), to, own
}

// TestStoredEntriesAreShiftedRows: entry i+1 is row i of after-rows, entry 0 a copy or the fallback, whatever the method;
// everything is valid, nothing above probability one.
func TestStoredEntriesAreShiftedRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		source, target := drawStrings(t, "source", "Ġ", 3), drawStrings(t, "target", "▁", 3)
		method := rapid.SampledFrom([]string{MethodExactMatch, MethodMinEditDistance, MethodStatistics, MethodTransport}).Draw(t, "method")
		fallback := rapid.SampledFrom([]string{FallbackNone, FallbackNext, FallbackCurrent}).Draw(t, "fallback")
		text, s, d, ranks, to, own := drawStored(t, source, target)
		var counts vocabulary.Counts
		NewWarper(MethodStatistics, vocabulary.NewStrings(source), vocabulary.NewStrings(target)).CoAligned(s.IDs, to.IDs, &counts)
		c, err := NewComparison(method, fallback, source, target, mapFor(t, method, source, target, &counts))
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.AlignBeside(text, s, d, ranks, to, own)
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Dist.Validate(len(target.tokens)); err != nil {
			t.Fatal(err)
		}
		if len(got.Status) != len(to.IDs) || got.Dist.Len() != len(to.IDs) {
			t.Fatalf("%d statuses and %d positions for %d tokens", len(got.Status), got.Dist.Len(), len(to.IDs))
		}
		from, beside := after(s.IDs, d), after(to.IDs, own)
		rows, err := c.Rows(from, beside)
		if err != nil {
			t.Fatal(err)
		}
		start := 0
		for i := range to.IDs {
			ids, logProbs := got.Dist.At(i)
			if (got.Status[i] == schemas.StatusNone) != (len(ids) == 0) {
				t.Fatalf("position %d: status %d with %d entries", i, got.Status[i], len(ids))
			}
			if got.Status[i] == schemas.StatusOneHot && (len(ids) != 1 || logProbs[0] != 0) {
				t.Fatalf("position %d: a one-hot is %v, %v", i, ids, logProbs)
			}
			if i == 0 {
				continue
			}
			want := map[int32]float64{}
			for range rows.Counts[i-1] {
				want[rows.IDs[start]] = rows.Mass[start]
				if at := rows.From[start]; at >= 0 {
					want[rows.IDs[start]] = math.Exp(from.Values[at])
				}
				start++
			}
			for k, id := range ids {
				if math.Abs(math.Exp(float64(logProbs[k]))-want[id]) > 1e-6 {
					t.Fatalf("position %d: token %d has %v, row %d has %v", i, id, math.Exp(float64(logProbs[k])), i-1, want[id])
				}
			}
		}
	})
}

// TestSameStringsAreCopiedWhole: with one vocabulary on both sides and a map that is the identity, all entries come through
// unchanged, at their positions.
func TestSameStringsAreCopiedWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawStrings(t, "vocabulary", "▁", 3)
		v.tokens = slices.Compact(slices.Sorted(slices.Values(v.tokens)))
		text, s, d, ranks, _, _ := drawStored(t, v, v)
		for _, method := range []string{MethodExactMatch, MethodMinEditDistance} {
			c, err := NewComparison(method, FallbackNone, v, v, mapFor(t, method, v, v, nil))
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Align(text, s, d, ranks, s)
			if err != nil {
				t.Fatal(err)
			}
			warped := c.warper.Warp(s.IDs, s.IDs)
			for i := range s.IDs {
				single := i == 0 || warped.First[i-1] == int32(i-1) && warped.Last[i-1] == int32(i-1)
				want, wantLogProbs := d.At(i)
				ids, logProbs := got.Dist.At(i)
				if single && (!slices.Equal(want, ids) || !slices.Equal(wantLogProbs, logProbs)) {
					t.Fatalf("%s, position %d: %v, %v, want %v, %v", method, i, ids, logProbs, want, wantLogProbs)
				}
			}
		}
	})
}

func TestComparisonFaults(t *testing.T) {
	v := tokenStrings{"▁", []string{"▁", "a", "b"}}
	good := mapFor(t, MethodMinEditDistance, v, v, nil)
	for _, c := range []struct {
		method, fallback string
		m                *vocabulary.Map
	}{
		{"exact", FallbackNone, good},
		{MethodMinEditDistance, "some", good},
		{MethodExactMatch, FallbackNone, good},
		{MethodMinEditDistance, FallbackNone, &vocabulary.Map{Method: vocabulary.MethodMinEditDistance, Offsets: []int32{0}}},
		{MethodMinEditDistance, FallbackNone, &vocabulary.Map{Method: vocabulary.MethodMinEditDistance, Offsets: []int32{0, 1, 2, 3}, IDs: []int32{0, 1, 3}, Costs: make([]float32, 3)}},
	} {
		if _, err := NewComparison(c.method, c.fallback, v, v, c.m); err == nil {
			t.Errorf("%s, %s: accepted", c.method, c.fallback)
		}
	}
	c, err := NewComparison(MethodTransport, FallbackNone, v, v, good)
	if err != nil {
		t.Fatal(err)
	}
	ids := []int32{1}
	for name, in := range map[string]Input{
		"count":    {IDs: ids, Counts: []int32{2}, Entries: ids, Values: []float64{0}},
		"negative": {IDs: ids, Counts: []int32{-1}},
		"left":     {IDs: ids, Counts: []int32{0}, Entries: ids, Values: []float64{0}},
		"more":     {IDs: ids, Counts: []int32{0, 0}},
		"values":   {IDs: ids, Counts: []int32{1}, Entries: ids},
		"id":       {IDs: []int32{3}},
		"long":     {IDs: make([]int32, MaxWarp+1)},
	} {
		if _, err := c.Rows(in, Input{IDs: ids}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestConcurrentComparison: one Comparison serves many goroutines.
func TestConcurrentComparison(t *testing.T) {
	g := readGoldenTexts(t)[3]
	source, target := g.vocabularies()
	c, err := NewComparison(MethodTransport, FallbackNext, source, target, mapFor(t, MethodTransport, source, target, nil))
	if err != nil {
		t.Fatal(err)
	}
	from, to := g.input(g.SourceIDs, g.Rows), g.input(g.TargetIDs, g.Own)
	want, err := c.Rows(from, to)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				got, err := c.Rows(from, to)
				if d := cmp.Diff(want, got); err != nil || d != "" {
					t.Error(err, d)
					return
				}
			}
		})
	}
	group.Wait()
}
