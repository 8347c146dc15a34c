package findings

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/profuser/profuser/experiment/design"
	"github.com/profuser/profuser/experiment/material"
	"github.com/profuser/profuser/experiment/trial"
)

var update = flag.Bool("update", false, "write the golden files")

// TestSpread: mean and deviation of 1, 2, 4, and the interval of Student's t with two degrees of freedom.
func TestSpread(t *testing.T) {
	s := spread([]float64{1, math.NaN(), 2, 4})
	if s.N != 3 || math.Abs(s.Mean-7.0/3) > 1e-12 || math.Abs(s.SD-math.Sqrt(7.0/3)) > 1e-12 {
		t.Errorf("spread is %+v", s)
	}
	if want := 4.302652729911275 * math.Sqrt(7.0/9); math.Abs(s.Interval()-want) > 1e-4 {
		t.Errorf("interval is %v, want %v", s.Interval(), want)
	}
	if one := spread([]float64{3}); one.Mean != 3 || !math.IsNaN(one.SD) || !math.IsNaN(one.Interval()) {
		t.Errorf("one value has %+v", one)
	}
	if none := spread(nil); none.N != 0 || !math.IsNaN(none.Mean) {
		t.Errorf("no value has %+v", none)
	}
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SliceOfN(rapid.Float64Range(-1, 1), 2, 9).Draw(t, "values")
		shift, scale := rapid.Float64Range(-5, 5).Draw(t, "shift"), rapid.Float64Range(0, 5).Draw(t, "scale")
		moved := make([]float64, len(v))
		for i := range v {
			moved[i] = scale*v[i] + shift
		}
		a, b := spread(v), spread(moved)
		if math.Abs(b.Mean-(scale*a.Mean+shift)) > 1e-9 || math.Abs(b.SD-scale*a.SD) > 1e-9 {
			t.Errorf("%v times %v plus %v: %+v and %+v", v, scale, shift, a, b)
		}
	})
}

func TestDifference(t *testing.T) {
	for want, s := range map[string]Spread{
		"**+10.0 ± 2.5**": {0.1, 0.01, 3}, "**-10.0 ± 2.5**": {-0.1, 0.01, 3}, "+10.0 ± 24.8": {0.1, 0.1, 3}, "+10.0": {0.1, math.NaN(), 1}, "missing": {math.NaN(), math.NaN(), 0},
	} {
		if got := average.difference(s); got != want {
			t.Errorf("%+v is %s, want %s", s, got, want)
		}
	}
	if got := natsPerByte.difference(Spread{-0.1, 0.01, 3}); got != "**-0.100 ± 0.025**" {
		t.Errorf("nats a byte: %s", got)
	}
}

// TestMarkdown holds the document against a golden: means and deviations, one value, missing seeds and rows.
func TestMarkdown(t *testing.T) {
	d := design.Design{
		Note: "Fixed before.", Seeds: []int64{1, 2}, Prompts: 5, SetItems: 40,
		Sections: []design.Section{{Name: "main", Title: "Main", Text: "All.", Rows: []design.Row{{Name: "target"}, {Name: "SFT"}, {Name: "late"}, {Name: "never"}}}, {Name: "other", Title: "Other", Text: "None.", Rows: []design.Row{{Name: "never"}}}},
		Curves:   []string{"main/SFT"},
		Questions: []design.Question{
			{Text: "better?", Row: "main/SFT", Against: "main/target"},
			{Text: "later?", Row: "main/late", Against: "main/SFT"},
			{Text: "ever?", Row: "main/never", Against: "main/SFT"},
			{Text: "in all?", Row: "SFT", Against: "target", Over: []string{"main", "again"}},
		},
	}
	result := func(x float64) *trial.Result {
		r := &trial.Result{Sets: map[string]float64{}, Free: map[string]float64{"arithmetic-seen": x, "arithmetic-unseen": x / 2, "facts": x, "sequences": x, "pronouns": x, "misconceptions": x}, Chars: 30.4, NatsPerByte: 0.12345, Updates: 120, Exposures: 4, Reward: &x}
		for k, name := range material.Benchmarks {
			r.Sets[name] = x + float64(k)/100
		}
		return r
	}
	results := map[string][]*trial.Result{"main/target": {result(0.4)}, "main/SFT": {result(0.5), result(0.51)}, "main/late": {result(0.6), nil}, "main/never": {nil, nil}}
	results["again/SFT"], results["again/target"] = []*trial.Result{result(0.6), result(0.5)}, []*trial.Result{result(0.5)}
	for k, r := range results["main/SFT"] {
		r.Curve = []trial.Score{{Epoch: 0, Mean: 1, SD: 2}, {Epoch: 1, Mean: 1.5 + float64(k), SD: 3}}
	}
	got := Markdown(d, results, false, time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC))
	golden := filepath.Join("testdata", "document.md")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("go test ./experiment/findings -update writes it anew; differs: %s", d)
	}
	dir := t.TempDir()
	if err := Write(filepath.Join(dir, "a", "b.md"), filepath.Join(dir, "c.json"), d, results, true); err != nil {
		t.Fatal(err)
	}
	numbers, err := os.ReadFile(filepath.Join(dir, "c.json"))
	if err != nil {
		t.Fatal(err)
	}
	var back map[string][]*trial.Result
	if err := json.NewDecoder(bytes.NewReader(numbers)).Decode(&back); err != nil || !cmp.Equal(back, results) {
		t.Errorf("the numbers read back differ: %v %s", err, cmp.Diff(back, results))
	}
	if page, err := os.ReadFile(filepath.Join(dir, "a", "b.md")); err != nil || !strings.Contains(string(page), "make experiment QUICK=1") {
		t.Errorf("the document of a quick run is %s, %v", page, err)
	}
}
