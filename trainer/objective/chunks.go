package objective

import (
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/profuser/profuser/models/decoder"
)

// Kinds of objectives.
const (
	// Fused compares the distributions over the next token, position by position.
	Fused = "fusion"
	// ALM compares the likelihoods of the chunks that both tokenisations share.
	ALM = "alm"
)

// tie is subtracted from a chunk's log-probability over the temperature, so that one of probability 1 keeps a complement.
const tie = 1e-6

// chunked is the loss by likelihood matching: the cross-entropy of the text and, for each chunk of it, the divergence from
// the teacher between "this chunk" and "anything else".
//
//	log q(c) = Σ_{a in c} log q_a(y_a)
//	x = min(0, log p(c))/τ - ε,  y = min(0, log q(c))/τ - ε,  ε = 1e-6
//	L = Σ_a goldWeight_a · (-log q_a(y_a)) + Σ_c teacherWeight_c · τ · D((e^x, 1 - e^x) ‖ (e^y, 1 - e^y))
//
// D is the Teaching's divergence; its Rest does not matter. At τ → ∞ and KL the second sum tends to Y - X + X·log(X/Y) of
// the nats X = -log p(c) and Y = -log q(c).
//
// Shapes: logits [A, V]; p.IDs [A, 1] is the row at which the chunk of each row begins, its own where it has none; p.Probs
// [A, 1] is the teacher's log-probability of the chunk that begins there; p.TeacherWeight is 0 elsewhere. Results as in
// Fusion, with a chunk's divergence at its first row. Boundary cases: a chunk of probability 1 or of vanishing probability
// has a finite divergence; a log-prob above 0 counts as 0.
//
// Source: Minixhofer et al. 2025 (arXiv 2503.20083), equation 3, with ε as in their code. They weigh parts of the loss by the sizes of
// their gradients; here D is multiplied by τ instead, so that β means the same at any temperature. Without their
// debiasing of chunks.
func chunked(logits *Node, p Positions, t Teaching) (crossEntropy, divergence, gradient *Node) {
	a := p.Gold.Shape().Dimensions[0]
	column := func(x *Node) *Node { return Reshape(x, a, 1) }
	r := read(logits, column(p.Gold))
	crossEntropy = Sub(r.lse, r.at)
	ofChunk := Neg(ScatterSum(ZerosLike(crossEntropy), p.IDs, crossEntropy, false, false))
	divergence = MulScalar(t.diverge(t.outcome(p.Probs), t.outcome(ofChunk)), t.Temperature)
	taught := GreaterThan(column(p.TeacherWeight), ScalarZero(logits.Graph(), logits.DType()))
	loss := Add(ReduceAllSum(Mul(column(p.GoldWeight), crossEntropy)),
		ReduceAllSum(Mul(column(p.TeacherWeight), Where(taught, divergence, ZerosLike(divergence)))))
	return Reshape(crossEntropy, a), Reshape(divergence, a), r.gradient(loss)
}

// outcome is the distribution over a chunk of log-probability logP [A, 1] and anything else.
func (t Teaching) outcome(logP *Node) side {
	x := AddScalar(MulScalar(MinScalar(logP, 0), 1/t.Temperature), -tie)
	return side{
		log: Concatenate([]*Node{x, log1mexp(x)}, 1),
		p:   Concatenate([]*Node{decoder.FastExp(MaxScalar(x, -80)), Neg(decoder.FastExpm1(MaxScalar(x, -80)))}, 1),
	}
}
