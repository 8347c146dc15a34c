package objective

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute"
	_ "github.com/gomlx/compute/gobackend"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

func backend(t testing.TB) compute.Backend {
	b, err := compute.NewWithConfig("go:ops_sequential")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sample is a batch of positions, some of them at the boundaries.
type sample struct {
	a, v, k                   int
	logits                    []float32
	gold, ids                 []int32
	probs, rest               []float32
	goldWeight, teacherWeight []float32
}

func newSample(seed uint64, sharp float64) sample {
	r := rand.New(rand.NewPCG(seed, 7))
	s := sample{a: 9, v: 13, k: 4}
	for range s.a * s.v {
		s.logits = append(s.logits, float32(sharp*r.NormFloat64()))
	}
	for i := range s.a {
		s.gold = append(s.gold, r.Int32N(int32(s.v)))
		s.goldWeight = append(s.goldWeight, r.Float32())
		s.teacherWeight = append(s.teacherWeight, r.Float32())
		order, left := r.Perm(s.v), 1.0
		n := 1 + r.IntN(s.k)
		for j := range s.k {
			p := 0.0
			switch {
			case j >= n:
			case j == n-1 && i%3 == 0:
				p = left // nothing is left for the rest
			default:
				p = left * (0.2 + 0.6*r.Float64())
			}
			left -= p
			s.ids = append(s.ids, int32(order[j]))
			s.probs = append(s.probs, float32(p))
		}
	}
	s.probs[0] *= 1.004 // rounding may make more than one
	for j := range s.k {
		s.probs[s.k+j] = 0 // a position without teacher
	}
	s.teacherWeight[1] = 0
	for i := range s.a {
		p := make([]float64, s.k)
		for j := range p {
			p[j] = float64(s.probs[i*s.k+j])
		}
		s.rest = append(s.rest, float32(Rest(p)))
		for j := range p {
			s.probs[i*s.k+j] = float32(p[j])
		}
	}
	return s
}

func (s sample) run(t testing.TB, teaching Teaching) (crossEntropy, divergence, gradient []float32) {
	out := runAs[float32](t, s, teaching)
	return out[0], out[1], out[2]
}

// runAs runs the loss with all its numbers in one type: cross-entropies, divergences and the gradient.
func runAs[F float32 | float64](t testing.TB, s sample, teaching Teaching) (results [][]F) {
	e := MustNewExec(backend(t), func(in []*Node) []*Node {
		ce, d, g := Fusion(in[0], Positions{Gold: in[1], GoldWeight: in[2], TeacherWeight: in[3], IDs: in[4], Probs: in[5], Rest: in[6]}, teaching)
		return []*Node{ce, d, g}
	})
	wide := func(x []float32, dims ...int) *tensors.Tensor {
		y := make([]F, len(x))
		for i := range x {
			y[i] = F(x[i])
		}
		return tensors.FromFlatDataAndDimensions(y, dims...)
	}
	out := e.MustCall(wide(s.logits, s.a, s.v), tensors.FromFlatDataAndDimensions(s.gold, s.a), wide(s.goldWeight, s.a), wide(s.teacherWeight, s.a),
		tensors.FromFlatDataAndDimensions(s.ids, s.a, s.k), wide(s.probs, s.a, s.k), wide(s.rest, s.a))
	for _, x := range out {
		results = append(results, tensors.MustCopyFlatData[F](x))
	}
	return results
}

// position gives one position to the oracle, padding left out.
func (s sample) position(i int, z []float64, teaching Teaching) (crossEntropy, divergence float64) {
	var ids []int
	var probs []float64
	for j := range s.k {
		if p := s.probs[i*s.k+j]; p > 0 {
			ids = append(ids, int(s.ids[i*s.k+j]))
			probs = append(probs, float64(p))
		}
	}
	ce, d := oracle(z, int(s.gold[i]), ids, probs, float64(s.rest[i]), teaching)
	if len(ids) == 0 {
		d = 0
	}
	return ce, d
}

func (s sample) row(i int) []float64 {
	z := make([]float64, s.v)
	for j := range z {
		z[j] = float64(s.logits[i*s.v+j])
	}
	return z
}

func TestFusionAgainstOracle(t *testing.T) {
	for _, divergence := range []string{KL, ReverseKL, JSD, CE} {
		for _, rest := range []string{Bucket, Renormalize} {
			for _, temperature := range []float64{1, 2} {
				teaching := Teaching{Divergence: divergence, Rest: rest, Temperature: temperature}
				t.Run(fmt.Sprintf("%s %s %g", divergence, rest, temperature), func(t *testing.T) {
					for seed := range uint64(3) {
						compare(t, newSample(seed, 1+2*float64(seed)), teaching)
					}
				})
			}
		}
	}
}

// closeTo is how near float32 comes to the oracle; most combinations come within 1e-6. Differences of nearly equal numbers
// cost more: a small rest of the student, the middle of JSD at a high temperature. In float64 all come within exactly.
const (
	closeTo = 5e-6
	exactly = 1e-6
)

// compare checks values and, by central differences of the oracle, the gradient at every logit, in both types.
func compare(t *testing.T, s sample, teaching Teaching) {
	t.Helper()
	near(t, s, teaching, runAs[float32](t, s, teaching), closeTo)
	near(t, s, teaching, runAs[float64](t, s, teaching), exactly)
}

func near[F float32 | float64](t *testing.T, s sample, teaching Teaching, results [][]F, tolerance float64) {
	t.Helper()
	crossEntropy, divergence, gradient := results[0], results[1], results[2]
	for i := range s.a {
		z := s.row(i)
		ce, d := s.position(i, z, teaching)
		if math.Abs(ce-float64(crossEntropy[i])) > 1e-6*(1+ce) {
			t.Errorf("%T, position %d: cross-entropy %g, want %g", F(0), i, crossEntropy[i], ce)
		}
		if s.teacherWeight[i] > 0 && math.Abs(d-float64(divergence[i])) > tolerance*(1+math.Abs(d)) {
			t.Errorf("%T, position %d: divergence %g, want %g", F(0), i, divergence[i], d)
		}
		loss := func() float64 {
			ce, d := s.position(i, z, teaching)
			return float64(s.goldWeight[i])*ce + float64(s.teacherWeight[i])*d
		}
		for j := range z {
			const h = 1e-5
			at := z[j]
			z[j] = at + h
			up := loss()
			z[j] = at - h
			down := loss()
			z[j] = at
			want, got := (up-down)/(2*h), float64(gradient[i*s.v+j])
			if math.Abs(want-got) > tolerance*(1+math.Abs(want)) {
				t.Errorf("%T, position %d: gradient at logit %d is %g, want %g", F(0), i, j, got, want)
			}
		}
	}
}

// TestFusionFloor lets the student's rest vanish: it is floored and has no gradient.
func TestFusionFloor(t *testing.T) {
	s := sample{a: 1, v: 3, k: 1, logits: []float32{60, 0, 0}, gold: []int32{0}, ids: []int32{0}, probs: []float32{0.9}, rest: []float32{0.1}, goldWeight: []float32{0}, teacherWeight: []float32{1}}
	_, d, g := s.run(t, Teaching{Divergence: KL, Rest: Bucket, Temperature: 1})
	want := 0.9*math.Log(0.9) + 0.1*(math.Log(0.1)-math.Log(1e-8))
	if math.Abs(float64(d[0])-want) > 1e-5 {
		t.Errorf("divergence %g, want %g", d[0], want)
	}
	for i, x := range g {
		if math.Abs(float64(x)) > 1e-6 {
			t.Errorf("gradient %g at logit %d, want 0", x, i)
		}
	}
}

func TestTeachingValidate(t *testing.T) {
	for _, c := range []struct {
		teaching Teaching
		want     string
	}{
		{Teaching{Divergence: KL, Rest: Bucket, Temperature: 1}, ""},
		{Teaching{Divergence: "hellinger", Rest: Bucket, Temperature: 1}, `objective.divergence: "hellinger"; kl, reverse_kl, jsd and ce are known`},
		{Teaching{Divergence: KL, Rest: "drop", Temperature: 1}, `objective.rest: "drop"; bucket and renormalize are known`},
		{Teaching{Divergence: KL, Rest: Bucket, Temperature: 1, Kind: ALM}, ""},
		{Teaching{Divergence: KL, Rest: Bucket, Temperature: 1, Kind: "dpo"}, `objective.kind: "dpo"; fusion and alm are known`},
		{Teaching{Divergence: KL, Rest: Bucket, Temperature: 0}, `objective.temperature: 0, must be positive and finite`},
	} {
		got := ""
		if err := c.teaching.Validate(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%v: %q, want %q", c.teaching, got, c.want)
		}
	}
}
