package compare

import (
	"math"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// TestSignTest compares with values from Python's whole numbers, 2*sum(math.comb(n, k) for k in range(m+1))/2**n, and with
// exact fractions.
func TestSignTest(t *testing.T) {
	for _, c := range []struct {
		a, b int
		want float64
	}{{0, 0, 1}, {1, 0, 1}, {5, 5, 1}, {1, 9, 0.021484375}, {9, 1, 0.021484375}, {0, 6, 0.03125}, {25, 40, 0.08168153394154005}, {400, 470, 0.019267052848609224}} {
		if got := SignTest(c.a, c.b); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%d against %d: %.17g, want %.17g", c.a, c.b, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.IntRange(0, 300).Draw(t, "a"), rapid.IntRange(0, 300).Draw(t, "b")
		sum := new(big.Int)
		for k := range min(a, b) + 1 {
			sum.Add(sum, new(big.Int).Binomial(int64(a+b), int64(k)))
		}
		want, _ := new(big.Rat).SetFrac(sum.Lsh(sum, 1), new(big.Int).Lsh(big.NewInt(1), uint(a+b))).Float64()
		want = min(1, want)
		if got := SignTest(a, b); math.Abs(got-want) > 1e-10*want {
			t.Fatalf("%g, want %g", got, want)
		}
	})
}

func TestPair(t *testing.T) {
	got := pair([]float64{1, 1, 0, 0, 1}, []float64{1, 0, 1, 1, 1})
	// differences 0, 1, -1, -1, 0: mean -0.2, sample variance (0.04+1.44+0.64+0.64+0.04)/4 = 0.7
	want := Paired{Items: 5, Here: 0.6, There: 0.8, Difference: -0.2, StandardError: math.Sqrt(0.7 / 5), MoreHere: 1, MoreThere: 2, P: 1}
	if d := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-12)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff(Paired{P: 1}, pair(nil, nil)); d != "" {
		t.Errorf("nothing (-want +got):\n%s", d)
	}
	if d := cmp.Diff(Paired{Items: 1, Here: 2, There: 1, Difference: 1, MoreHere: 1, P: 1}, pair([]float64{2}, []float64{1})); d != "" {
		t.Errorf("one item (-want +got):\n%s", d)
	}
}
