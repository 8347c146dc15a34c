package reverse

import (
	"fmt"
	"math"

	. "github.com/gomlx/gomlx/core/graph"
)

// llamaBlock maps x [T, D] to [T, D].
func (t *Tape) llamaBlock(x *Node, layer int) (*Node, back) {
	name := fmt.Sprintf("model.layers.%d.", layer)
	y, undoAttention := t.llamaAttention(x, name)
	z, undoFeedForward := t.swiglu(y, name)
	return z, func(d *Node) *Node { return undoAttention(undoFeedForward(d)) }
}

// projections are a norm and the matrices behind it.
type projections struct {
	t      *Tape
	x      *Node
	undo   back
	scaled []*Node
	record []func(*Node)
}

func (t *Tape) project(x *Node, centre bool, norm string, names ...string) *projections {
	p := &projections{t: t}
	p.x, p.undo = t.normalize(x, centre)
	for _, n := range names {
		w, record := t.scaled(norm, n)
		p.scaled, p.record = append(p.scaled, w), append(p.record, record)
	}
	return p
}

// part is the product with some rows of matrix i.
func (p *projections) part(i, from, to int) *Node {
	return timesTransposed(p.x, Slice(p.scaled[i], AxisRange(from, to)))
}

// back takes the gradient of each matrix's result and gives that at the norm's input.
func (p *projections) back(gradients ...*Node) *Node {
	var dx *Node
	for i, d := range gradients {
		p.record[i](Transpose(times(p.t.flip(p.x), d), 0, 1))
		part := times(d, p.scaled[i])
		if dx != nil {
			part = Add(dx, part)
		}
		dx = part
	}
	return p.undo(dx)
}

// llamaAttention is x plus grouped-query attention with rotary positions over the normalised x.
func (t *Tape) llamaAttention(x *Node, name string) (*Node, back) {
	t.rotary()
	if t.tables.masks == nil {
		t.tables.masks = []*Node{t.mask(0)}
	}
	c, n := t.c, t.c.HeadDim
	in := t.project(x, false, name+"input_layernorm.weight", name+"self_attn.q_proj.weight", name+"self_attn.k_proj.weight", name+"self_attn.v_proj.weight")
	scale := 1 / math.Sqrt(float64(n))
	group := c.Heads / c.KVHeads
	keys, values := make([]*Node, c.KVHeads), make([]*Node, c.KVHeads)
	for h := range keys {
		keys[h], values[h] = t.rope(in.part(1, h*n, (h+1)*n)), in.part(2, h*n, (h+1)*n)
	}
	outs := make([]*Node, c.Heads)
	undo := make([]func(*Node) (dq, dk, dv *Node), c.Heads)
	for h := range outs {
		q := MulScalar(t.rope(in.part(0, h*n, (h+1)*n)), scale)
		outs[h], undo[h] = t.head(q, keys[h/group], values[h/group], t.tables.masks[0])
	}
	out, undoOut := t.merge(x, outs, name+"self_attn.o_proj.weight")
	return out, func(d *Node) *Node {
		dq, dk, dv := make([]*Node, c.Heads), make([]*Node, c.KVHeads), make([]*Node, c.KVHeads)
		for h, dHead := range undoOut(d) {
			q, k, v := undo[h](dHead)
			dq[h] = MulScalar(t.unrope(q), scale)
			addTo(dk, h/group, k)
			addTo(dv, h/group, v)
		}
		for h := range dk {
			dk[h] = t.unrope(dk[h])
		}
		return Add(d, in.back(join(dq), join(dk), join(dv)))
	}
}

func addTo(sums []*Node, i int, x *Node) {
	if sums[i] != nil {
		x = Add(sums[i], x)
	}
	sums[i] = x
}

// join puts heads [T, C] side by side.
func join(heads []*Node) *Node {
	if len(heads) == 1 {
		return heads[0]
	}
	return Concatenate(heads, 1)
}

// merge is x plus the heads' results by the output matrix [D, H·C]. Its reverse gives the gradient of each head.
func (t *Tape) merge(x *Node, outs []*Node, name string) (*Node, func(d *Node) []*Node) {
	w := t.weight(name)
	o := join(outs)
	return Add(x, timesTransposed(o, w)), func(d *Node) []*Node {
		t.record(name, times(t.flip(d), o))
		ds := make([]*Node, len(outs))
		n := t.c.HeadDim
		for h := range ds {
			ds[h] = times(d, Slice(w, AxisRange(), AxisRange(h*n, (h+1)*n)))
		}
		return ds
	}
}

// swiglu is x plus down(silu(gate)·up) of the normalised x.
//
//	silu(g) = g·σ(g);  dsilu/dg = σ + silu - silu·σ
func (t *Tape) swiglu(x *Node, name string) (*Node, back) {
	in := t.project(x, false, name+"post_attention_layernorm.weight", name+"mlp.gate_proj.weight", name+"mlp.up_proj.weight")
	gate, up := in.part(0, 0, t.c.FFN), in.part(1, 0, t.c.FFN)
	sigma := Sigmoid(gate)
	silu := Mul(gate, sigma)
	y, undo := t.linear(Mul(silu, up), t.weight(name+"mlp.down_proj.weight"))
	return Add(x, y), func(d *Node) *Node {
		dh, dw := undo(d)
		t.record(name+"mlp.down_proj.weight", dw)
		slope := Sub(Add(sigma, silu), Mul(silu, sigma))
		return Add(d, in.back(Mul(Mul(dh, up), slope), Mul(dh, silu)))
	}
}
