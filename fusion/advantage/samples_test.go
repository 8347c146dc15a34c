package advantage

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/profuser/profuser/schemas"
)

// TestSamplesCompete: every sample can win; copies of one source's answer count once, so that they do not share its votes.
func TestSamplesCompete(t *testing.T) {
	norms := []*Stats{stats(-1, 1), stats(-1, 1), stats(-1, 1)}
	answer := func(source string, sample int32, text string, scores ...float64) Response {
		return Response{Source: source, Sample: sample, Text: text, Finish: "stop", Scores: scores}
	}
	got, err := Inference{Method: Vote}.Select("p", []Response{
		answer("a", 0, "bad", 0, 0, 0), answer("a", 1, "good", 2, 2, 1), answer("a", 2, "good", 2, 2, 1), answer("b", 0, "fair", 1, 1, 2),
	}, norms)
	want := schemas.Selection{ID: "p", Mode: schemas.ModeInference, Source: "a", Sample: 1, Margin: ptr(1), Candidates: []schemas.Candidate{
		{Source: "a", Sample: 0, Value: 0}, {Source: "a", Sample: 1, Value: 1.666667, Votes: 2}, {Source: "b", Sample: 0, Value: 1.333333, Votes: 1},
	}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
}

// TestSamplesOfOneSource: which source a response is of does not matter to who wins, as long as no source repeats a text.
func TestSamplesOfOneSource(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, models := rapid.IntRange(1, 6).Draw(t, "responses"), rapid.IntRange(1, 4).Draw(t, "models")
		method := rapid.SampledFrom([]string{Vote, Borda, MeanZ, Single, Length}).Draw(t, "method")
		apart, samples, norms := make([]Response, n), make([]Response, n), make([]*Stats, models)
		for i := range apart {
			r := Response{Source: string(rune('a' + i)), Text: string(rune('a' + i)), Scores: rapid.SliceOfN(rapid.SampledFrom([]float64{-1, 0, 2}), models, models).Draw(t, "scores")}
			apart[i] = r
			r.Source, r.Sample = "one", int32(i)
			samples[i] = r
		}
		for k := range norms {
			norms[k] = stats(-1, 0.5, 2)
		}
		want, err := Inference{Method: method}.Select("p", apart, norms)
		got, otherErr := Inference{Method: method}.Select("p", samples, norms)
		if err != nil || otherErr != nil {
			t.Fatal(err, otherErr)
		}
		if string(rune('a'+got.Sample)) != want.Source || cmp.Diff(want.Margin, got.Margin) != "" {
			t.Fatalf("sample %d wins, alone it was %s", got.Sample, want.Source)
		}
	})
}

// TestWinRateOfSamples: the rate is the mean over all pairs, and one prompt counts once.
func TestWinRateOfSamples(t *testing.T) {
	table := NewTable("t")
	table.Responses([]Response{
		{Source: "t", Sample: 0, Finish: "stop", Scores: []float64{1}},
		{Source: "t", Sample: 1, Finish: "stop", Scores: []float64{3}},
		{Source: "a", Sample: 0, Finish: "stop", Scores: []float64{1}},
		{Source: "a", Sample: 1, Finish: "stop", Scores: []float64{2}},
		{Source: "a", Sample: 2, Finish: "length", Scores: []float64{9}},
		{Source: "a", Sample: 3, Finish: "stop", Scores: []float64{math.NaN()}},
	}, Filters{Unfinished: true})
	// 1:1 ½, 1:2 0, 3:1 1, 3:2 1
	if got := *table.Against[schemas.ModeInference]["a"]; got != (Rate{2.5 / 4, 1}) {
		t.Errorf("%+v", got)
	}
}
