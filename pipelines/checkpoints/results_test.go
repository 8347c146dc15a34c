package checkpoints

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/schemas"
)

// TestSummarize: means and deviations are over the answers that every reward model scored; the row's are of each answer's mean.
func TestSummarize(t *testing.T) {
	of := func(scores ...float64) map[schemas.ResponseKey]float64 {
		out := map[schemas.ResponseKey]float64{}
		for i, x := range scores {
			if !math.IsNaN(x) {
				out[schemas.ResponseKey{ID: string(rune('a' + i)), Source: "target"}] = x
			}
		}
		return out
	}
	missing := math.NaN()
	got := Summarize(map[string]map[schemas.ResponseKey]float64{"strict": of(1, 3, missing, 9), "mild": of(3, 5, 100, 9)})
	want := Row{
		Responses: 3,
		Moments:   Moments{5, math.Sqrt((9 + 1 + 16) / 3.0)}, // of 2, 4 and 9
		Rewards:   map[string]Moments{"strict": {13 / 3.0, math.Sqrt(91/3.0 - 169/9.0)}, "mild": {17 / 3.0, math.Sqrt(115/3.0 - 289/9.0)}},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-9 })); diff != "" {
		t.Error(diff)
	}
	if none := Summarize(map[string]map[schemas.ResponseKey]float64{"strict": of(missing), "mild": of(1)}); none.Responses != 0 || none.Mean != 0 || none.Deviation != 0 {
		t.Errorf("without a common answer: %+v", none)
	}
}

// TestEnds: an epoch ends with its last step, and the line that a training is writing now is left out.
func TestEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	const lines = `{"step":1,"epoch":1,"stage":"inference"}
{"step":2,"epoch":1,"stage":"inference"}
{"step":3,"epoch":2,"stage":"training"}
{"step":4,"ep`
	if err := os.WriteFile(path, []byte(lines), 0o666); err != nil {
		t.Fatal(err)
	}
	got, err := ends(path)
	want := map[int]moment{1: {1, 2, "inference"}, 2: {2, 3, "training"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}
