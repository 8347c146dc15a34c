package advantage

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/profuser/profuser/schemas"
)

// TestMethods is each method on one prompt, by hand: b is liked by two of three, a by one very much, c is longest.
func TestMethods(t *testing.T) {
	stat := []*Stats{stats(-1, 1), stats(-2, 2), stats(0, 4)} // means 0, 0, 2; deviations 1, 2, 2
	yes, no := true, false
	responses := []Response{
		{Source: "a", Text: "x", Scores: []float64{5, 0, 1}, TargetNats: ptr(2), Wins: ptr(1), Right: &no},    // z 5, 0, -0.5
		{Source: "b", Text: "yy", Scores: []float64{1, 2, 3}, TargetNats: ptr(1), Wins: ptr(3), Right: &yes},  // z 1, 1, 0.5
		{Source: "c", Text: "zzz", Scores: []float64{0, 1, 2}, TargetNats: ptr(3), Wins: ptr(2), Right: &yes}, // z 0, 0.5, 0
	}
	for _, c := range []struct {
		method, winner string
		margin         float64
		values         []float64
	}{
		{Vote, "b", 1, []float64{1.5, 0.833333, 0.166667}},
		{Borda, "b", 3, []float64{2, 5, 2}},
		{MeanZ, "a", 1.5 - 0.833333, []float64{1.5, 0.833333, 0.166667}},
		{Single, "b", 0.5, []float64{0, 1, 0.5}},
		{Judge, "b", 1, []float64{1, 3, 2}},
		{Perplexity, "b", 1, []float64{2, 1, 3}},
		{Length, "c", 1, []float64{1, 2, 3}},
		{Oracle, "b", 0, []float64{0, 1, 1}},
	} {
		got, err := Inference{Method: c.method, Single: 1}.Select("p", responses, stat)
		if err != nil {
			t.Errorf("%s: %v", c.method, err)
			continue
		}
		want := schemas.Selection{ID: "p", Mode: schemas.ModeInference, Source: c.winner, Margin: got.Margin}
		for i, r := range responses {
			want.Candidates = append(want.Candidates, schemas.Candidate{Source: r.Source, Value: c.values[i], Votes: []float64{1, 2, 0}[i]})
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.method, d)
		}
		if math.Abs(*got.Margin-c.margin) > 1e-9 {
			t.Errorf("%s: margin %g, want %g", c.method, *got.Margin, c.margin)
		}
	}
	if _, err := (Inference{Method: "best"}).Select("p", responses, stat); err == nil || !strings.Contains(err.Error(), "borda") {
		t.Errorf("an unknown method: %v", err)
	}
	if _, err := (Inference{Method: Single, Single: 3}).Select("p", responses, stat); err == nil {
		t.Error("reward model number 3 of 3 was asked")
	}
}

// TestNotJudged: who cannot be judged takes no part, and nobody left is a reject with the reasons.
func TestNotJudged(t *testing.T) {
	yes := true
	for method, r := range map[string]Response{Single: {Scores: []float64{1}}, Judge: {Wins: ptr(0)}, Perplexity: {TargetNats: ptr(4)}, Oracle: {Right: &yes}} {
		if r.Scores == nil {
			r.Scores = []float64{missing}
		}
		r.Source, r.Text = "known", "x"
		other := Response{Source: "other", Text: "y", Scores: []float64{missing}}
		got, err := Inference{Method: method}.Select("p", []Response{other, r}, []*Stats{stats(0, 1)})
		if err != nil || got.Source != "known" || got.Margin != nil || len(got.Candidates) != 1 {
			t.Errorf("%s: %+v, %v", method, got, err)
		}
		if method == Judge {
			continue // one response has nothing to be compared with: see TestJudgeAlone
		}
		_, err = Inference{Method: method}.Select("p", []Response{other}, []*Stats{stats(0, 1)})
		if !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "other: not judged by "+method) {
			t.Errorf("%s, nobody known: %v", method, err)
		}
	}
}

// TestRandomIsFair: the draw depends on seed, id and source only, and each source wins its share.
func TestRandomIsFair(t *testing.T) {
	const n = 6000
	responses := []Response{{Source: "a", Text: "x"}, {Source: "b", Text: "x"}, {Source: "c", Text: "x"}}
	won, moved := map[string]int{}, 0
	for i := range n {
		m := Inference{Method: Random, Seed: 7}
		first, err := m.Select(fmt.Sprint(i), responses, nil)
		if err != nil {
			t.Fatal(err)
		}
		reversed := slices.Clone(responses)
		slices.Reverse(reversed)
		again, err := m.Select(fmt.Sprint(i), reversed, nil)
		if err != nil || again.Source != first.Source || *again.Margin != *first.Margin {
			t.Fatalf("prompt %d: %s, in another order %s (%v)", i, first.Source, again.Source, err)
		}
		m.Seed = 8
		if other, _ := m.Select(fmt.Sprint(i), responses, nil); other.Source != first.Source {
			moved++
		}
		won[first.Source]++
	}
	for source, k := range won {
		if sigma := math.Sqrt(n * 2.0 / 9); math.Abs(float64(k)-n/3.0) > 5*sigma {
			t.Errorf("%s wins %d of %d", source, k, n)
		}
	}
	if moved < n/2 {
		t.Errorf("another seed moves %d of %d prompts", moved, n)
	}
}

// TestMethodsInvariants: for every method the winner leads, the margin is the lead, and leaving out a loser changes
// no winner of the methods that judge each response alone.
func TestMethodsInvariants(t *testing.T) {
	alone := []string{Single, Perplexity, Length, Random, Oracle}
	rapid.Check(t, func(t *rapid.T) {
		n, models := rapid.IntRange(1, 5).Draw(t, "responses"), rapid.IntRange(1, 4).Draw(t, "models")
		method := rapid.SampledFrom(Methods()).Draw(t, "method")
		number := rapid.SampledFrom([]float64{-1, 0, 0.25, 2})
		responses, norms := make([]Response, n), make([]*Stats, models)
		for i := range responses {
			right := rapid.Bool().Draw(t, "right")
			responses[i] = Response{
				Source: string(rune('a' + i)), Text: strings.Repeat("x", rapid.IntRange(0, 3).Draw(t, "length")), Right: &right,
				TargetNats: ptr(number.Draw(t, "nats")), Wins: ptr(number.Draw(t, "wins")), Scores: rapid.SliceOfN(number, models, models).Draw(t, "scores"),
			}
		}
		for k := range norms {
			norms[k] = stats(-1, 0.5, 2)
		}
		m := Inference{Method: method}
		got, err := m.Select("p", responses, norms)
		if err != nil {
			t.Fatal(err)
		}
		sign := 1.0
		if method == Perplexity {
			sign = -1
		}
		best, second := schemas.Candidate{}, math.Inf(-1)
		for _, c := range got.Candidates {
			if c.Source == got.Source {
				best = c
			}
		}
		for _, c := range got.Candidates {
			if method != Vote && c.Source != got.Source {
				second = math.Max(second, sign*c.Value)
				if sign*c.Value > sign*best.Value || c.Value == best.Value && c.Source < best.Source {
					t.Fatalf("%s: %s wins before %+v", method, got.Source, c)
				}
			}
		}
		if (got.Margin == nil) != (n == 1) || got.Margin != nil && *got.Margin < 0 {
			t.Fatalf("%s: margin %v of %d", method, got.Margin, n)
		}
		if !math.IsInf(second, -1) && math.Abs(*got.Margin-(sign*best.Value-second)) > 1e-12 {
			t.Fatalf("%s: margin %g, the values say %g", method, *got.Margin, sign*best.Value-second)
		}
		if n > 1 && slices.Contains(alone, method) {
			loser := slices.IndexFunc(responses, func(r Response) bool { return r.Source != got.Source })
			again, err := m.Select("p", slices.Delete(slices.Clone(responses), loser, loser+1), norms)
			if err != nil || again.Source != got.Source {
				t.Fatalf("%s: %s wins, without a loser %s (%v)", method, got.Source, again.Source, err)
			}
		}
	})
}

// shown is a verdict about first samples.
func shown(first, second, winner string) schemas.Verdict {
	return schemas.Verdict{First: first, Second: second, Winner: winner}
}

// TestCount: wins add up to the comparisons that count, a judge that likes a place gives everybody the same.
func TestCount(t *testing.T) {
	got := Count([]schemas.Verdict{
		shown("a", "b", schemas.WinnerFirst), shown("b", "a", schemas.WinnerSecond), shown("a", "c", schemas.WinnerTie), shown("c", "a", schemas.WinnerFirst),
		shown("b", "c", schemas.WinnerFirst), shown("c", "b", "nobody"), shown("a", "a", schemas.WinnerFirst),
	})
	if d := cmp.Diff(map[schemas.ResponseKey]float64{{Source: "a"}: 2.5, {Source: "b"}: 0, {Source: "c"}: 1.5}, got); d != "" {
		t.Error(d)
	}
	rapid.Check(t, func(t *rapid.T) {
		responses := []schemas.ResponseKey{{Source: "a"}, {Source: "a", Sample: 1}, {Source: "b"}, {Source: "c"}}[:rapid.IntRange(2, 4).Draw(t, "n")]
		var verdicts, place []schemas.Verdict
		for _, x := range responses {
			for _, y := range responses {
				if x == y {
					continue
				}
				v := schemas.Verdict{First: x.Source, FirstSample: x.Sample, Second: y.Source, SecondSample: y.Sample, Winner: schemas.WinnerFirst}
				place = append(place, v)
				v.Winner = rapid.SampledFrom([]string{schemas.WinnerFirst, schemas.WinnerSecond, schemas.WinnerTie}).Draw(t, "winner")
				verdicts = append(verdicts, v)
			}
		}
		sum := 0.0
		for _, w := range Count(verdicts) {
			sum += w
		}
		if sum != float64(len(verdicts)) {
			t.Fatalf("%v wins in %d comparisons", sum, len(verdicts))
		}
		for r, w := range Count(place) {
			if w != float64(len(responses)-1) {
				t.Fatalf("%v wins %v by place", r, w)
			}
		}
	})
}

// TestJudgeAlone: a response that no other is left to be compared with wins; where comparisons failed, nobody does.
func TestJudgeAlone(t *testing.T) {
	m := Inference{Method: Judge, Filters: Filters{Empty: true}}
	s, err := m.Select("p", []Response{{Source: "a", Text: "x"}, {Source: "b"}}, nil)
	if err != nil || s.Source != "a" || s.Margin != nil {
		t.Errorf("%+v, error %v", s, err)
	}
	if _, err := m.Select("p", []Response{{Source: "a", Text: "x"}, {Source: "b", Text: "y"}}, nil); !errors.Is(err, ErrNone) {
		t.Errorf("error %v", err)
	}
}

func TestFilters(t *testing.T) {
	for _, c := range []struct {
		f    Filters
		text string
		want string
	}{
		{Filters{MinBytes: 3}, "ab", CodeShort},
		{Filters{MinBytes: 3}, "abc", ""},
		{Filters{MaxBytes: 3}, "abcd", CodeLong},
		{Filters{MaxBytes: 3}, "abc", ""},
		{Filters{Scripts: []string{"Latin"}, MinScript: 0.75}, "abc д, 12!", ""},
		{Filters{Scripts: []string{"Latin"}, MinScript: 0.76}, "abc д, 12!", CodeScript},
		{Filters{Scripts: []string{"Latin", "Cyrillic"}, MinScript: 1}, "abc д", ""},
		{Filters{Scripts: []string{"Latin"}, MinScript: 1}, "12 + 3", ""},
		{Filters{MinScript: 1}, "д", ""},
		{Filters{MaxRepeat: 0.5}, "我不知道我不知道我不知道我不知道我不知道", CodeRepeated},
		{Filters{MaxRepeat: 0.5}, "你好，我是一个助手。今天天气很好。", ""},
		{Filters{Refusals: []string{"as an AI", ""}}, "As an ai I can", CodeRefusal},
		{Filters{}, "", ""},
	} {
		if got := c.f.Drop(c.text, schemas.FinishStop); got != c.want {
			t.Errorf("%+v on %q: %q, want %q", c.f, c.text, got, c.want)
		}
	}
	if InScripts("abд", []string{"Latin", "Klingon"}) != 2.0/3 {
		t.Error("scripts")
	}
}
