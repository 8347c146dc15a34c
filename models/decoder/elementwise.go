package decoder

import (
	. "github.com/gomlx/gomlx/core/graph"
)

// The functions of this file exist because the Go backend's Exp and Logistic call math.Exp, whose assembly mixes badly
// with what a matrix product leaves behind: while the upper halves of the vector registers are in use, one call takes a
// microsecond instead of ten nanoseconds. math.Expm1 is plain Go and does not suffer. GoMLX has no gradient for it; each
// function adds its own.

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
