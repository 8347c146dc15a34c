package fusing

import (
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/trainer/loop"
	"github.com/profuser/profuser/trainer/objective"
)

// positions names a micro-batch's tensors after the tokens and the index.
func positions(in []*Node) objective.Positions {
	return objective.Positions{Gold: in[2], GoldWeight: in[3], TeacherWeight: in[4], IDs: in[5], Probs: in[6], Rest: in[7]}
}

// fusionModel is the graph of a micro-batch; it reports cross-entropies and divergences [A].
func fusionModel(c decoder.Config, t objective.Teaching) loop.Build {
	return func(scope *model.Scope, in []*Node) ([]*Node, map[string]*Node) {
		network := loop.NewNetwork(scope, c, in[0])
		logits, backward := network.Rows(in[1], "")
		crossEntropy, divergence, gradient := objective.Fusion(logits, positions(in), t)
		backward(gradient)
		return []*Node{crossEntropy, divergence}, network.Gradients()
	}
}

// fusionLosses is the same without gradients.
func fusionLosses(c decoder.Config, t objective.Teaching) func(scope *model.Scope, in []*Node) []*Node {
	return func(scope *model.Scope, in []*Node) []*Node {
		logits, _ := loop.NewNetwork(scope, c, in[0]).Rows(in[1], "")
		crossEntropy, divergence, _ := objective.Fusion(logits, positions(in), t)
		return []*Node{crossEntropy, divergence}
	}
}
