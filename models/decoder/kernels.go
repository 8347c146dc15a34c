package decoder

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
)

// The functions of this file do what GoMLX's own do, around two things that the Go backend is slow at (measured on a
// Xeon with AVX-512, Go 1.26.8, compute v0.1.6).
//
// A product of fewer than SmallProduct multiplications with a transposed right side takes a horizontal sum for each
// result, 100 to 170 ns; not transposed and with more than vectorWidth columns it takes none. Transposing takes 4 ns an
// element, so for w it is worth it only if each of its n columns is used by enough rows: n <= manyColumns·t.
//
// Exp, Log and Logistic call math.Exp or math.Log, whose assembly takes a microsecond, not ten nanoseconds, while the
// upper halves of the vector registers are in use, as a product leaves them. The exponential here is made of elementwise
// operations, which do not suffer: 15 ns. GoMLX has no gradient for all of them; the functions that have one bring their
// own. Other backends get the plain operation.
const (
	// SmallProduct is the number of multiplications from which on the Go backend packs a product's sides.
	SmallProduct = 4 << 20

	// GoBackend is the name of the backend that this file is about.
	GoBackend = "Go Backend"

	vectorWidth = 16
	manyColumns = 40
)

// TimesTransposed is x [T, n] by w [m, n] transposed: [T, m]. A row of the result does not depend on its place: what is
// not a multiple of the vector width is summed in another order, so only whole vectors, two at least, are laid along a row.
// A bfloat16 w makes the product bfloat16; the result is float32 all the same.
func TimesTransposed(x, w *Node) *Node {
	if w.DType() == dtypes.BFloat16 {
		return halved(x, []int{1}, nil, w, []int{1}, nil)
	}
	t, n, m := x.Shape().Dimensions[0], x.Shape().Dimensions[1], w.Shape().Dimensions[0]
	if t*n*m < SmallProduct {
		vectors := func(n int) bool { return n > vectorWidth && n%vectorWidth == 0 }
		switch {
		case vectors(m) && n <= manyColumns*t && (m <= t || !vectors(t)):
			return Dot(x, Transpose(w, 0, 1)).General([]int{1}, nil, []int{0}, nil)
		case vectors(t):
			return Transpose(Dot(w, Transpose(x, 0, 1)).General([]int{1}, nil, []int{0}, nil), 0, 1)
		}
	}
	return Dot(x, w).General([]int{1}, nil, []int{1}, nil)
}

// ExpValue is e^x for float32 x, which is taken to lie within ±87; its relative error is 2e-7. It has no gradient.
//
// x = n·ln 2 + r with |r| <= ln 2 / 2, so e^x = 2^n · e^r: the first from the bits of a float, the second by its Taylor
// series to r^7. ln 2 is subtracted in two parts, the first of few bits, after Cody and Waite 1980.
func ExpValue(x *Node) *Node {
	if x.Graph().Backend().Name() != GoBackend || x.DType() != dtypes.Float32 {
		return Exp(x)
	}
	const high, low = 355.0 / 512, math.Ln2 - 355.0/512
	x = ClipScalar(x, -87, 87)
	n := Floor(AddScalar(MulScalar(x, math.Log2E), 0.5))
	r := Sub(Sub(x, MulScalar(n, high)), MulScalar(n, low))
	series := AddScalar(MulScalar(r, 1.0/5040), 1.0/720)
	for _, c := range []float64{1.0 / 120, 1.0 / 24, 1.0 / 6, 1.0 / 2, 1, 1} {
		series = AddScalar(Mul(series, r), c)
	}
	power := Bitcast(BitwiseShiftLeftScalar(ConvertDType(AddScalar(n, 127), dtypes.Int32), 23), dtypes.Float32)
	return Mul(series, power)
}

// SigmoidValue is 1/(1+e^-x). It has no gradient.
func SigmoidValue(x *Node) *Node { return Inverse(OnePlus(ExpValue(Neg(x)))) }

// siluValue is x·σ(x). It has no gradient.
func siluValue(x *Node) *Node { return Div(x, OnePlus(ExpValue(Neg(x)))) }

// FastExp is ExpValue with its gradient.
func FastExp(x *Node) *Node {
	if x.Graph().Backend().Name() != GoBackend {
		return Exp(x)
	}
	value := StopGradient(ExpValue(x))
	return withGradient(value, x, value)
}

// FastExpm1 is e^x - 1 for finite x, exact for small x, with its gradient.
func FastExpm1(x *Node) *Node {
	value := StopGradient(Expm1(x))
	return withGradient(value, x, OnePlus(value))
}

// FastSigmoid is SigmoidValue with its gradient.
func FastSigmoid(x *Node) *Node {
	if x.Graph().Backend().Name() != GoBackend {
		return Sigmoid(x)
	}
	value := StopGradient(SigmoidValue(x))
	return withGradient(value, x, Mul(value, OneMinus(value)))
}

// withGradient is value, with slope as its derivative by x.
func withGradient(value, x, slope *Node) *Node {
	through := IdentityWithCustomGradient(x, func(_, v *Node) *Node { return Mul(v, slope) })
	return Add(value, Sub(through, StopGradient(x)))
}

// Compute says how the graphs of a training are computed. The zero value is float32 throughout, with everything kept that
// the backward pass needs.
type Compute struct {
	// BFloat16 computes the products, forward and backward, in bfloat16: those with matrices, and of queries, keys and
	// values. Weights, embeddings, norms, rotary positions, softmax, sums and the loss stay float32, and so do gradients,
	// which are products rounded to bfloat16.
	BFloat16 bool
	// Recompute keeps the input of each block alone and computes the rest of it again in the backward pass: less memory,
	// about a third more work. Also known as gradient checkpointing. Source: Chen et al. 2016 (arXiv 1604.06174).
	Recompute bool
}

// product is x·y over the axes given, in bfloat16 if so configured; the result is float32.
func (p *pass) product(x *Node, xAxes, xBatch []int, y *Node, yAxes, yBatch []int) *Node {
	if !p.c.Compute.BFloat16 {
		return Dot(x, y).General(xAxes, xBatch, yAxes, yBatch)
	}
	return halved(x, xAxes, xBatch, y, yAxes, yBatch)
}

// halved is a product in bfloat16. GoMLX would compute its backward products in the type that sums are kept in, which it
// sets to float32; without one they are computed in bfloat16 too, and the backends sum in float32 by themselves.
func halved(x *Node, xAxes, xBatch []int, y *Node, yAxes, yBatch []int) *Node {
	x, y = ConvertDType(x, dtypes.BFloat16), ConvertDType(y, dtypes.BFloat16)
	return ConvertDType(Dot(x, y).WithAccumulatorDType(dtypes.InvalidDType).General(xAxes, xBatch, yAxes, yBatch), dtypes.Float32)
}
