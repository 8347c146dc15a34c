package reverse

import (
	"fmt"
	"math"
	"slices"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/profuser/profuser/models/decoder"
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
	heads := t.c.Heads
	in := t.project(x, true, name+"norm_1.weight", name+"attn.Wqkv.weight")
	scale := 1 / math.Sqrt(float64(t.c.HeadDim))
	parts := in.parts(0, 3*heads)
	for h := range heads {
		parts[h] = MulScalar(parts[h], scale)
	}
	outs, undo := t.attend(parts[:heads], parts[heads:2*heads], parts[2*heads:], alibiSlopes(heads, t.c.AlibiBiasMax))
	out, undoOut := t.merge(x, outs, name+"attn.out_proj.weight")
	return out, func(d *Node) *Node {
		dq, dk, dv := undo(undoOut(d))
		for h := range dq {
			dq[h] = MulScalar(dq[h], scale)
		}
		return Add(d, in.back(join(slices.Concat(dq, dk, dv))))
	}
}

// gelu is x plus down(gelu(up)) of the normalised x, with the exact GELU.
//
//	gelu(u) = u·Φ(u);  dgelu/du = Φ(u) + u·φ(u)
func (t *Tape) gelu(x *Node, name string) (*Node, back) {
	in := t.project(x, true, name+"norm_2.weight", name+"ffn.up_proj.weight")
	up := in.parts(0, 1)[0]
	cdf := MulScalar(OnePlus(Erf(MulScalar(up, 1/math.Sqrt2))), 0.5)
	h := Mul(up, cdf)
	y, undo := t.linear(h, t.weight(name+"ffn.down_proj.weight"))
	return Add(x, y), func(d *Node) *Node {
		dh, dw := undo(d)
		t.recordProduct(name+"ffn.down_proj.weight", dw, d, h, nil)
		density := MulScalar(decoder.ExpValue(MulScalar(Mul(up, up), -0.5)), 1/math.Sqrt(2*math.Pi))
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
