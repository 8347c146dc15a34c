package objective

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// text is a text's positions in chunks.
type text struct {
	a, v                      int
	logits                    []float32
	gold, first               []int32
	logProbs                  []float32
	goldWeight, teacherWeight []float32
}

// newText has chunks of one to four positions, some of them sure, some impossible, one without a teacher, and padding.
func newText(seed uint64, sharp float64) text {
	r := rand.New(rand.NewPCG(seed, 11))
	x := text{a: 12, v: 9}
	for range x.a * x.v {
		x.logits = append(x.logits, float32(sharp*r.NormFloat64()))
	}
	x.first = []int32{0, 1, 1, 1, 4, 5, 5, 7, 7, 7, 7, 11} // the last is padding
	for i := range x.a {
		x.gold = append(x.gold, r.Int32N(int32(x.v)))
		x.goldWeight = append(x.goldWeight, r.Float32())
		x.logProbs = append(x.logProbs, 0)
		x.teacherWeight = append(x.teacherWeight, 0)
		if int(x.first[i]) == i && i < x.a-1 {
			x.logProbs[i], x.teacherWeight[i] = float32(-4*r.ExpFloat64()), r.Float32()
		}
	}
	x.goldWeight[x.a-1] = 0
	x.logProbs[4] = [3]float32{0, 1e-6, -300}[seed%3]
	x.teacherWeight[5] = 0
	return x
}

// run computes the loss of a text on the backend.
func (x text) run(t testing.TB, teaching Teaching) (crossEntropy, divergence, gradient []float32) {
	e := MustNewExec(backend(t), func(in []*Node) []*Node {
		ce, d, g := Fusion(in[0], Positions{Gold: in[1], GoldWeight: in[2], TeacherWeight: in[3], IDs: in[4], Probs: in[5], Rest: in[6]}, teaching)
		return []*Node{ce, d, g}
	})
	out := e.MustCall(tensors.FromFlatDataAndDimensions(x.logits, x.a, x.v), tensors.FromFlatDataAndDimensions(x.gold, x.a),
		tensors.FromFlatDataAndDimensions(x.goldWeight, x.a), tensors.FromFlatDataAndDimensions(x.teacherWeight, x.a),
		tensors.FromFlatDataAndDimensions(x.first, x.a, 1), tensors.FromFlatDataAndDimensions(x.logProbs, x.a, 1), tensors.FromFlatDataAndDimensions(make([]float32, x.a), x.a))
	return tensors.MustCopyFlatData[float32](out[0]), tensors.MustCopyFlatData[float32](out[1]), tensors.MustCopyFlatData[float32](out[2])
}

// oracle computes the same in float64 and plain Go: cross-entropies, divergences by chunk, and the loss.
func (x text) oracle(z []float64, t Teaching) (crossEntropy, divergence []float64, loss float64) {
	crossEntropy, divergence = make([]float64, x.a), make([]float64, x.a)
	ofChunk := make([]float64, x.a)
	for i := range x.a {
		row, top, sum := z[i*x.v:(i+1)*x.v], math.Inf(-1), 0.0
		for _, l := range row {
			top = max(top, l)
		}
		for _, l := range row {
			sum += math.Exp(l - top)
		}
		crossEntropy[i] = top + math.Log(sum) - row[x.gold[i]]
		ofChunk[x.first[i]] -= crossEntropy[i]
		loss += float64(x.goldWeight[i]) * crossEntropy[i]
	}
	for i := range x.a {
		lp := [2][2]float64{}
		for side, log := range []float64{float64(x.logProbs[i]), ofChunk[i]} {
			l := min(0, log)/t.Temperature - 1e-6
			lp[side] = [2]float64{l, math.Log(-math.Expm1(l))}
		}
		for k := range 2 {
			p, q := lp[0][k], lp[1][k]
			m := math.Log((math.Exp(p) + math.Exp(q)) / 2)
			switch t.Divergence {
			case KL:
				divergence[i] += math.Exp(p) * (p - q)
			case ReverseKL:
				divergence[i] += math.Exp(q) * (q - max(p, math.Log(1e-8)))
			case CE:
				divergence[i] -= math.Exp(p) * q
			case JSD:
				divergence[i] += 0.5*math.Exp(p)*(p-m) + 0.5*math.Exp(q)*(q-m)
			}
		}
		divergence[i] *= t.Temperature
		loss += float64(x.teacherWeight[i]) * divergence[i]
	}
	return crossEntropy, divergence, loss
}

func TestChunksAgainstOracle(t *testing.T) {
	for _, divergence := range []string{KL, ReverseKL, JSD, CE} {
		for _, temperature := range []float64{1, 5, 100} {
			t.Run(fmt.Sprintf("%s %g", divergence, temperature), func(t *testing.T) {
				teaching := Teaching{Divergence: divergence, Rest: Bucket, Temperature: temperature, Kind: ALM}
				for seed := range uint64(3) {
					compareChunks(t, newText(seed, 1+2*float64(seed)), teaching)
				}
			})
		}
	}
}

// compareChunks checks values and, by central differences of the oracle, the gradient at every logit.
func compareChunks(t *testing.T, x text, teaching Teaching) {
	t.Helper()
	crossEntropy, divergence, gradient := x.run(t, teaching)
	z := make([]float64, len(x.logits))
	for i, l := range x.logits {
		z[i] = float64(l)
	}
	ce, d, _ := x.oracle(z, teaching)
	for i := range x.a {
		if math.Abs(ce[i]-float64(crossEntropy[i])) > 1e-6*(1+ce[i]) {
			t.Errorf("position %d: cross-entropy %g, want %g", i, crossEntropy[i], ce[i])
		}
		if x.teacherWeight[i] > 0 && math.Abs(d[i]-float64(divergence[i])) > closeTo*(1+math.Abs(d[i])) {
			t.Errorf("chunk at %d: divergence %g, want %g", i, divergence[i], d[i])
		}
	}
	for j := range z {
		const h = 1e-5
		at := z[j]
		z[j] = at + h
		_, _, up := x.oracle(z, teaching)
		z[j] = at - h
		_, _, down := x.oracle(z, teaching)
		z[j] = at
		want, got := (up-down)/(2*h), float64(gradient[j])
		if math.Abs(want-got) > closeTo*(1+math.Abs(want)) {
			t.Errorf("position %d: gradient at logit %d is %g, want %g", j/x.v, j%x.v, got, want)
		}
	}
}

// TestChunksLimit: at a high temperature the divergence is the one of nats that the comment of chunked gives.
func TestChunksLimit(t *testing.T) {
	x := newText(2, 1)
	x.logProbs[4] = -2
	ce, d, _ := x.run(t, Teaching{Divergence: KL, Rest: Bucket, Temperature: 3000, Kind: ALM})
	nats := make([]float64, x.a)
	for i, c := range ce {
		nats[x.first[i]] += float64(c)
	}
	for i := range x.a {
		if x.teacherWeight[i] == 0 {
			continue
		}
		p, q := -float64(x.logProbs[i]), nats[i]
		if want := q - p + p*math.Log(p/q); math.Abs(want-float64(d[i])) > 1e-2*(1+want) {
			t.Errorf("chunk at %d: divergence %g of %g and %g nats, the limit is %g", i, d[i], p, q, want)
		}
	}
}
