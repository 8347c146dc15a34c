package reverse

import (
	"fmt"
	"math"

	. "github.com/gomlx/gomlx/core/graph"
)

// mptBlock maps x [T, D] to [T, D].
func (t *Tape) mptBlock(x *Node, layer int) (*Node, back) {
	name := fmt.Sprintf("transformer.blocks.%d.", layer)
	y, undoAttention := t.mptAttention(x, name)
	z, undoFeedForward := t.gelu(y, name)
	return z, func(d *Node) *Node { return undoAttention(undoFeedForward(d)) }
}

// mptAttention is x plus attention with linear biases over the normalised x; query, key and value are one matrix's thirds.
func (t *Tape) mptAttention(x *Node, name string) (*Node, back) {
	c, n := t.c, t.c.HeadDim
	if t.tables.masks == nil {
		for _, slope := range alibiSlopes(c.Heads, c.AlibiBiasMax) {
			t.tables.masks = append(t.tables.masks, t.mask(slope))
		}
	}
	in := t.project(x, true, name+"norm_1.weight", name+"attn.Wqkv.weight")
	scale := 1 / math.Sqrt(float64(n))
	outs := make([]*Node, c.Heads)
	undo := make([]func(*Node) (dq, dk, dv *Node), c.Heads)
	for h := range outs {
		part := func(third int) *Node { return in.part(0, third*c.Dim+h*n, third*c.Dim+(h+1)*n) }
		outs[h], undo[h] = t.head(MulScalar(part(0), scale), part(1), part(2), t.tables.masks[h])
	}
	out, undoOut := t.merge(x, outs, name+"attn.out_proj.weight")
	return out, func(d *Node) *Node {
		parts := make([]*Node, 3*c.Heads)
		for h, dHead := range undoOut(d) {
			q, k, v := undo[h](dHead)
			parts[h], parts[c.Heads+h], parts[2*c.Heads+h] = MulScalar(q, scale), k, v
		}
		return Add(d, in.back(join(parts)))
	}
}

// gelu is x plus down(gelu(up)) of the normalised x, with the exact GELU.
//
//	gelu(u) = u·Φ(u);  dgelu/du = Φ(u) + u·φ(u)
func (t *Tape) gelu(x *Node, name string) (*Node, back) {
	in := t.project(x, true, name+"norm_2.weight", name+"ffn.up_proj.weight")
	up := in.part(0, 0, t.c.FFN)
	cdf := MulScalar(OnePlus(Erf(MulScalar(up, 1/math.Sqrt2))), 0.5)
	y, undo := t.linear(Mul(up, cdf), t.weight(name+"ffn.down_proj.weight"))
	return Add(x, y), func(d *Node) *Node {
		dh, dw := undo(d)
		t.record(name+"ffn.down_proj.weight", dw)
		density := MulScalar(Exp(MulScalar(Mul(up, up), -0.5)), 1/math.Sqrt(2*math.Pi))
		return Add(d, in.back(Mul(dh, Add(cdf, Mul(up, density)))))
	}
}

// alibiSlopes are 2^(-i·max/n) for i = 1..n; for n heads that are no power of two the odd ones of the next power come
// first. Source: Press et al. 2021 (arXiv 2108.12409) and MPT's build_alibi_bias.
func alibiSlopes(heads int, biasMax float64) []float64 {
	n := 1
	for n < heads {
		n *= 2
	}
	var first, second []float64
	for i := 1; i <= n; i++ {
		slope := math.Exp2(-float64(i) * biasMax / float64(n))
		if n == heads || i%2 == 0 {
			first = append(first, slope)
		} else {
			second = append(second, slope)
		}
	}
	return append(first, second...)[:heads]
}
