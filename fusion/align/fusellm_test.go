package align_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/fusion/align"
	"github.com/profuser/profuser/fusion/vocabulary"
	"github.com/profuser/profuser/models/tokenizer"
)

// theirs is what FuseLLM's and FuseChat's own code made of one pair of the demo's tokenizers (compare_fusellm.py --golden).
type theirs struct {
	Source, Target string
	MinEdit        []int32    `json:"min_edit"`   // by source token
	CoAligned      []int32    `json:"co_aligned"` // FuseChat's, by source token: the unknown token for what the texts lack
	Counts         [][3]int32 // source token, target token, how often
	Texts          []struct {
		SourceIDs              []int32 `json:"source_ids"`
		TargetIDs              []int32 `json:"target_ids"`
		Rows                   [][2][]float64
		Hard, Soft, Statistics [][][2]float64
	}
}

func demoTokenizer(t *testing.T, name string) *tokenizer.Tokenizer {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "data", "tokenizers", name, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func readTheirs(t *testing.T) (pairs []theirs) {
	t.Helper()
	data, err := os.ReadFile("testdata/fusellm.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &pairs); err != nil {
		t.Fatal(err)
	}
	return pairs
}

// TestResultsOfFuseLLMsCode: maps, counts and rows are those of the authors' code, entry by entry. FuseChat maps source
// tokens that its corpus lacks to the unknown token; here they have none, and entries on it are not compared.
func TestResultsOfFuseLLMsCode(t *testing.T) {
	for _, p := range readTheirs(t) {
		source, target := demoTokenizer(t, p.Source), demoTokenizer(t, p.Target)
		a, b := vocabulary.NewStrings(source), vocabulary.NewStrings(target)
		unknown, _ := target.ID("<unk>")

		var counts vocabulary.Counts
		w := align.NewWarper(align.MethodStatistics, a, b)
		for _, text := range p.Texts {
			w.CoAligned(text.SourceIDs, text.TargetIDs, &counts)
		}
		for _, c := range p.Counts {
			if got := counts.Count(c[1], c[0]); got != int64(c[2]) {
				t.Errorf("%s to %s: %q lies beside %q %d times, theirs %d", p.Source, p.Target, a.Token(c[0]), b.Token(c[1]), got, c[2])
			}
		}
		if counts.Len() != len(p.Counts) {
			t.Errorf("%s to %s: %d co-aligned pairs, theirs %d", p.Source, p.Target, counts.Len(), len(p.Counts))
		}

		same, nearest := vocabulary.SameString(a, b), vocabulary.MinEditDistance(a, b)
		statistics, err := vocabulary.Statistics(source, target, &counts)
		if err != nil {
			t.Fatal(err)
		}
		for id := range int32(a.Size()) {
			if got := nearest.Target(id); got != p.MinEdit[id] {
				t.Errorf("%s to %s: %q is mapped to %q, theirs %q", p.Source, p.Target, a.Token(id), b.Token(got), b.Token(p.MinEdit[id]))
			}
			if got, want := statistics.Target(id), p.CoAligned[id]; same.Target(id) < 0 && got != want && want != unknown {
				t.Errorf("%s to %s, statistics: %q is mapped to %q, theirs %q", p.Source, p.Target, a.Token(id), b.Token(got), b.Token(want))
			}
		}

		for _, c := range []struct {
			method, fallback string
			m                *vocabulary.Map
		}{
			{align.MethodExactMatch, align.FallbackCurrent, same},
			{align.MethodMinEditDistance, align.FallbackCurrent, nearest},
			{align.MethodStatistics, align.FallbackNext, statistics},
		} {
			comparison, err := align.NewComparison(c.method, c.fallback, source, target, c.m)
			if err != nil {
				t.Fatal(err)
			}
			for n, text := range p.Texts {
				in := align.Input{IDs: text.SourceIDs}
				for _, row := range text.Rows {
					in.Counts = append(in.Counts, int32(len(row[0])))
					for k, id := range row[0] {
						in.Entries, in.Values = append(in.Entries, int32(id)), append(in.Values, row[1][k])
					}
				}
				rows, err := comparison.Rows(in, align.Input{IDs: text.TargetIDs})
				if err != nil {
					t.Fatal(err)
				}
				want := map[string][][][2]float64{align.MethodExactMatch: text.Hard, align.MethodMinEditDistance: text.Soft, align.MethodStatistics: text.Statistics}[c.method]
				if c.method == align.MethodStatistics {
					want = without(want, unknown)
				}
				got := entries(in, rows)
				if c.method == align.MethodStatistics {
					got = without(got, unknown)
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("%s to %s, %s, text %d (-theirs +ours):\n%s", p.Source, p.Target, c.method, n, d)
				}
			}
		}
	}
}

// entries are the rows as lists of target token and value.
func entries(in align.Input, rows align.Rows) (out [][][2]float64) {
	at := 0
	for _, count := range rows.Counts {
		row := [][2]float64{}
		for range count {
			value := rows.Mass[at]
			if from := rows.From[at]; from >= 0 {
				value = in.Values[from]
			}
			row = append(row, [2]float64{float64(rows.IDs[at]), value})
			at++
		}
		out = append(out, row)
	}
	return out
}

func without(rows [][][2]float64, id int32) (out [][][2]float64) {
	for _, row := range rows {
		kept := [][2]float64{}
		for _, e := range row {
			if e[0] != float64(id) {
				kept = append(kept, e)
			}
		}
		out = append(out, kept)
	}
	return out
}
