package dist

import "math"

// steps is the number of table entries to a power of two.
const steps = 64

// expTable holds the bits of 2^(k/64).
var expTable = func() (table [steps]uint64) {
	for k := range table {
		table[k] = math.Float64bits(math.Exp2(float64(k) / steps))
	}
	return table
}()

// exp is e^y for -700 <= y <= 0 with a relative error below 1e-12, and 0 below: it takes neither a call nor the vector
// registers, which math.Exp waits for after a product (docs/decisions.md 22).
//
//	exp(y) = 2^(k/64) · exp(r),  k = round(y·64/ln 2),  r = y - k·ln 2/64,  |r| <= 0.0055
//	exp(r) = 1 + r + r²/2 + r³/6 + r⁴/24  (rest below 5e-14)
//
// Source: Tang, "Table-driven implementation of the exponential function in IEEE floating-point arithmetic", ACM TOMS
// 15 (1989), with ln 2/64 in one piece: |k| is small enough here for the error that leaves.
func exp(y float64) float64 {
	const (
		perStep = math.Ln2 / steps
		shift   = 3 << 51 // adding it rounds to an integer that stands in the low bits
	)
	if y < -700 {
		return 0
	}
	shifted := y*(1/perStep) + shift
	k := int64(math.Float64bits(shifted)) // low bits; the table and the exponent use no others
	r := y - (shifted-shift)*perStep
	p := 1 + r*(1+r*(1.0/2+r*(1.0/6+r*(1.0/24))))
	return p * math.Float64frombits(expTable[k&(steps-1)]+uint64(k&^(steps-1))<<46)
}

// sumExp gives Σ exp(x - largest) of finite values x <= largest, in float64: the inner loop of FromLogits, where math.Exp
// would take most of the time.
func sumExp(row []float32, largest float64) float64 {
	var even, odd float64 // two sums, so that an addition need not wait for the one before it
	for len(row) >= 2 {
		even += exp(float64(row[0]) - largest)
		odd += exp(float64(row[1]) - largest)
		row = row[2:]
	}
	for _, x := range row {
		even += exp(float64(x) - largest)
	}
	return even + odd
}

// Weights writes exp((x - largest)·scale) of finite logits x, largest being the largest of them and scale positive, and
// returns their sum: softmax up to a factor, with a relative error below 1e-12.
func Weights(weights []float64, logits []float32, largest float32, scale float64) (sum float64) {
	for i, x := range logits {
		weights[i] = exp((float64(x) - float64(largest)) * scale)
		sum += weights[i]
	}
	return sum
}
