package dist

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestFromEntriesEqualsFromLogits hands over what a server would: the top entries and the text's own.
func TestFromEntriesEqualsFromLogits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vocab := rapid.IntRange(1, 12).Draw(t, "vocab")
		row := rapid.SliceOfN(rapid.Float32Range(-8, 8), vocab, vocab).Draw(t, "logits")
		text := int32(rapid.IntRange(0, vocab-1).Draw(t, "text"))
		truncate := Truncate{rapid.Float64Range(0.01, 1).Draw(t, "mass"), rapid.IntRange(0, 14).Draw(t, "top-k"), rapid.SampledFrom([]float64{0, 1e-3, 0.1}).Draw(t, "min"), rapid.Bool().Draw(t, "exact")}
		want, wantLogProbs, wantRank, err := FromLogits(dense(vocab, row...), []int32{text}, truncate)
		if err != nil {
			t.Fatal(err)
		}
		largest, logSum, _ := normaliser(row)
		all := selection{limit: vocab}
		all.collect(row, math.Inf(-1))
		var given []Entry
		for i, e := range all.sorted() {
			if i < truncate.TopK || e.id == text {
				given = append(given, Entry{e.id, float64(e.logit) - largest - logSum, i + 1})
			}
		}
		got, logProbs, ranks, err := FromEntries([][]Entry{given}, []int32{text}, truncate)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got) + cmp.Diff(wantLogProbs, logProbs) + cmp.Diff(wantRank, ranks); d != "" {
			t.Fatal(d)
		}
	})
}

func TestFromEntriesRefuses(t *testing.T) {
	for _, test := range []struct {
		entries []Entry
		want    string
	}{
		{nil, "the text's token 1 has no log-prob"},
		{[]Entry{{ID: 2}}, "the text's token 1 has no log-prob"},
		{[]Entry{{ID: 1, LogProb: math.NaN()}}, "is NaN"},
		{[]Entry{{ID: 1, LogProb: math.Inf(-1)}}, "is -Inf"},
		{[]Entry{{ID: 1, LogProb: -1e300}}, "is -1e+300"},
		{[]Entry{{ID: 1, LogProb: -3.4e38}}, "is -3.4e+38"},
		{[]Entry{{ID: 1, LogProb: 0.1}}, "at most 0"},
		{[]Entry{{ID: 1, LogProb: -1}, {ID: 1, LogProb: -1}}, "stands twice"},
		{[]Entry{{ID: -1, LogProb: -1}}, "negative"},
		{[]Entry{{ID: 1, LogProb: -0.1}, {ID: 2, LogProb: -0.2}}, "mass of 1.7"},
	} {
		_, _, _, err := FromEntries([][]Entry{test.entries}, []int32{1}, Truncate{1, 5, 0, false})
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "position 0: ") {
			t.Errorf("%v: error %v, want %q", test.entries, err, test.want)
		}
	}
	if _, _, _, err := FromEntries(nil, []int32{1}, Truncate{}); err == nil {
		t.Error("no error for a missing position")
	}
}
