package memory

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/trainer/loop"
)

// Pass is what one run of a micro-batch's graph holds.
type Pass struct {
	// Peak is the most that inputs, intermediate values and results hold at a time, weights not counted, in bytes.
	Peak int64
	// Constants are values that belong to the compiled graph and stay for the next run, in bytes.
	Constants int64
}

// PassOf builds the graph of a micro-batch with inputs of these shapes, over a store whose variables need no values, and
// follows its buffers. What building panics with becomes an error.
func PassOf(backend compute.Backend, store *model.Store, build loop.Build, inputs []shapes.Shape) (p Pass, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("building the training graph to estimate its memory: %v", r)
		}
	}()
	g := graph.NewGraph(backend, "memory estimate")
	defer g.Finalize()
	var parameters []*graph.Node
	for i, shape := range inputs {
		parameters = append(parameters, graph.Parameter(g, fmt.Sprintf("input %d", i), shape))
		p.Peak += int64(shape.ByteSize())
	}
	outputs, gradients := build(store.RootScope(), parameters)
	for v := range store.IterVariables() {
		if !v.Trainable {
			continue
		}
		gradient := gradients[decoder.TensorName(v.Path())]
		if gradient == nil {
			gradient = graph.Zeros(g, v.Shape())
		}
		outputs = append(outputs, gradient)
	}
	peak, constants := follow(outputs)
	return Pass{Peak: p.Peak + peak, Constants: constants}, nil
}

// follow runs the nodes that outputs need in the Go backend's order and returns the most that was alive.
func follow(outputs []*graph.Node) (peak, constants int64) {
	uses, order := schedule(outputs)
	var alive int64
	for _, n := range order {
		size := bytesOf(n)
		switch n.Type() {
		case graph.NodeTypeParameter:
			continue
		case graph.NodeTypeConstant:
			constants += size
			continue
		}
		var freed int64
		reused := false
		for _, in := range n.Inputs() {
			uses[in]--
			if uses[in] > 0 || in.Type() == graph.NodeTypeParameter || in.Type() == graph.NodeTypeConstant {
				continue
			}
			freed += bytesOf(in)
			reused = reused || (bytesOf(in) == size && inPlace(n))
		}
		alive += size
		if reused {
			peak = max(peak, alive-size)
		} else {
			peak = max(peak, alive)
		}
		alive -= freed
	}
	return peak, constants
}

// bytesOf is the size of a node's results in the backend's buffers, which have two significant bits.
func bytesOf(n *graph.Node) int64 {
	if n.NumOutputs() != 1 {
		return 0 // its parts follow
	}
	size := int64(n.Shape().ByteSize())
	unit := int64(1)
	for unit*4 <= size {
		unit *= 2
	}
	return (size + unit - 1) / unit * unit
}

// moving are the beginnings of the names of operations that cannot write their result over their input.
var moving = []string{"Dot", "Transpose", "Concatenate", "Gather", "Slice", "Pad", "Broadcast", "Reduce", "Iota", "CumSum", "ArgMinMax", "Conv", "RNG", "FusedSoftmax", "FusedLayer"}

func inPlace(n *graph.Node) bool {
	name := n.Type().String()
	return !slices.ContainsFunc(moving, func(start string) bool { return strings.HasPrefix(name, start) })
}

// schedule lists the nodes that outputs need, those with the longest way to an output first, equal ones as they were made,
// and how often each is read; an output is read once more.
func schedule(outputs []*graph.Node) (uses map[*graph.Node]int, order []*graph.Node) {
	uses = map[*graph.Node]int{}
	var visit func(n *graph.Node)
	visit = func(n *graph.Node) {
		if uses[n]++; uses[n] > 1 {
			return
		}
		order = append(order, n)
		for _, in := range n.Inputs() {
			visit(in)
		}
	}
	for _, n := range outputs {
		visit(n)
	}
	slices.SortFunc(order, func(a, b *graph.Node) int { return int(a.Id()) - int(b.Id()) })
	way := map[*graph.Node]int{}
	for _, n := range slices.Backward(order) {
		for _, in := range n.Inputs() {
			way[in] = max(way[in], way[n]+1)
		}
	}
	slices.SortStableFunc(order, func(a, b *graph.Node) int { return way[b] - way[a] })
	return uses, order
}
