package optim

import (
	"fmt"

	"github.com/profuser/profuser/models/safetensors"
)

// Types of moments, as trainer.moments names them.
const (
	Float32  = "float32"
	BFloat16 = "bfloat16"
)

// Moment is one moment of a weight: float32 values, or bfloat16 ones in half the memory.
//
// A bfloat16 moment is widened, updated in float32 and rounded to nearest even. That loses a change of less than half a
// unit in the last place, 2⁻⁹ to 2⁻⁸ of the value, so a moment stops short of where it tends to by at most 2⁻⁸/(1-β) of it:
// 4 % of the first at β1 = 0.9, 8 % of the second at β2 = 0.95, which is 4 % of its root. With β2 = 0.999 it could not move
// at all, and stochastic rounding would be needed; with these constants it is not, and nearest needs no random numbers.
type Moment struct {
	wide   []float32
	narrow []byte // little-endian bfloat16
}

// newMoment is n zeros.
func newMoment(n int, dtype string) Moment {
	if dtype == BFloat16 {
		return Moment{narrow: make([]byte, 2*n)}
	}
	return Moment{wide: make([]float32, n)}
}

// Len is the number of values.
func (m Moment) Len() int { return len(m.wide) + len(m.narrow)/2 }

// DType is the storage type that holds the values exactly.
func (m Moment) DType() string {
	if m.narrow != nil {
		return safetensors.BF16
	}
	return safetensors.F32
}

// Values copies the values out.
func (m Moment) Values() []float32 {
	x := make([]float32, m.Len())
	if m.narrow == nil {
		copy(x, m.wide)
		return x
	}
	_ = safetensors.Decode(x, safetensors.BF16, m.narrow) // lengths and type are ours
	return x
}

// Set replaces the values; it is an error when lengths differ.
func (m Moment) Set(x []float32) error {
	if len(x) != m.Len() {
		return fmt.Errorf("%d values for a moment of %d", len(x), m.Len())
	}
	if m.narrow == nil {
		copy(m.wide, x)
		return nil
	}
	return safetensors.Encode(m.narrow, safetensors.BF16, x)
}

// piece is how many bfloat16 values are widened at a time: what stays in the nearest cache.
const piece = 2048

// scratch are the widened pieces of both moments.
type scratch struct{ first, second [piece]float32 }

// each calls update with values from to to-1 of both moments as float32 slices that it may change: all at once where both
// are float32, else piece by piece.
func (p *Parameter) each(update func(from, to int, first, second []float32)) error {
	n := p.First.Len()
	if p.First.narrow == nil && p.Second.narrow == nil {
		update(0, n, p.First.wide, p.Second.wide)
		return nil
	}
	var s scratch
	for from := 0; from < n; from += piece {
		to := min(n, from+piece)
		first, second := s.first[:to-from], s.second[:to-from]
		if err := safetensors.Decode(first, safetensors.BF16, p.First.narrow[2*from:2*to]); err != nil {
			return err
		}
		if err := safetensors.Decode(second, safetensors.BF16, p.Second.narrow[2*from:2*to]); err != nil {
			return err
		}
		update(from, to, first, second)
		if err := safetensors.Encode(p.First.narrow[2*from:2*to], safetensors.BF16, first); err != nil {
			return err
		}
		if err := safetensors.Encode(p.Second.narrow[2*from:2*to], safetensors.BF16, second); err != nil {
			return err
		}
	}
	return nil
}
