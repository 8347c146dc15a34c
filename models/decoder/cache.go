package decoder

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// KV is one layer's cache of N places a row. Places that hold no token yet are zero: Continue adds to them.
type KV struct {
	// K are the keys [B, K, C, N], already turned by their positions. The places come last, because the Go backend
	// multiplies a query by [C, N] five times as fast as by [N, C].
	K *Node
	// V are the values [B, K, N, C].
	V *Node
}

// firstKV is the cache of rows that begin: k and v [B, K, S, C], zeroed behind each row's length, with room for n places.
func (p *pass) firstKV(k, v *Node, n int) KV {
	d := k.Shape().Dimensions
	there := LessThan(Iota(p.g, shapes.Make(dtypes.Int32, d[0], 1, d[2], 1), 2), Reshape(p.lengths, d[0], 1, 1, 1))
	mask := ConvertDType(there, k.DType())
	k, v = Mul(k, mask), Mul(v, mask)
	room := Zeros(p.g, shapes.Make(k.DType(), d[0], d[1], n-d[2], d[3]))
	if n > d[2] {
		k, v = Concatenate([]*Node{k, room}, 2), Concatenate([]*Node{v, room}, 2)
	}
	return KV{K: TransposeAllAxes(k, 0, 1, 3, 2), V: v}
}

// write puts k and v [B, K, S, C] at each row's places starts[b] and after, by adding to the zeros there: the backends do
// it in place where the cache was donated, and the Go backend has no DynamicUpdateSlice.
func (c KV) write(k, v, starts *Node) KV {
	g := k.Graph()
	d := k.Shape().Dimensions
	along := func(shape []int, axis int) *Node {
		return Iota(g, shapes.Make(dtypes.Int32, append(shape, 1)...), axis)
	}
	rows := []int{d[0], d[1], d[2]}
	places := Add(along(rows, 2), Reshape(starts, d[0], 1, 1, 1))
	at := Concatenate([]*Node{along(rows, 0), along(rows, 1), places}, 3)
	v = ScatterSum(c.V, Reshape(at, d[0]*d[1]*d[2], 3), Reshape(v, d[0]*d[1]*d[2], d[3]), false, true)
	n := d[0] * d[1] * d[2] * d[3]
	places = BroadcastToDims(Reshape(places, d[0], d[1], d[2], 1, 1), d[0], d[1], d[2], d[3], 1)
	at = Concatenate([]*Node{along(d, 0), along(d, 1), along(d, 3), places}, 4)
	k = ScatterSum(c.K, Reshape(at, n, 4), Reshape(k, n), false, true)
	return KV{K: k, V: v}
}
