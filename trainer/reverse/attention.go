package reverse

import (
	"math"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// tables are constants that all layers share.
type tables struct {
	masks    []*Node // [B, S, S] for each head, or one for all
	cos, sin *Node   // [T, C]
	turn     *Node   // [C, C]: x·turn is rotate_half(x)
}

// head is softmax(q·kᵀ + mask)·v of one head; q, k, v are [T, C], q already scaled. Its reverse gives their gradients.
//
//	dV = Pᵀ·dO;  dP = dO·Vᵀ;  dS = P∘(dP - rowsum(dO∘O));  dQ = dS·K;  dK = dSᵀ·Q
func (t *Tape) head(q, k, v, mask *Node) (*Node, func(d *Node) (dq, dk, dv *Node)) {
	b, s, c := t.b, t.s, t.c.HeadDim
	rows := func(x *Node) *Node { return Reshape(x, b, s, c) }
	flat := func(x *Node) *Node { return Reshape(x, b*s, c) }
	q, k, v = rows(q), rows(k), rows(v)
	p := Softmax(Add(across(q, k), mask), -1)
	o := flat(along(p, v))
	return o, func(d *Node) (dq, dk, dv *Node) {
		away := Reshape(t.spread(rowDot(d, o), s), b, s, s)
		d = rows(d)
		ds := Mul(p, Sub(across(d, v), away))
		return flat(along(ds, k)), flat(along(Transpose(ds, 1, 2), q)), flat(along(Transpose(p, 1, 2), d))
	}
}

// across is x·yᵀ for each row of the batch.
func across(x, y *Node) *Node { return Dot(x, y).General([]int{2}, []int{0}, []int{2}, []int{0}) }

// along is x·y for each row of the batch.
func along(x, y *Node) *Node { return Dot(x, y).General([]int{2}, []int{0}, []int{1}, []int{0}) }

// mask is the causal mask, -1e9 at later keys, plus slope·(k - (S-1)), for one head, [B, S, S].
func (t *Tape) mask(slope float64) *Node {
	b, s := t.b, t.s
	m := make([]float32, b*s*s)
	for i := range m {
		query, key := i/s%s, i%s
		m[i] = float32(slope) * float32(key-(s-1))
		if key > query {
			m[i] += -1e9
		}
	}
	return ConstTensor(t.g, tensors.FromFlatDataAndDimensions(m, b, s, s))
}

// rotary fills the rotary tables: angle(position, i) = position · θ^(-2i/C), the halves paired as in Hugging Face's
// rotate_half.
func (t *Tape) rotary() {
	if t.tables.cos != nil {
		return
	}
	c := t.c.HeadDim
	half := c / 2
	cos, sin := make([]float32, t.b*t.s*c), make([]float32, t.b*t.s*c)
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
	t.tables.cos = ConstTensor(t.g, tensors.FromFlatDataAndDimensions(cos, t.b*t.s, c))
	t.tables.sin = ConstTensor(t.g, tensors.FromFlatDataAndDimensions(sin, t.b*t.s, c))
	t.tables.turn = ConstTensor(t.g, tensors.FromFlatDataAndDimensions(turn, c, c))
}

// rope turns one head x [T, C] by its positions: x∘cos + rotate_half(x)∘sin.
func (t *Tape) rope(x *Node) *Node {
	return Add(Mul(x, t.tables.cos), Mul(times(x, t.tables.turn), t.tables.sin))
}

// unrope is rope's reverse: d∘cos + rotate_halfᵀ(d∘sin).
func (t *Tape) unrope(d *Node) *Node {
	return Add(Mul(d, t.tables.cos), timesTransposed(Mul(d, t.tables.sin), t.tables.turn))
}
