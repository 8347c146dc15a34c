package optim

import (
	"fmt"
	"math"
)

// Parameter is one weight with its optimizer state. Both moments have the weight's length and one type.
type Parameter struct {
	// Name is the tensor's name.
	Name string
	// Decay is true for weights that decay: matrices, not norms and biases.
	Decay bool
	// First and Second are the moments.
	First, Second Moment
}

// AdamW is the optimizer's constants.
type AdamW struct {
	// Beta1 is the decay of the first moment, in [0, 1). Default 0.9.
	Beta1 float64
	// Beta2 is the decay of the second moment, in [0, 1). Default 0.95.
	Beta2 float64
	// Epsilon is added to the root of the second moment. Default 1e-8.
	Epsilon float64
	// WeightDecay is the decoupled decay, times the learning rate, per step. Default 0.1.
	WeightDecay float64
	// Clip is the largest global gradient norm; 0 means no clipping. Default 1.
	Clip float64
	// Moments is the type of the moments, Float32 or BFloat16. Default Float32.
	Moments string
}

// Default is the optimizer of spec/objective.md: AdamW (0.9, 0.95), weight decay 0.1, clip 1.
func Default() AdamW {
	return AdamW{Beta1: 0.9, Beta2: 0.95, Epsilon: 1e-8, WeightDecay: 0.1, Clip: 1, Moments: Float32}
}

// NewParameter makes the zero state of a weight with n values. Weights of rank one (norms, biases) do not decay.
func (a AdamW) NewParameter(name string, n, rank int) *Parameter {
	return &Parameter{Name: name, Decay: rank > 1, First: newMoment(n, a.Moments), Second: newMoment(n, a.Moments)}
}

// Norm is the Euclidean norm over all gradients, times scale, summed in float64; it is NaN or infinite when a gradient is.
func Norm(gradients [][]float32, scale float64) float64 {
	var total float64
	for _, g := range gradients {
		var s0, s1, s2, s3 float64
		i := 0
		for ; i+4 <= len(g); i += 4 {
			a, b, c, d := float64(g[i]), float64(g[i+1]), float64(g[i+2]), float64(g[i+3])
			s0 += a * a
			s1 += b * b
			s2 += c * c
			s3 += d * d
		}
		for ; i < len(g); i++ {
			s0 += float64(g[i]) * float64(g[i])
		}
		total += s0 + s1 + s2 + s3
	}
	return math.Sqrt(total) * scale
}

// ClipFactor is what gradients of a norm are multiplied with: min(1, Clip / norm).
func (a AdamW) ClipFactor(norm float64) float64 {
	if a.Clip <= 0 || norm <= a.Clip {
		return 1
	}
	return a.Clip / norm
}

// Update does step number step (from 1) on one weight in place:
//
//	g ← scale·g;  m ← β1·m + (1-β1)·g;  v ← β2·v + (1-β2)·g²
//	w ← w - lr·( m/(1-β1^t) / (√(v/(1-β2^t)) + ε) + decay·w )
//
// Gradients are left as they are. It is an error when lengths differ.
// Source: Loshchilov and Hutter 2019 (arXiv 1711.05101), algorithm 2, with the decay scaled by lr as in PyTorch.
func (a AdamW) Update(p *Parameter, weight, gradient []float32, step int, rate, scale float64) error {
	n := len(weight)
	if len(gradient) != n || p.First.Len() != n || p.Second.Len() != n {
		return fmt.Errorf("updating %s: %d weights, %d gradients, %d and %d moments", p.Name, n, len(gradient), p.First.Len(), p.Second.Len())
	}
	decay := 0.0
	if p.Decay {
		decay = a.WeightDecay
	}
	var (
		b1, b2   = float32(a.Beta1), float32(a.Beta2)
		c1, c2   = 1 - b1, 1 - b2
		s        = float32(scale)
		rootBias = math.Sqrt(1 - math.Pow(a.Beta2, float64(step)))
		size     = float32(rate * rootBias / (1 - math.Pow(a.Beta1, float64(step))))
		epsilon  = float32(a.Epsilon * rootBias)
		keep     = float32(1 - rate*decay)
	)
	return p.each(func(from, to int, first, second []float32) {
		w, g := weight[from:to], gradient[from:to]
		first, second = first[:len(g)], second[:len(g)]
		for i, g := range g {
			g *= s
			m := b1*first[i] + c1*g
			v := b2*second[i] + c2*g*g
			first[i], second[i] = m, v
			w[i] = keep*w[i] - size*m/(float32(math.Sqrt(float64(v)))+epsilon)
		}
	})
}
