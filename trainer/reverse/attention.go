package reverse

import (
	"fmt"
	"math"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/profuser/profuser/models/decoder"
)

// tables are constants that all layers share.
type tables struct {
	masks    map[string]*Node // by slopes
	cos, sin *Node            // [T, C]
	turn     *Node            // [C, C]: x·turn is rotate_half(x)
}

// attend is softmax(q·kᵀ + mask)·v of each head; q, k, v are [T, C] a head, q already scaled, and masks holds one for each
// head or one for all. Where single products would be small, several heads are stacked into one. The reverse maps the
// heads' gradients to those of q, k and v.
func (t *Tape) attend(q, k, v []*Node, slopes []float64) ([]*Node, func(d []*Node) (dq, dk, dv []*Node)) {
	heads, size := len(q), 1
	for size < heads && size*t.b*t.s*t.s*t.c.HeadDim < decoder.SmallProduct {
		size++
	}
	outs := make([]*Node, 0, heads)
	var undo []func(d []*Node) (dq, dk, dv []*Node)
	for from := 0; from < heads; from += size {
		to := min(heads, from+size)
		out, u := t.attendStacked(q[from:to], k[from:to], v[from:to], t.mask(slopes[from:to]))
		outs, undo = append(outs, out...), append(undo, u)
	}
	return outs, func(d []*Node) (dq, dk, dv []*Node) {
		for i, u := range undo {
			q, k, v := u(d[i*size : min(heads, (i+1)*size)])
			dq, dk, dv = append(dq, q...), append(dk, k...), append(dv, v...)
		}
		return dq, dk, dv
	}
}

// attendStacked is attend of some heads in one product.
//
//	dV = Pᵀ·dO;  dP = dO·Vᵀ;  dS = P∘(dP - rowsum(dO∘O));  dQ = dS·K;  dK = dSᵀ·Q
func (t *Tape) attendStacked(qs, ks, vs []*Node, mask *Node) ([]*Node, func(d []*Node) (dq, dk, dv []*Node)) {
	n, b, s := len(qs), len(qs)*t.b, t.s
	q, k, v := t.stack(qs), t.stack(ks), t.stack(vs)
	p := Softmax(Add(across(q, k), mask), -1)
	o := along(p, v)
	return t.unstack(o, n), func(ds []*Node) (dq, dk, dv []*Node) {
		d := t.stack(ds)
		flat := func(x *Node) *Node { return Reshape(x, b*s, t.c.HeadDim) }
		away := Reshape(t.spread(rowDot(flat(d), flat(o)), s), b, s, s)
		dS := Mul(p, Sub(across(d, v), away))
		return t.unstack(along(dS, k), n), t.unstack(along(Transpose(dS, 1, 2), q), n), t.unstack(along(Transpose(p, 1, 2), d), n)
	}
}

// stack puts heads [T, C] under each other: [n·B, S, C].
func (t *Tape) stack(heads []*Node) *Node {
	x := heads[0]
	if len(heads) > 1 {
		x = Concatenate(heads, 0)
	}
	return Reshape(x, len(heads)*t.b, t.s, t.c.HeadDim)
}

// unstack is its reverse.
func (t *Tape) unstack(x *Node, n int) []*Node {
	rows := t.b * t.s
	x = Reshape(x, n*rows, t.c.HeadDim)
	if n == 1 {
		return []*Node{x}
	}
	heads := make([]*Node, n)
	for h := range heads {
		heads[h] = Slice(x, AxisRange(h*rows, (h+1)*rows))
	}
	return heads
}

// across is x·yᵀ for each row of the batch. Small ones are faster with y turned first (models/decoder/kernels.go).
func across(x, y *Node) *Node {
	if x.Shape().Size()*y.Shape().Dimensions[1] < decoder.SmallProduct {
		return along(x, Transpose(y, 1, 2))
	}
	return Dot(x, y).General([]int{2}, []int{0}, []int{2}, []int{0})
}

// along is x·y for each row of the batch.
func along(x, y *Node) *Node { return Dot(x, y).General([]int{2}, []int{0}, []int{1}, []int{0}) }

// largest is the number of elements up to which a mask is a constant of the graph, row by row. Every shape of a batch has
// a graph of its own, which keeps its constants; a larger mask is repeated for the rows at each run.
const largest = 1 << 16

// mask is, for heads with these slopes, the causal mask, -1e9 at later keys, plus slope·(k - (S-1)): [n·B, S, S]. Equal
// masks are made once.
func (t *Tape) mask(slopes []float64) *Node {
	key := fmt.Sprint(slopes)
	if m := t.tables.masks[key]; m != nil {
		return m
	}
	n, b, s := len(slopes), t.b, t.s
	if t.packing != nil {
		t.tables.masks[key] = t.packing.mask(t.g, b, s, slopes)
		return t.tables.masks[key]
	}
	repeat := b
	if n*b*s*s > largest {
		repeat = 1
	}
	m := make([]float32, 0, n*repeat*s*s)
	for _, slope := range slopes {
		for range repeat * s * s {
			i := len(m) % (s * s)
			query, key := i/s, i%s
			x := float32(slope) * float32(key-(s-1))
			if key > query {
				x += -1e9
			}
			m = append(m, x)
		}
	}
	mask := ConstTensor(t.g, tensors.FromFlatDataAndDimensions(m, n, repeat, s, s))
	mask = Reshape(BroadcastToDims(mask, n, b, s, s), n*b, s, s)
	t.tables.masks[key] = mask
	return mask
}

// rotary fills the rotary tables: angle(position, i) = position · θ^(-2i/C), the halves paired as in Hugging Face's
// rotate_half.
func (t *Tape) rotary() {
	if t.tables.cos != nil {
		return
	}
	c := t.c.HeadDim
	half := c / 2
	rows := t.b * t.s
	if t.packing != nil {
		rows = t.s
	}
	cos, sin := make([]float32, rows*c), make([]float32, rows*c)
	for i := range cos {
		position, at := i/c%t.s, i%c%half
		inverse := float32(math.Pow(t.c.RopeTheta, -2*float64(at)/float64(c)))
		angle := float64(float32(position) * inverse)
		cos[i], sin[i] = float32(math.Cos(angle)), float32(math.Sin(angle))
	}
	turn := make([]float32, c*c)
	for i := range half {
		turn[(i+half)*c+i] = -1 // left half takes minus the right
		turn[i*c+i+half] = 1
	}
	t.tables.cos = ConstTensor(t.g, tensors.FromFlatDataAndDimensions(cos, rows, c))
	t.tables.sin = ConstTensor(t.g, tensors.FromFlatDataAndDimensions(sin, rows, c))
	if t.packing != nil {
		t.tables.cos, t.tables.sin = t.packing.turns(t.tables.cos), t.packing.turns(t.tables.sin)
	}
	t.tables.turn = ConstTensor(t.g, tensors.FromFlatDataAndDimensions(turn, c, c))
}

// rope turns one head x [T, C] by its positions: x∘cos + rotate_half(x)∘sin.
func (t *Tape) rope(x *Node) *Node {
	return Add(Mul(x, t.tables.cos), Mul(times(x, t.tables.turn), t.tables.sin))
}

// unrope is rope's reverse: d∘cos + rotate_halfᵀ(d∘sin).
func (t *Tape) unrope(d *Node) *Node {
	return Add(Mul(d, t.tables.cos), decoder.TimesTransposed(Mul(d, t.tables.sin), t.tables.turn))
}
