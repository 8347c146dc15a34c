package advantage

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/profuser/profuser/schemas"
)

var missing = math.NaN()

func ptr(x float64) *float64 { return &x }

func stats(scores ...float64) *Stats {
	s := &Stats{}
	for _, x := range scores {
		s.Add(x)
	}
	return s
}

func TestVote(t *testing.T) {
	three := []*Stats{stats(-1, 1), stats(-2, 2), stats(0, 4)} // means 0, 0, 2; deviations 1, 2, 2
	answer := func(source, text, finish string, scores ...float64) Response {
		return Response{Source: source, Text: text, Finish: finish, Scores: scores}
	}
	all := Filters{Unfinished: true, Empty: true, MaxRepeat: 0.5, Refusals: []string{"I cannot"}}
	for name, c := range map[string]struct {
		responses []Response
		want      schemas.Selection
		none      string
	}{
		"most votes": {
			responses: []Response{answer("a", "x", "stop", 1, 0, 0), answer("b", "y", "stop", 0, 2, 4)},
			want:      schemas.Selection{Source: "b", Margin: ptr(1), Candidates: []schemas.Candidate{{Source: "a", Value: 0, Votes: 1}, {Source: "b", Value: 0.666667, Votes: 2}}},
		},
		"a shared vote": {
			responses: []Response{answer("a", "x", "stop", 1, 0, 2), answer("b", "y", "stop", 0, 2, 2)},
			want:      schemas.Selection{Source: "a", Margin: ptr(0), Candidates: []schemas.Candidate{{Source: "a", Value: 0.333333, Votes: 1.5}, {Source: "b", Value: 0.333333, Votes: 1.5}}},
		},
		"abstention": {
			responses: []Response{answer("a", "x", "stop", 1, missing, 0), answer("b", "y", "stop", 0, 2, 2)},
			want:      schemas.Selection{Source: "b", Margin: ptr(0), Candidates: []schemas.Candidate{{Source: "a", Value: 0, Votes: 1}, {Source: "b", Value: 0.333333, Votes: 1}}},
		},
		"the tie goes to the configured order": {
			responses: []Response{answer("a", "x", "stop", 0, 0, 2), answer("b", "y", "stop", 0, 0, 2)},
			want:      schemas.Selection{Source: "a", Margin: ptr(0), Candidates: []schemas.Candidate{{Source: "a", Value: 0, Votes: 1.5}, {Source: "b", Value: 0, Votes: 1.5}}},
		},
		"filtered": {
			responses: []Response{answer("a", " ", "stop", 9, 9, 9), answer("b", "I CANNOT say", "stop", 9, 9, 9), answer("c", "y", "length", 9, 9, 9), answer("d", "z", "stop", 0, 0, 2)},
			want:      schemas.Selection{Source: "d", Candidates: []schemas.Candidate{{Source: "d", Value: 0, Votes: 3}}},
		},
		"none": {
			responses: []Response{answer("a", "", "stop", 0, 0, 0), answer("b", "go on and on go on and on go on and on go on and on", "stop", 0, 0, 0)},
			none:      "a: empty, b: repeated",
		},
		"no responses": {none: "no response"},
	} {
		c.want.ID, c.want.Mode = "p", schemas.ModeInference
		got, err := Inference{Method: Vote, Filters: all}.Select("p", c.responses, three)
		if c.none != "" {
			if !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), c.none) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	if _, err := (Inference{Method: Vote}).Select("p", []Response{answer("a", "x", "stop", 1)}, three); err == nil || errors.Is(err, ErrNone) {
		t.Errorf("one score for three reward models: %v", err)
	}
}

// TestVoteInvariants: votes add up to the reward models that do not abstain, the winner has the most, the order of
// reward models does not matter, and the order of responses only where all else is equal.
func TestVoteInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, models := rapid.IntRange(1, 7).Draw(t, "responses"), rapid.IntRange(0, 6).Draw(t, "models")
		score := rapid.SampledFrom([]float64{-1, 0, 0.25, 2, missing})
		responses := make([]Response, n)
		for i := range responses {
			responses[i] = Response{Source: string(rune('a' + i)), Text: "x", Scores: rapid.SliceOfN(score, models, models).Draw(t, "scores")}
		}
		norms := make([]*Stats, models)
		for m := range norms {
			norms[m] = stats(-1, 0.5, 2)
		}
		got, err := Inference{Method: Vote}.Select("p", responses, norms)
		if err != nil {
			t.Fatal(err)
		}
		taking := float64(models)
		for m := range models {
			for _, r := range responses {
				if math.IsNaN(r.Scores[m]) {
					taking--
					break
				}
			}
		}
		sum := 0.0
		winner := map[string]schemas.Candidate{}
		for _, c := range got.Candidates {
			sum += c.Votes
			winner[c.Source] = c
		}
		for _, c := range got.Candidates {
			if w := winner[got.Source]; c.Votes > w.Votes || c.Votes == w.Votes && c.Value > w.Value || c.Votes == w.Votes && c.Value == w.Value && c.Source < w.Source {
				t.Fatalf("%s wins before %+v", got.Source, c)
			}
		}
		if math.Abs(sum-taking) > 1e-9 || got.Margin != nil && *got.Margin < 0 || (got.Margin == nil) != (n == 1) {
			t.Fatalf("%v votes of %v, margin %v", sum, taking, got.Margin)
		}
		for i := range responses {
			for l, r := 0, models-1; l < r; l, r = l+1, r-1 {
				responses[i].Scores[l], responses[i].Scores[r] = responses[i].Scores[r], responses[i].Scores[l]
			}
		}
		again, err := Inference{Method: Vote}.Select("p", responses, norms)
		if err != nil || again.Source != got.Source {
			t.Fatalf("%s wins, with the reward models reversed %s (%v)", got.Source, again.Source, err)
		}
	})
}

func TestMinCE(t *testing.T) {
	readings := []Reading{{"a", 10, 10, 2}, {"b", 9, 10, 1}, {"c", 9, 10, 9}}
	for _, c := range []struct {
		measure, winner string
		margin          float64
		n               int
	}{{PerByte, "b", 0, 3}, {PerToken, "c", 4, 3}, {PerByte, "b", 0.1, 2}} {
		got, err := MinCE("p", readings[:c.n], c.measure)
		if err != nil {
			t.Fatal(err)
		}
		if got.Source != c.winner || math.Abs(*got.Margin-c.margin) > 1e-12 {
			t.Errorf("%s: %s by %g, want %s by %g", c.measure, got.Source, *got.Margin, c.winner, c.margin)
		}
	}
	if got, err := MinCE("p", readings[:1], PerByte); err != nil || got.Margin != nil || got.Source != "a" {
		t.Errorf("one reading: %+v, %v", got, err)
	}
	if _, err := MinCE("p", nil, PerByte); !errors.Is(err, ErrNone) {
		t.Errorf("no readings: %v", err)
	}
	if _, err := MinCE("p", readings, "per_word"); err == nil || !strings.Contains(err.Error(), "per_word") {
		t.Errorf("unknown measure: %v", err)
	}
	if _, err := MinCE("p", []Reading{{"a", math.NaN(), 1, 1}}, PerByte); err == nil {
		t.Error("NaN was taken")
	}
}

// TestStats: any split and order gives the same bits, and the numbers of the definition.
func TestStats(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scores := rapid.SliceOfN(rapid.Float64Range(-50, 50), 1, 40).Draw(t, "scores")
		whole, left, right := stats(scores...), &Stats{}, &Stats{}
		var sum, squares float64
		for i := len(scores) - 1; i >= 0; i-- {
			if rapid.Bool().Draw(t, "side") {
				left.Add(scores[i])
			} else {
				right.Add(scores[i])
			}
			sum += scores[i]
		}
		right.Merge(left)
		b, err := json.Marshal(right)
		if err != nil {
			t.Fatal(err)
		}
		var again Stats
		if err := json.Unmarshal(b, &again); err != nil {
			t.Fatal(err)
		}
		if whole.Mean() != again.Mean() || whole.Std() != again.Std() || whole.N != again.N {
			t.Fatalf("split: mean %g, deviation %g; whole: %g, %g", again.Mean(), again.Std(), whole.Mean(), whole.Std())
		}
		n := float64(len(scores))
		for _, x := range scores {
			squares += (x - sum/n) * (x - sum/n)
		}
		if math.Abs(whole.Mean()-sum/n) > 2e-6 || math.Abs(whole.Std()-math.Sqrt(squares/n)) > 1e-5 {
			t.Fatalf("mean %g, deviation %g; by definition %g, %g", whole.Mean(), whole.Std(), sum/n, math.Sqrt(squares/n))
		}
	})
	if s := stats(3, 3, missing); s.N != 2 || s.Z(3) != 0 || !math.IsNaN(s.Z(missing)) {
		t.Errorf("equal scores: %d, z %g", s.N, s.Z(3))
	}
}

func TestTable(t *testing.T) {
	table := NewTable("t")
	for _, s := range []schemas.Selection{
		{ID: "1", Mode: schemas.ModeTraining, Source: "t"},
		{ID: "2", Mode: schemas.ModeTraining, Source: "a"},
		{ID: "3", Mode: schemas.ModeTraining, Source: "t"},
		{ID: "4", Mode: schemas.ModeTraining, Source: schemas.MixedSource},
		{ID: "1", Mode: schemas.ModeInference, Source: "t"},
		{ID: "2", Mode: schemas.ModeInference, Source: "t"},
		{ID: "3", Mode: schemas.ModeInference, Source: "a"},
		{ID: "4", Mode: schemas.ModeInference, Source: "a"},
	} {
		table.Add(s)
	}
	for _, nats := range [][2]float64{{1, 2}, {3, 2}, {2, 2}} {
		table.Readings([]Reading{{"t", nats[0], 1, 9}, {"a", nats[1], 1, 1}})
	}
	table.Readings([]Reading{{"a", 1, 1, 1}})
	for _, c := range []struct {
		finish string
		t, a   []float64
	}{
		{"stop", []float64{3, 1, 0}, []float64{1, 0, 9}},                   // two of three prefer the target
		{"stop", []float64{0, missing, 1}, []float64{1, 1, missing}},       // one opinion
		{"stop", []float64{1, 2, 1}, []float64{2, 1, 1}},                   // a tie
		{"stop", []float64{1, missing, missing}, []float64{missing, 2, 3}}, // no opinion
		{"length", []float64{1, 1, 1}, []float64{0, 0, 0}},                 // filtered
	} {
		table.Responses([]Response{{Source: "a", Finish: "stop", Scores: c.a}, {Source: "t", Finish: c.finish, Scores: c.t}}, Filters{Unfinished: true})
	}
	if r := *table.Against[schemas.ModeTraining]["a"]; r != (Rate{1.5, 3}) {
		t.Errorf("training: %+v", r)
	}
	if r := *table.Against[schemas.ModeInference]["a"]; r != (Rate{1.5, 3}) {
		t.Errorf("inference: %+v", r)
	}
	if table.Agree != (Rate{1, 3}) || table.Won[schemas.ModeTraining]["t"] != 2 {
		t.Errorf("agreement %+v, wins %v", table.Agree, table.Won)
	}
}

func TestAgreements(t *testing.T) {
	a := NewAgreements("x", "y")
	for _, scores := range [][2][2]float64{{{1, 2}, {0, 5}}, {{1, 1}, {2, 1}}, {{missing, 1}, {1, 1}}, {{3, 1}, {1, 3}}} {
		responses := []Response{{Source: "a", Scores: []float64{scores[0][0], scores[1][0]}}, {Source: "b", Scores: []float64{scores[0][1], scores[1][1]}}}
		sources := func(m int) (names []string) {
			for _, i := range Favourites(responses, m) {
				names = append(names, responses[i].Source)
			}
			return names
		}
		a.Add([][]string{sources(0), sources(1)})
	}
	if a.Rates[0][1] != (Rate{2, 3}) || a.Rates[1][0] != (Rate{2, 3}) || a.Rates[1][1] != (Rate{4, 4}) || a.Rates[0][0] != (Rate{3, 3}) {
		t.Errorf("%+v", a.Rates)
	}
}
