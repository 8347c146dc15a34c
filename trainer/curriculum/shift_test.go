package curriculum

import (
	"encoding/json"
	"math"
	"testing"

	"pgregory.net/rapid"
)

var settings = Settings{Decisions: 20, Step: 0.25, Enough: 0.02}

// TestShiftByHand follows the rule through the cases that it names.
func TestShiftByHand(t *testing.T) {
	s := Start()
	for i, c := range []struct{ loss, shift, best float64 }{
		{4, 0, 4},              // the first decision takes the loss
		{3.6, 0, 3.6},          // a tenth less: enough
		{3.6 * 0.99, 0.125, 0}, // half of enough: half a step
		{3.6 * 0.99, 0.375, 0}, // no better: a whole step
		{5, 0.625, 0},          // worse: no more than a whole step, and the best stays
		{math.NaN(), 0.875, 0},
		{3.6 * 0.99, 1, 0}, // capped
		{1, 1, 1},          // never back
	} {
		s, _ = s.Decide(settings, 10*i, c.loss)
		if math.Abs(s.S-c.shift) > 1e-9 || s.Step != 10*i || (c.best > 0 && *s.Best != c.best) {
			t.Errorf("decision %d: shift %g at step %d, best %g; want %g, %d, %g", i, s.S, s.Step, *s.Best, c.shift, 10*i, c.best)
		}
	}
	if i, w := s.Weights(); math.Abs(i-0.1) > 1e-15 || w != 1 {
		t.Errorf("weights at the end are (%g, %g), the paper's second stage has (0.1, 1)", i, w)
	}
	if i, w := Start().Weights(); i != 1 || w != 0 {
		t.Errorf("weights at the start are (%g, %g), the paper's first stage has (1, 0)", i, w)
	}
}

// TestShiftProperties: whatever the losses, weights stay in [0, 1], shift to training mode and never back, by at most Step;
// and a state that went through a checkpoint decides the same.
func TestShiftProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Settings{
			Decisions: rapid.IntRange(1, 100).Draw(t, "decisions"),
			Step:      rapid.Float64Range(1e-6, 1).Draw(t, "step"),
			Enough:    rapid.Float64Range(1e-6, 0.999).Draw(t, "enough"),
		}
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		s, inference, training := Start(), 1.0, 0.0
		for step, loss := range rapid.SliceOf(rapid.Float64()).Draw(t, "losses") {
			before := s
			var r *float64
			s, r = before.Decide(c, step, loss)
			again, _ := before.Decide(c, step, loss)
			if again.S != s.S || (before.Best == nil) && (s.S != 0 || r != nil) {
				t.Fatalf("decision %d moves to %g, then to %g", step, s.S, again.S)
			}
			i, w := s.Weights()
			if !(i >= 0 && i <= inference && w >= training && w <= 1) || w-training > c.Step+1e-12 {
				t.Fatalf("decision %d: weights go from (%g, %g) to (%g, %g)", step, inference, training, i, w)
			}
			inference, training = i, w
			b, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			var restored Shift
			if err := json.Unmarshal(b, &restored); err != nil {
				t.Fatal(err)
			}
			x, _ := s.Decide(c, step+1, loss/2)
			y, _ := restored.Decide(c, step+1, loss/2)
			if x.S != y.S {
				t.Fatalf("a restored state moves to %g, the state itself to %g", y.S, x.S)
			}
		}
	})
}

// TestShiftMonotone: a worse loss never shifts less.
func TestShiftMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		best := rapid.Float64Range(1e-3, 1e3).Draw(t, "best")
		low := rapid.Float64Range(0, 1e3).Draw(t, "low")
		high := low + rapid.Float64Range(0, 1e3).Draw(t, "more")
		s := Shift{S: rapid.Float64Range(0, 1).Draw(t, "shift"), Best: &best}
		a, _ := s.Decide(settings, 1, low)
		b, _ := s.Decide(settings, 1, high)
		if a.S > b.S {
			t.Fatalf("a loss of %g shifts to %g, one of %g to %g", low, a.S, high, b.S)
		}
	})
}

func TestEvery(t *testing.T) {
	for steps, want := range map[int]int{180: 9, 19: 1, 1: 1, 20: 1, 41: 3, 90: 5} {
		if got := settings.Every(steps); got != want {
			t.Errorf("%d steps: a decision every %d, want %d", steps, got, want)
		}
	}
	for _, c := range []Settings{{0, 1, 0.5}, {1, 0, 0.5}, {1, 1.5, 0.5}, {1, 1, 0}, {1, 1, 1}, {1, math.NaN(), 0.5}} {
		if c.Validate() == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}
