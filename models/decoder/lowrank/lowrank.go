// Package lowrank owns the low-rank addition to a matrix in a graph: W + s·B·A in place of W.
//
// Flow in: a store that holds, beside a matrix W [out, in], the factors A [r, in] and B [out, r] under names that follow
// from the matrix's, and one factor s for all; flow out: nodes that multiply by them, or the sum as a whole. Where a store
// holds no factors, nothing is added, so that a graph needs no option to know of them.
//
// The names are those of PEFT: x.q_proj.weight has x.q_proj.lora_A.weight and x.q_proj.lora_B.weight.
//
// Not here: which matrices get factors, their first values, files (trainer/lora); how they are trained (trainer/loop).
// Source: Hu et al. 2021 (arXiv 2106.09685).
package lowrank

import (
	"strings"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// ScaleName is the name of the variable that holds s, a scalar.
const ScaleName = "lora.scale"

// Ends of the names of the factors.
const (
	endA = ".lora_A.weight"
	endB = ".lora_B.weight"
)

// Names are the names of the factors of a matrix, by its module's name: that of its weight without .weight.
func Names(module string) (a, b string) { return module + endA, module + endB }

// Module is the name of a weight's module.
func Module(weight string) string { return strings.TrimSuffix(weight, ".weight") }

// Factors are the nodes of one addition.
type Factors struct {
	// A is [r, in], B is [out, r], Scale is s.
	A, B, Scale *Node
}

// Of finds the factors of a module in a store, nil if it has none.
func Of(store *model.Store, g *Graph, module string) *Factors {
	nameA, nameB := Names(module)
	a, b, s := store.GetVariable(path(nameA)), store.GetVariable(path(nameB)), store.GetVariable(path(ScaleName))
	if a == nil || b == nil || s == nil {
		return nil
	}
	return &Factors{A: a.NodeValue(g), B: b.NodeValue(g), Scale: s.NodeValue(g)}
}

func path(name string) string { return "/" + strings.ReplaceAll(name, ".", "/") }

// Times is s·x·Aᵀ·B'ᵀ for x [T, in], where B' are the rows from to to-1 of B: [T, to-from].
func (f *Factors) Times(x *Node, from, to int) *Node {
	b := f.B
	if from > 0 || to < b.Shape().Dimensions[0] {
		b = SliceAxis(b, 0, AxisRange(from, to))
	}
	small := Mul(Dot(x, f.A).General([]int{1}, nil, []int{1}, nil), f.Scale)
	return Dot(small, b).General([]int{1}, nil, []int{1}, nil)
}

// Added is w [out, in] plus s·B·A.
func (f *Factors) Added(w *Node) *Node { return Add(w, f.product(f.B, f.A)) }

// Back maps the gradient dᵀ·x at (w + s·B·A)∘row, d [T, out] and x [T, in], to those of the factors, without making it:
//
//	dA = s·(d·B)ᵀ·x ∘ row;   dB = s·dᵀ·(x·(A∘row)ᵀ)
//
// row [1, in] multiplies columns; nil is one.
func (f *Factors) Back(d, x, row *Node) (a, b *Node) {
	inner := f.A
	if row != nil {
		row = BroadcastToDims(row, f.A.Shape().Dimensions...)
		inner = Mul(inner, row)
	}
	a = f.product(Transpose(times(d, f.B), 0, 1), x)
	if row != nil {
		a = Mul(a, row)
	}
	narrow := times(x, Transpose(inner, 0, 1))
	return a, Transpose(f.product(Transpose(narrow, 0, 1), d), 0, 1)
}

// times is x·y.
func times(x, y *Node) *Node { return Dot(x, y).General([]int{1}, nil, []int{0}, nil) }

// product is s·x·y.
func (f *Factors) product(x, y *Node) *Node {
	return Mul(times(x, y), f.Scale)
}
