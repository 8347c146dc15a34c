package objective

import (
	. "github.com/gomlx/gomlx/core/graph"
)

// CrossEntropy is the weighted sum of -log q(gold) over positions, in nats, and its gradient at the logits.
//
//	L = Σ_a weight_a · (lse(z_a) - z_a[gold_a]);   dL/dz_a = weight_a · (softmax(z_a) - 1[gold_a])
//
// Shapes: logits [A, V], gold [A] int32 in [0, V), weight [A] float32; the loss is a scalar, the gradient [A, V].
// A position of weight 0 counts nothing, whatever its gold. Logits must be finite.
//
// Source: the negative log-likelihood of a softmax, as in Goodfellow et al., Deep Learning (2016), 6.2.2.3.
func CrossEntropy(logits, gold, weight *Node) (loss, gradient *Node) {
	a := gold.Shape().Dimensions[0]
	r := read(logits, Reshape(gold, a, 1))
	loss = ReduceAllSum(Mul(Reshape(weight, a, 1), Sub(r.lse, r.at)))
	return loss, r.gradient(loss)
}
