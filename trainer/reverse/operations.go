package reverse

import (
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/profuser/profuser/models/decoder"
)

// times is x [T, k] by w [k, n].
func times(x, w *Node) *Node { return Dot(x, w).General([]int{1}, nil, []int{0}, nil) }

// flip transposes [m, n], once for each node.
func (t *Tape) flip(x *Node) *Node {
	if y := t.transpose[x]; y != nil {
		return y
	}
	y := Transpose(x, 0, 1)
	t.transpose[x] = y
	return y
}

// linear is x [T, in] by w [out, in]. Its reverse returns the gradients of x and of w; for the latter it transposes
// whichever of x and the gradient is narrower, x also when that is done already.
func (t *Tape) linear(x, w *Node) (*Node, func(d *Node) (dx, dw *Node)) {
	return decoder.TimesTransposed(x, w), func(d *Node) (dx, dw *Node) {
		in, out := w.Shape().Dimensions[1], w.Shape().Dimensions[0]
		if t.transpose[x] != nil || in < out {
			dw = Transpose(times(t.flip(x), d), 0, 1)
		} else {
			dw = times(t.flip(d), x)
		}
		return times(d, w), dw
	}
}

// rowDot is Σ_j x_ij·y_ij as [T, 1].
func rowDot(x, y *Node) *Node {
	return Reshape(Dot(x, y).General([]int{1}, []int{0}, []int{1}, []int{0}), x.Shape().Dimensions[0], 1)
}

// spread repeats a column [T, 1] n times: [T, n].
func (t *Tape) spread(column *Node, n int) *Node { return times(column, t.ones(1, n)) }

// center subtracts each row's mean; it is its own reverse.
func (t *Tape) center(x *Node) *Node {
	n := x.Shape().Dimensions[1]
	mean := times(x, MulScalar(t.ones(n, 1), 1/float64(n)))
	return Sub(x, t.spread(mean, n))
}

// normalize is x / sqrt(mean(x²) + ε), of centred rows where the architecture centres, without weight.
//
//	y = r·x,  r = (mean(x²)+ε)^-½;   dx = r·(dy - y·mean(dy·y))
func (t *Tape) normalize(x *Node, centre bool) (*Node, back) {
	if centre {
		x = t.center(x)
	}
	n := x.Shape().Dimensions[1]
	r := t.spread(Inverse(Sqrt(AddScalar(MulScalar(rowDot(x, x), 1/float64(n)), t.c.Epsilon))), n)
	y := Mul(x, r)
	return y, func(d *Node) *Node {
		m := t.spread(MulScalar(rowDot(d, y), 1/float64(n)), n)
		d = Mul(r, Sub(d, Mul(y, m)))
		if centre {
			d = t.center(d)
		}
		return d
	}
}

// scaled folds a norm's weight [D] into the columns of a matrix [out, D] behind it. Its reverse takes the gradient at the
// product, d, which is gradientᵀ·x of the matrix's result and input, and records both weights'.
func (t *Tape) scaled(norm, name string) (*Node, func(d, gradient, x *Node)) {
	w := t.weight(name)
	out, in := w.Shape().Dimensions[0], w.Shape().Dimensions[1]
	row := Reshape(t.weight(norm), 1, in)
	scale := times(t.ones(out, 1), row)
	return Mul(w, scale), func(d, gradient, x *Node) {
		t.recordProduct(name, Mul(d, scale), gradient, x, row)
		t.record(norm, Reshape(times(t.ones(1, out), Mul(d, w)), in))
	}
}
