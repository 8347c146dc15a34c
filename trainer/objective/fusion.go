package objective

import (
	"fmt"
	"math"

	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/profuser/profuser/models/decoder"
)

// Divergences from teacher p to student q.
const (
	// KL is Σ p·(log p - log q).
	KL = "kl"
	// ReverseKL is Σ q·(log q - log p), with log p floored at log 1e-8.
	ReverseKL = "reverse_kl"
	// JSD is ½·KL(p‖m) + ½·KL(q‖m), m = ½(p+q).
	JSD = "jsd"
	// CE is -Σ p·log q.
	CE = "ce"
)

// What happens to the teacher's mass that is not stored.
const (
	// Bucket makes it one more outcome, on both sides.
	Bucket = "bucket"
	// Renormalize drops it and scales the stored probabilities up (FuseLLM's way).
	Renormalize = "renormalize"
)

// logFloor is the smallest log-probability of a rest bucket, and of a teacher in ReverseKL.
var logFloor = math.Log(1e-8)

// never stands for the log of zero where a finite number is needed.
const never = -1e30

// Teaching is how a student is drawn to sparse teachers.
type Teaching struct {
	// Divergence is KL, ReverseKL, JSD or CE. Default KL.
	Divergence string
	// Rest is Bucket or Renormalize. Default Bucket.
	Rest string
	// Temperature τ of both sides, positive; D is multiplied by τ². Default 1; of kind ALM 100, and D is multiplied by τ.
	Temperature float64
	// Kind is Fused (the default, "") or ALM.
	Kind string
}

// Validate names the first field that cannot be.
func (t Teaching) Validate() error {
	switch t.Divergence {
	case KL, ReverseKL, JSD, CE:
	default:
		return fmt.Errorf("objective.divergence: %q; kl, reverse_kl, jsd and ce are known", t.Divergence)
	}
	if t.Kind != "" && t.Kind != Fused && t.Kind != ALM {
		return fmt.Errorf("objective.kind: %q; fusion and alm are known", t.Kind)
	}
	if t.Rest != Bucket && t.Rest != Renormalize {
		return fmt.Errorf("objective.rest: %q; bucket and renormalize are known", t.Rest)
	}
	if !(t.Temperature > 0) || math.IsInf(t.Temperature, 0) {
		return fmt.Errorf("objective.temperature: %g, must be positive and finite", t.Temperature)
	}
	return nil
}

// Positions are what a batch says of its A predicting positions.
type Positions struct {
	// Gold [A] int32 are the text's tokens.
	Gold *Node
	// GoldWeight [A] scales the cross-entropy of each position in the loss.
	GoldWeight *Node
	// TeacherWeight [A] scales the divergence of each position; 0 where there is no teacher.
	TeacherWeight *Node
	// IDs [A, K] int32 are the teacher's stored tokens, padded with anything.
	IDs *Node
	// Probs [A, K] are their probabilities, 0 in padding, together at most 1 (Rest divides out what rounding adds). A
	// stored token has more than 0.
	Probs *Node
	// Rest [A] is the mass that is not stored, at least 0. It is an input because 1 - Σ Probs in float32 is not exact.
	Rest *Node
}

// Rest is the rest mass of stored probabilities, max(0, 1 - Σ p); a sum above 1, which rounding makes, is divided out of
// them in place.
func Rest(probs []float64) float64 {
	total := 0.0
	for _, p := range probs {
		total += p
	}
	if total <= 1 {
		return 1 - total
	}
	for i := range probs {
		probs[i] /= total
	}
	return 0
}

// Fusion is the loss of the fused target: the cross-entropy of the text and the divergence from the teacher, of kind ALM by
// chunks (see chunked), else
//
//	L = Σ_a goldWeight_a · (-log q_a(y_a)) + teacherWeight_a · D(p_a ‖ q_a)
//
// Rest Bucket: both sides are reduced to the k stored outcomes and the rest; at τ ≠ 1 the k+1 numbers are raised to 1/τ
// and renormalised on both sides. The student's rest is log1mexp(logsumexp(z at the ids) - logsumexp(z)), floored at
// log 1e-8 with zero gradient below. Rest Renormalize: the teacher is p^(1/τ) normalised over the stored ids, the student
// softmax(z/τ) over the whole vocabulary for KL and CE, over the stored ids for ReverseKL and JSD. D is multiplied by τ².
//
// Shapes: logits [A, V], and everything that is not an id of their type; results: the cross-entropies [A], the divergences [A] (garbage where nothing is stored) and the
// gradient of L at the logits [A, V]. Boundary cases: 0·log 0 = 0; a teacher that stores everything has an empty rest; a
// rest of 0 with a student's rest above it costs KL nothing. Stored ids must differ within a position.
//
// Source: L_SFT + β·L_KL of the ProFuser paper (spec/objective.md); Renormalize and CE after FuseLLM (Wan et al. 2024,
// arXiv 2401.10491), there over dense matrices and per packed block.
func Fusion(logits *Node, p Positions, t Teaching) (crossEntropy, divergence, gradient *Node) {
	if t.Kind == ALM {
		return chunked(logits, p, t)
	}
	a, k := p.IDs.Shape().Dimensions[0], p.IDs.Shape().Dimensions[1]
	gold := Reshape(p.Gold, a, 1)
	r := read(logits, Concatenate([]*Node{p.IDs, gold}, 1))
	at, goldAt := r.columns(0, k), r.columns(k, k+1)
	crossEntropy = Sub(r.lse, goldAt)
	hot := r
	if t.Rest == Renormalize && t.Temperature != 1 && (t.Divergence == KL || t.Divergence == CE) {
		hot = read(MulScalar(logits, 1/t.Temperature), p.IDs)
		at = hot.at
	}
	teacher, student := t.sides(p.Probs, Reshape(p.Rest, a, 1), at, hot.lse)
	divergence = MulScalar(t.diverge(teacher, student), t.Temperature*t.Temperature)
	column := func(x *Node) *Node { return Reshape(x, a, 1) }
	supervised := ReduceAllSum(Mul(column(p.GoldWeight), crossEntropy))
	// A position without a teacher may have anything in divergence: take it out before the product.
	taught := GreaterThan(column(p.TeacherWeight), ScalarZero(logits.Graph(), logits.DType()))
	taughtSum := ReduceAllSum(Mul(column(p.TeacherWeight), Where(taught, divergence, ZerosLike(divergence))))
	if hot == r {
		gradient = r.gradient(Add(supervised, taughtSum))
	} else {
		gradient = Add(r.gradient(supervised), MulScalar(hot.gradient(taughtSum), 1/t.Temperature))
	}
	return Reshape(crossEntropy, a), Reshape(divergence, a), gradient
}

// columns is a slice of what was read.
func (r *reading) columns(from, to int) *Node { return Slice(r.at, AxisRange(), AxisRange(from, to)) }

// side is one side's distribution over n outcomes: log-probs and probabilities [A, n], the latter 0 in padding.
type side struct{ log, p *Node }

// sides brings teacher and student to the same outcomes at the temperature.
func (t Teaching) sides(probs, rest, at, lse *Node) (teacher, student side) {
	g := probs.Graph()
	zero := ScalarZero(g, probs.DType())
	stored := GreaterThan(probs, zero)
	logP := logOf(probs)
	nowhere := MulScalar(OnesLike(probs), never)
	logQ := Where(stored, Sub(at, lse), nowhere)
	if t.Rest == Renormalize {
		logP = normalized(MulScalar(logP, 1/t.Temperature))
		if t.Divergence == ReverseKL || t.Divergence == JSD {
			logQ = normalized(Where(stored, MulScalar(at, 1/t.Temperature), nowhere))
		}
	} else {
		logP = Concatenate([]*Node{logP, logOf(rest)}, 1)
		logQ = Concatenate([]*Node{logQ, restOf(logQ)}, 1)
		room := Ones(g, shapes.Make(probs.DType(), probs.Shape().Dimensions[0], 1))
		stored = Concatenate([]*Node{stored, GreaterThan(room, zero)}, 1)
		if t.Temperature != 1 {
			logP, logQ = normalized(MulScalar(logP, 1/t.Temperature)), normalized(MulScalar(logQ, 1/t.Temperature))
		}
	}
	only := func(log *Node) side {
		return side{log, Where(stored, decoder.FastExp(MaxScalar(log, -80)), ZerosLike(log))}
	}
	teacher, student = only(logP), only(logQ)
	teacher.p = Where(GreaterThan(logP, MulScalar(OnesLike(logP), never/1e6)), teacher.p, ZerosLike(logP))
	return teacher, student
}

// logOf is log x, and never for 0.
func logOf(x *Node) *Node {
	positive := GreaterThan(x, ScalarZero(x.Graph(), x.DType()))
	return Where(positive, Log(MaxScalar(x, 1e-38)), MulScalar(OnesLike(x), never))
}

// logSumExp over the last axis, [A, 1]; the largest entry must be finite.
func logSumExp(x *Node) *Node {
	top := StopGradient(ReduceAndKeep(x, ReduceMax, -1))
	return Add(Log(ReduceAndKeep(decoder.FastExp(MaxScalar(Sub(x, top), -80)), ReduceSum, -1)), top)
}

// normalized is x minus its log-sum-exp.
func normalized(x *Node) *Node { return Sub(x, logSumExp(x)) }

// restOf is the log of what log-probs [A, k] leave to 1: log1mexp of their log-sum-exp, floored, without gradient at the
// floor. A position where nothing is stored leaves 1.
func restOf(logQ *Node) *Node {
	x := MinScalar(logSumExp(logQ), 0)
	g := x.Graph()
	full := GreaterOrEqual(x, Scalar(g, x.DType(), -1e-8))
	safe := Where(full, MulScalar(OnesLike(x), -1), x)
	rest := log1mexp(safe)
	floored := LogicalOr(full, LessThan(rest, Scalar(g, x.DType(), logFloor)))
	return Where(floored, MulScalar(OnesLike(x), logFloor), rest)
}

// log1mexp is log(1 - e^x) for x below 0, by the branch that is exact there.
func log1mexp(x *Node) *Node {
	near := GreaterThan(x, Scalar(x.Graph(), x.DType(), -math.Ln2))
	return Where(near, Log(Neg(decoder.FastExpm1(x))), Log1P(Neg(decoder.FastExp(MaxScalar(x, -80)))))
}

// diverge is D of the sides, [A, 1].
func (t Teaching) diverge(teacher, student side) *Node {
	sum := func(weight, x *Node) *Node {
		zero := ScalarZero(x.Graph(), x.DType())
		return ReduceAndKeep(Where(GreaterThan(weight, zero), Mul(weight, x), ZerosLike(x)), ReduceSum, -1)
	}
	finite := func(log *Node) *Node { return MaxScalar(log, -80) }
	switch t.Divergence {
	case CE:
		return Neg(sum(teacher.p, finite(student.log)))
	case ReverseKL:
		return sum(student.p, Sub(finite(student.log), MaxScalar(teacher.log, logFloor)))
	case JSD:
		middle := logOf(MulScalar(Add(teacher.p, student.p), 0.5))
		return MulScalar(Add(sum(teacher.p, Sub(finite(teacher.log), finite(middle))), sum(student.p, Sub(finite(student.log), finite(middle)))), 0.5)
	}
	return sum(teacher.p, Sub(finite(teacher.log), finite(student.log)))
}
