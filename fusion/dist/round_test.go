package dist

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// position draws a truncated distribution: descending log-probs with a mass of at most 1.
func position(t *rapid.T) []float32 {
	n := rapid.IntRange(1, 40).Draw(t, "entries")
	weights := make([]float64, n+1)
	sum := 0.0
	for i := range weights {
		weights[i] = math.Exp(rapid.Float64Range(-9, 0).Draw(t, "log weight"))
		sum += weights[i]
	}
	if rapid.Bool().Draw(t, "whole") {
		sum -= weights[n] // nothing is left for the rest
	}
	var out []float32
	for _, w := range weights[:n] {
		out = append(out, float32(math.Min(0, math.Log(w/sum))))
	}
	slices.SortFunc(out, func(a, b float32) int { return cmpDown(a, b) })
	return out
}

func cmpDown(a, b float32) int {
	switch {
	case a > b:
		return -1
	case a < b:
		return 1
	}
	return 0
}

func massOf(logProbs []float32) (mass float64) {
	for _, x := range logProbs {
		mass += math.Exp(float64(x))
	}
	return mass
}

// TestRoundPosition: few bits, small errors, order kept, rounding again changes nothing, and the mass is kept within half
// a step of one entry, where rounding each to its nearest would add the errors up.
func TestRoundPosition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		exact := position(t)
		got := slices.Clone(exact)
		RoundPosition(got)
		halfStep := 0.0
		for k, x := range got {
			if math.Float32bits(x)&(1<<(24-storedBits)-1) != 0 {
				t.Fatalf("%v has more than %d significant bits", x, storedBits)
			}
			if d := math.Abs(float64(x - exact[k])); d > math.Abs(float64(exact[k]))/32 {
				t.Fatalf("%v became %v", exact[k], x)
			}
			if k > 0 && x > got[k-1] {
				t.Fatalf("%v after %v", x, got[k-1])
			}
			halfStep = max(halfStep, math.Exp(float64(exact[k]))*math.Abs(float64(exact[k]))/32)
		}
		if d := math.Abs(massOf(got) - massOf(exact)); d > halfStep+1e-6 {
			t.Fatalf("a mass of %v became %v", massOf(exact), massOf(got))
		}
		again := slices.Clone(got)
		RoundPosition(again)
		if !slices.Equal(again, got) {
			t.Fatalf("%v, rounded again %v", got, again)
		}
	})
	for _, c := range []struct{ in, want []float32 }{
		{nil, nil},
		{[]float32{0}, []float32{0}},
		{[]float32{1e-7}, []float32{0}},
		{[]float32{-0.6931472, -0.6931472}, []float32{-0.6875, -0.703125}},
		{[]float32{-1, -2}, []float32{-1, -2}},
	} {
		if RoundPosition(c.in); !slices.Equal(c.in, c.want) {
			t.Errorf("%v, want %v", c.in, c.want)
		}
	}
	if x := []float32{float32(math.NaN()), -1}; true {
		if RoundPosition(x); x[0] == x[0] || x[1] != -1 {
			t.Errorf("%v", x)
		}
	}
}

// TestRoundStored rounds each position by itself.
func TestRoundStored(t *testing.T) {
	s := Sparse{Counts: []int32{1, 0, 2}, IDs: []int32{1, 1, 2}, LogProbs: []float32{-0.1, -0.1, -2.7}}
	alone, pair := []float32{-0.1}, []float32{-0.1, -2.7}
	RoundPosition(alone)
	RoundPosition(pair)
	if s.RoundStored(); !slices.Equal(s.LogProbs, append(alone, pair...)) {
		t.Errorf("%v", s.LogProbs)
	}
}
