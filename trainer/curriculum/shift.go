package curriculum

import (
	"fmt"
	"math"
)

// Settings are the constants of a Shift.
type Settings struct {
	// Decisions is how often in the training the weights may move at most, at least 1. Default 20.
	Decisions int
	// Step is the largest change of the shift at one decision, in (0, 1]. Default 0.25.
	Step float64
	// Enough is the relative fall of the inference-mode loss from one decision to the next that moves nothing, in (0, 1).
	// Default 0.02.
	Enough float64
}

// Shift is where an adaptive curriculum is between the paper's two stages: at 0 the weights are those of the first, (1, 0),
// at 1 those of the second, (0.1, 1).
//
//	w_I = 1 - 0.9·s;   w_T = s
//
// At each decision the held-out loss of inference mode L is compared with the best one before, B:
//
//	r = (B - L) / B                            the relative improvement
//	s ← min(1, s + Step · clamp(1 - r/Enough, 0, 1));   B ← min(B, L)
//
// So s stays while the loss falls by Enough or more, moves by Step when it falls no more, and by a part of it in between;
// it never goes back. The first decision only takes B. The rule is a function of the losses alone: equal losses, equal
// weights.
//
// Boundary cases: a loss that is not finite counts as no improvement and is no B; a B of 0 cannot be improved.
//
// Source: ours. The ProFuser paper names hand-set weights as its limitation; the ends are its stages.
type Shift struct {
	// S is s, in [0, 1].
	S float64 `json:"shift"`
	// Best is B; nil before the first decision.
	Best *float64 `json:"best"`
	// Step is the optimizer step of the last decision, -1 before the first.
	Step int `json:"step"`
}

// firstShare is what inference mode keeps at the end, the paper's w_I of the second stage.
const firstShare = 0.1

// Start is the shift before the first decision.
func Start() Shift { return Shift{Step: -1} }

// Weights are w_I and w_T.
func (s Shift) Weights() (inference, training float64) { return 1 - (1-firstShare)*s.S, s.S }

// Decide is the shift after a decision at a step, and the relative improvement, nil at the first decision and where it cannot
// be told.
func (s Shift) Decide(c Settings, step int, loss float64) (next Shift, improvement *float64) {
	next = Shift{S: s.S, Best: s.Best, Step: step}
	finite := !math.IsNaN(loss) && !math.IsInf(loss, 0)
	if s.Best != nil {
		r := 0.0
		if finite && *s.Best > 0 {
			r = (*s.Best - loss) / *s.Best
			improvement = &r
		}
		next.S = min(1, s.S+c.Step*min(1, max(0, 1-r/c.Enough)))
	}
	if finite && (s.Best == nil || loss < *s.Best) {
		next.Best = &loss
	}
	return next, improvement
}

// Every is the number of steps from one decision to the next in a training of so many steps.
func (c Settings) Every(steps int) int { return max(1, (steps+c.Decisions-1)/max(1, c.Decisions)) }

// Validate names the first constant that cannot be.
func (c Settings) Validate() error {
	switch {
	case c.Decisions < 1:
		return fmt.Errorf("curriculum.adaptive.decisions: %d, must be at least 1", c.Decisions)
	case !(c.Step > 0 && c.Step <= 1):
		return fmt.Errorf("curriculum.adaptive.step: %g, must be in (0, 1]", c.Step)
	case !(c.Enough > 0 && c.Enough < 1):
		return fmt.Errorf("curriculum.adaptive.enough: %g, must be in (0, 1)", c.Enough)
	}
	return nil
}
