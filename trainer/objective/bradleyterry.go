package objective

import (
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
)

// BradleyTerry is the loss of preference pairs, summed, the number of pairs that are ranked right, and the gradient at
// the scores.
//
//	L = Σ_i -log sigmoid(s_i - s_{n+i});   dL/ds_i = sigmoid(m_i) - 1 = -dL/ds_{n+i},  m_i = s_i - s_{n+i}
//
// Shapes: scores [2n, 1], the n chosen ones first, in the order of their rejected ones; loss and count are scalars, the
// gradient is [2n, 1]. A tie costs log 2 and is not ranked right.
// Source: Bradley and Terry 1952; as used for reward models by Ouyang et al. 2022 (arXiv 2203.02155), equation 1.
func BradleyTerry(scores *Node) (loss, right, gradient *Node) {
	n := scores.Shape().Dimensions[0] / 2
	margin := Sub(Slice(scores, AxisRange(0, n)), Slice(scores, AxisRange(n, 2*n)))
	right = ReduceAllSum(ConvertDType(GreaterThan(margin, ScalarZero(scores.Graph(), dtypes.Float32)), dtypes.Float32))
	// log(1 + e^-m) = max(-m, 0) + log(1 + e^-|m|), which neither overflows nor loses the small values.
	loss = ReduceAllSum(Add(MaxScalar(Neg(margin), 0), Log1P(Exp(Neg(Abs(margin))))))
	d := Neg(Sigmoid(Neg(margin)))
	return loss, right, Concatenate([]*Node{d, Neg(d)}, 0)
}
