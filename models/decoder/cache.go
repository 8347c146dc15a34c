package decoder

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// KV is one layer's cache of keys and values, each [B, K, N, C].
type KV struct {
	// K are the keys, already turned by their positions.
	K *Node
	// V are the values.
	V *Node
}

// writeCache puts update [B, K, S, C] into cache [B, K, N, C] at each row's own start [B]. Gather and select instead of
// DynamicUpdateSlice, which the Go backend does not have and which takes no start a row.
func writeCache(cache, update, starts *Node) *Node {
	g := cache.Graph()
	d := cache.Shape().Dimensions
	s := update.Shape().Dimensions[2]
	at := Sub(Iota(g, shapes.Make(dtypes.Int32, d[0], d[2]), 1), Reshape(starts, d[0], 1)) // [B, N]: which update row belongs here
	inside := LogicalAnd(GreaterOrEqual(at, Const(g, int32(0))), LessThan(at, Const(g, int32(s))))
	inside = BroadcastToShape(Reshape(inside, d[0], 1, d[2], 1), shapes.Make(dtypes.Bool, d...))
	if s == 1 {
		return Where(inside, BroadcastToDims(update, d...), cache)
	}
	row := Add(MinScalar(MaxScalar(at, 0), float64(s-1)), MulScalar(Iota(g, shapes.Make(dtypes.Int32, d[0], d[2]), 0), float64(s)))
	flat := Reshape(TransposeAllAxes(update, 0, 2, 1, 3), d[0]*s, d[1], d[3])
	moved := Gather(flat, Reshape(row, d[0], d[2], 1)) // [B, N, K, C]
	return Where(inside, TransposeAllAxes(moved, 0, 2, 1, 3), cache)
}
