package optim

import "math"

// Schedule is linear warm-up, then a cosine to a floor.
type Schedule struct {
	// Peak is the learning rate at the end of the warm-up. Required, positive.
	Peak float64
	// Warmup is the number of warm-up steps; step i of them has rate Peak·i/Warmup.
	Warmup int
	// Total is the number of steps in all, warm-up included.
	Total int
	// Floor is the last step's share of the peak, in [0, 1]. Default 0.1.
	Floor float64
}

// Rate is the learning rate of step number step, counted from 1. After Total it stays at the floor.
//
//	rate(t) = Peak·(Floor + (1-Floor)·(1 + cos(π·(t-Warmup)/(Total-Warmup)))/2)   for t > Warmup
func (s Schedule) Rate(step int) float64 {
	switch {
	case step <= s.Warmup:
		return s.Peak * float64(step) / float64(s.Warmup)
	case step >= s.Total || s.Total <= s.Warmup:
		return s.Peak * s.Floor
	}
	at := float64(step-s.Warmup) / float64(s.Total-s.Warmup)
	return s.Peak * (s.Floor + (1-s.Floor)*(1+math.Cos(math.Pi*at))/2)
}
