package objective

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/profuser/profuser/models/decoder"
)

// reading is what a loss may see of the logits: values at chosen ids and the log-sum-exp, both cut off from what made the logits.
type reading struct {
	logits  *Node // [A, V]
	index   *Node // [A·K, 2] rows and ids
	softmax *Node // [A, V], nil where gradient makes it anew
	at      *Node // [A, K] logits at the ids
	lse     *Node // [A, 1]
}

// read gathers logits [A, V] at ids [A, K]. On the Go backend lse is max z - log max softmax(z), which needs no second
// exponential.
func read(logits, ids *Node) *reading {
	logits = StopGradient(logits)
	d := ids.Shape().Dimensions
	n := d[0] * d[1]
	rows := Reshape(Iota(ids.Graph(), shapes.Make(dtypes.Int32, d[0], d[1]), 0), n, 1)
	r := &reading{logits: logits, index: Concatenate([]*Node{rows, Reshape(ids, n, 1)}, 1)}
	r.at = Reshape(Gather(logits, r.index), d[0], d[1])
	if ids.Graph().Backend().Name() != decoder.GoBackend { // a compiler fuses this: nothing of [A, V] is kept but the logits
		top := ReduceAndKeep(logits, ReduceMax, -1)
		r.lse = Add(Log(ReduceAndKeep(Exp(Sub(logits, top)), ReduceSum, -1)), top)
		return r
	}
	r.softmax = Softmax(logits, -1)
	r.lse = Sub(ReduceAndKeep(logits, ReduceMax, -1), Log(ReduceAndKeep(r.softmax, ReduceMax, -1)))
	return r
}

// gradient is dLoss/dlogits [A, V] of a scalar loss that was computed from at and lse.
func (r *reading) gradient(loss *Node) *Node {
	g := Gradient(loss, r.at, r.lse)
	n := r.at.Shape().Size()
	softmax := r.softmax
	if softmax == nil {
		softmax = Exp(Sub(r.logits, StopGradient(r.lse)))
	}
	return ScatterSum(Mul(softmax, g[1]), r.index, Reshape(g[0], n), false, false)
}

// Backward is a scalar whose gradient with respect to logits is exactly gradient (both [A, V]). Its value is meaningless:
// it exists to be differentiated, so the backend never computes it.
func Backward(logits, gradient *Node) *Node {
	return ReduceAllSum(IdentityWithCustomGradient(logits, func(_, _ *Node) *Node { return gradient }))
}
