package decoder

import (
	. "github.com/gomlx/gomlx/core/graph"
)

// The functions of this file do what GoMLX's own do, around two things that the Go backend is slow at (measured on a
// Xeon with AVX-512, Go 1.26.8, compute v0.1.6).
//
// A product of fewer than SmallProduct multiplications with a transposed right side takes a horizontal sum for each
// result, 100 to 170 ns; not transposed and with more than vectorWidth columns it takes none. Transposing takes 4 ns an
// element, so for w it is worth it only if each of its n columns is used by enough rows: n <= manyColumns·t.
//
// Exp and Logistic call math.Exp, whose assembly takes a microsecond, not ten nanoseconds, while the upper halves of the
// vector registers are in use, as a product leaves them. math.Expm1 is plain Go and does not suffer. GoMLX has no
// gradient for it; the functions that have one bring their own.
const (
	// SmallProduct is the number of multiplications from which on the Go backend packs a product's sides.
	SmallProduct = 4 << 20

	vectorWidth = 16
	manyColumns = 40
)

// TimesTransposed is x [T, n] by w [m, n] transposed: [T, m]. A row of the result does not depend on its place: what is
// not a multiple of the vector width is summed in another order, so only whole vectors, two at least, are laid along a row.
func TimesTransposed(x, w *Node) *Node {
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

// ExpValue is e^x for finite x, as 1 + expm1(x): for x < 0 its absolute error is that of a float near 1. It has no
// gradient.
func ExpValue(x *Node) *Node { return OnePlus(Expm1(x)) }

// SigmoidValue is 1/(1+e^-x), as 1/(2+expm1(-x)). It has no gradient.
func SigmoidValue(x *Node) *Node { return Inverse(AddScalar(Expm1(Neg(x)), 2)) }

// FastExp is ExpValue with its gradient.
func FastExp(x *Node) *Node {
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
	value := StopGradient(SigmoidValue(x))
	return withGradient(value, x, Mul(value, OneMinus(value)))
}

// withGradient is value, with slope as its derivative by x.
func withGradient(value, x, slope *Node) *Node {
	through := IdentityWithCustomGradient(x, func(_, v *Node) *Node { return Mul(v, slope) })
	return Add(value, Sub(through, StopGradient(x)))
}
