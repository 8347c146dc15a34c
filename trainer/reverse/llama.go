package reverse

import (
	"fmt"
	"math"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/profuser/profuser/models/decoder"
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
	record []func(d, gradient, x *Node)
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

// parts is the product with matrix i [n·C, D], cut into n columns of results [T, C]. One product a part costs less than
// cutting, unless it is small.
func (p *projections) parts(i, n int) []*Node {
	w := p.scaled[i]
	size := w.Shape().Dimensions[0] / n
	out := make([]*Node, n)
	if n > 1 && p.x.Shape().Size()*size < decoder.SmallProduct {
		whole := decoder.TimesTransposed(p.x, w)
		for h := range out {
			out[h] = Slice(whole, AxisRange(), AxisRange(h*size, (h+1)*size))
		}
		return out
	}
	for h := range out {
		out[h] = decoder.TimesTransposed(p.x, Slice(w, AxisRange(h*size, (h+1)*size)))
	}
	return out
}

// back takes the gradient of each matrix's result and gives that at the norm's input.
func (p *projections) back(gradients ...*Node) *Node {
	var dx *Node
	for i, d := range gradients {
		p.record[i](Transpose(times(p.t.flip(p.x), d), 0, 1), d, p.x)
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
	c, n := t.c, t.c.HeadDim
	in := t.project(x, false, name+"input_layernorm.weight", name+"self_attn.q_proj.weight", name+"self_attn.k_proj.weight", name+"self_attn.v_proj.weight")
	scale := 1 / math.Sqrt(float64(n))
	group := c.Heads / c.KVHeads
	query, key, value := in.parts(0, c.Heads), in.parts(1, c.KVHeads), in.parts(2, c.KVHeads)
	for h := range key {
		key[h] = t.rope(key[h])
	}
	q, k, v := make([]*Node, c.Heads), make([]*Node, c.Heads), make([]*Node, c.Heads)
	for h := range q {
		q[h], k[h], v[h] = MulScalar(t.rope(query[h]), scale), key[h/group], value[h/group]
	}
	outs, undo := t.attend(q, k, v, make([]float64, c.Heads))
	out, undoOut := t.merge(x, outs, name+"self_attn.o_proj.weight")
	return out, func(d *Node) *Node {
		dq, each, eachValue := undo(undoOut(d))
		dk, dv := make([]*Node, c.KVHeads), make([]*Node, c.KVHeads)
		for h := range dq {
			dq[h] = MulScalar(t.unrope(dq[h]), scale)
			addTo(dk, h/group, each[h])
			addTo(dv, h/group, eachValue[h])
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
	return Add(x, decoder.TimesTransposed(o, w)), func(d *Node) []*Node {
		t.recordProduct(name, times(t.flip(d), o), d, o, nil)
		ds := make([]*Node, len(outs))
		n := t.c.HeadDim
		if d.Shape().Size()*n < decoder.SmallProduct {
			whole := times(d, w)
			for h := range ds {
				ds[h] = Slice(whole, AxisRange(), AxisRange(h*n, (h+1)*n))
			}
			return ds
		}
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
	gate, up := in.parts(0, 1)[0], in.parts(1, 1)[0]
	sigma := decoder.SigmoidValue(gate)
	silu := Mul(gate, sigma)
	h := Mul(silu, up)
	y, undo := t.linear(h, t.weight(name+"mlp.down_proj.weight"))
	return Add(x, y), func(d *Node) *Node {
		dh, dw := undo(d)
		t.recordProduct(name+"mlp.down_proj.weight", dw, d, h, nil)
		slope := Sub(Add(sigma, silu), Mul(silu, sigma))
		return Add(d, in.back(Mul(Mul(dh, up), slope), Mul(dh, silu)))
	}
}
