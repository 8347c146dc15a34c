package advantage

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestRewardWeights: they add up to 1, keep the order of the rewards, do not depend on a common shift, and go to the best
// at low temperatures.
func TestRewardWeights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rewards := rapid.SliceOfN(rapid.Float64Range(-30, 30), 1, 6).Draw(t, "rewards")
		temperature := rapid.Float64Range(0.05, 10).Draw(t, "temperature")
		weights := RewardWeights(rewards, temperature)
		shifted := make([]float64, len(rewards))
		sum, by := 0.0, 0.0
		for i, r := range rewards {
			shifted[i] = r + 1000
			sum += weights[i]
			by += math.Exp((r - slices.Max(rewards)) / temperature)
		}
		again := RewardWeights(shifted, temperature)
		for i, r := range rewards {
			if want := math.Exp((r-slices.Max(rewards))/temperature) / by; math.Abs(weights[i]-want) > 1e-12 || math.Abs(weights[i]-again[i]) > 1e-9 {
				t.Fatalf("weight of %g is %g, shifted %g, want %g", r, weights[i], again[i], want)
			}
			for j, o := range rewards {
				if r > o && weights[i] < weights[j] {
					t.Fatalf("%g weighs less than %g", r, o)
				}
			}
		}
		if math.Abs(sum-1) > 1e-12 {
			t.Fatalf("the weights add up to %g", sum)
		}
	})
	if w := RewardWeights([]float64{1, 2}, 1e-3); w[1] != 1 {
		t.Errorf("at a low temperature %v", w)
	}
}
