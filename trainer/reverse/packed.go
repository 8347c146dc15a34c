package reverse

import (
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/decoder"
)

// NewPacked is New for rows that hold several texts one after the other: positions [B, S] (int32) begin at 0 in each
// text, blocks [B, S] are equal within a text and differ from one to the next. A token attends to its own text only.
func NewPacked(scope *model.Scope, c decoder.Config, tokens, positions, blocks *Node) *Tape {
	return build(scope, c, tokens, &packing{positions: positions, blocks: blocks})
}

// packing is what packed rows need beside their tokens.
type packing struct {
	positions, blocks *Node // [B, S]
	other             *Node // [1, B, S, S]: -1e9 at keys of other texts, made once
}

// mask is, for heads with these slopes, -1e9 at later keys and at those of other texts, plus slope·(k - q): [n·B, S, S].
// Places within a row differ as positions within a text do.
func (p *packing) mask(g *Graph, b, s int, slopes []float64) *Node {
	n := len(slopes)
	m := make([]float32, 0, n*s*s)
	for _, slope := range slopes {
		for i := range s * s {
			query, key := i/s, i%s
			x := float32(slope) * float32(key-query)
			if key > query {
				x = -1e9
			}
			m = append(m, x)
		}
	}
	if p.other == nil {
		of := func(dims ...int) *Node { return BroadcastToDims(Reshape(p.blocks, dims...), b, s, s) }
		differs := NotEqual(of(b, s, 1), of(b, 1, s))
		p.other = Reshape(MulScalar(ConvertDType(differs, dtypes.Float32), -1e9), 1, b, s, s)
	}
	causal := ConstTensor(g, tensors.FromFlatDataAndDimensions(m, n, 1, s, s))
	all := Add(BroadcastToDims(causal, n, b, s, s), BroadcastToDims(p.other, n, b, s, s))
	return Reshape(all, n*b, s, s)
}

// turns takes the rows of a rotary table [S, C] that belong to the positions: [T, C].
func (p *packing) turns(table *Node) *Node {
	return Gather(table, Reshape(p.positions, p.positions.Shape().Size(), 1))
}

// Unstack cuts tokens [3, B, S] into tokens, positions and blocks [B, S] of packed rows; tokens [B, S] are returned with
// nil for both.
func Unstack(tokens *Node) (ids, positions, blocks *Node) {
	if tokens.Rank() == 2 {
		return tokens, nil, nil
	}
	d := tokens.Shape().Dimensions
	part := func(i int) *Node { return Reshape(Slice(tokens, AxisElem(i)), d[1], d[2]) }
	return part(0), part(1), part(2)
}
