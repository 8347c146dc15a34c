package objective

import (
	"math"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

func TestCrossEntropy(t *testing.T) {
	e := MustNewExec(backend(t), func(in []*Node) []*Node {
		loss, gradient := CrossEntropy(in[0], in[1], in[2])
		return []*Node{loss, gradient}
	})
	z := []float32{1, 2, -3, 80, -80, 0}
	out := e.MustCall(tensors.FromFlatDataAndDimensions(z, 2, 3), []int32{1, 2}, []float32{0.5, 2})
	lse := math.Log(math.Exp(1) + math.Exp(2) + math.Exp(-3))
	if got, want := float64(tensors.ToScalar[float32](out[0])), 0.5*(lse-2)+2*80; math.Abs(got-want) > 1e-5*want {
		t.Errorf("loss %g, want %g", got, want)
	}
	want := []float64{0.5 * math.Exp(1-lse), 0.5 * (math.Exp(2-lse) - 1), 0.5 * math.Exp(-3-lse), 2, 0, -2}
	for i, g := range tensors.MustCopyFlatData[float32](out[1]) {
		if math.Abs(float64(g)-want[i]) > 1e-6 {
			t.Errorf("gradient %d: %g, want %g", i, g, want[i])
		}
	}
}

func TestBradleyTerry(t *testing.T) {
	e := MustNewExec(backend(t), func(in []*Node) []*Node {
		loss, right, gradient := BradleyTerry(in[0])
		return []*Node{loss, right, gradient}
	})
	margins := []float64{0.5, 0, 100, -100}
	scores := make([]float32, 8)
	loss := 0.0
	for i, m := range margins {
		scores[i], scores[4+i] = float32(m), 0
		loss += math.Log1p(math.Exp(-math.Abs(m))) + max(-m, 0)
	}
	out := e.MustCall(tensors.FromFlatDataAndDimensions(scores, 8, 1))
	if got := float64(tensors.ToScalar[float32](out[0])); math.Abs(got-loss) > 1e-5*loss {
		t.Errorf("loss %g, want %g", got, loss)
	}
	if got := tensors.ToScalar[float32](out[1]); got != 2 {
		t.Errorf("%g ranked right, want 2", got)
	}
	for i, g := range tensors.MustCopyFlatData[float32](out[2]) {
		m := margins[i%4]
		want := 1/(1+math.Exp(-m)) - 1
		if i >= 4 {
			want = -want
		}
		if math.Abs(float64(g)-want) > 1e-6 {
			t.Errorf("gradient %d: %g, want %g", i, g, want)
		}
	}
}
