package optim

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/models/safetensors"
)

// TestBFloat16Moments gives the same gradients to both kinds of moments, more of them than a piece: the moments stay
// within what rounding may add up to, 2⁻⁸/(1-β) of the largest, and take half the bytes.
func TestBFloat16Moments(t *testing.T) {
	const n = 2*piece + 37
	wide, narrow := Default(), Default()
	narrow.Moments = BFloat16
	a, b := wide.NewParameter("w", n, 2), narrow.NewParameter("w", n, 2)
	if a.First.DType() != safetensors.F32 || b.First.DType() != safetensors.BF16 || 2*len(b.Second.narrow) != 4*len(a.Second.wide) || b.Second.Len() != n {
		t.Fatalf("types %s and %s, %d values in %d bytes", a.First.DType(), b.First.DType(), b.Second.Len(), len(b.Second.narrow))
	}
	r := rand.New(rand.NewPCG(1, 2))
	v, w := make([]float32, n), make([]float32, n)
	most := [2]float64{}
	for step := 1; step <= 60; step++ {
		g := make([]float32, n)
		for i := range g {
			g[i] = float32(r.NormFloat64() + math.Sin(float64(i)))
		}
		for _, x := range []struct {
			a AdamW
			p *Parameter
			w []float32
		}{{wide, a, v}, {narrow, b, w}} {
			if err := x.a.Update(x.p, x.w, g, step, 1e-2, 1); err != nil {
				t.Fatal(err)
			}
		}
		for i := range g {
			most[0], most[1] = max(most[0], math.Abs(float64(g[i]))), max(most[1], float64(g[i]*g[i]))
		}
	}
	for k, pair := range [][2]Moment{{a.First, b.First}, {a.Second, b.Second}} {
		x, y := pair[0].Values(), pair[1].Values()
		bound := most[k] / 256 / (1 - []float64{wide.Beta1, wide.Beta2}[k]) / 2
		var worst float64
		for i := range x {
			worst = max(worst, math.Abs(float64(x[i]-y[i])))
		}
		if worst > bound || worst == 0 {
			t.Errorf("moment %d is %g apart, want at most %g and more than nothing", k+1, worst, bound)
		}
	}
	var apart, way float64
	for i := range w {
		apart, way = apart+math.Abs(float64(v[i]-w[i])), way+math.Abs(float64(v[i]))
	}
	if apart > 0.02*way {
		t.Errorf("weights are %g apart after a way of %g", apart/n, way/n)
	}
}

// TestMomentsFollow: rounding does not hold a moment where it is. From any value, with a constant gradient, moments come
// as near to it as their comment says; a β2 of 0.999 would not.
func TestMomentsFollow(t *testing.T) {
	a := Default()
	a.Moments = BFloat16
	for _, start := range []float32{1e-6, 0.3, 7} {
		p := a.NewParameter("w", 1, 1)
		for _, m := range []Moment{p.First, p.Second} {
			if err := m.Set([]float32{start}); err != nil {
				t.Fatal(err)
			}
		}
		w := make([]float32, 1)
		for step := 1; step <= 400; step++ {
			if err := a.Update(p, w, []float32{1.7}, step, 1e-3, 1); err != nil {
				t.Fatal(err)
			}
		}
		if m := p.First.Values()[0]; math.Abs(float64(m)/1.7-1) > 0.04 {
			t.Errorf("from %g: the first moment is %g of 1.7", start, m)
		}
		if v := p.Second.Values()[0]; math.Abs(float64(v)/(1.7*1.7)-1) > 0.08 {
			t.Errorf("from %g: the second moment is %g of %g", start, v, 1.7*1.7)
		}
	}
	a.Beta2 = 0.999
	p := a.NewParameter("w", 1, 1)
	if err := p.Second.Set([]float32{7}); err != nil {
		t.Fatal(err)
	}
	if err := a.Update(p, make([]float32, 1), []float32{1.7}, 1, 1e-3, 1); err != nil {
		t.Fatal(err)
	}
	if v := p.Second.Values()[0]; v != 7 {
		t.Errorf("with β2 = 0.999 the second moment moves from 7 to %g: the reason for nearest rounding no longer holds", v)
	}
}

// TestMomentValues: what is set comes back, rounded to the type.
func TestMomentValues(t *testing.T) {
	for dtype, want := range map[string][]float32{Float32: {1.0001, -3, 0}, BFloat16: {1, -3, 0}} {
		m := newMoment(3, dtype)
		if err := m.Set([]float32{1.0001, -3, 0}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, m.Values()); diff != "" {
			t.Errorf("%s: %s", dtype, diff)
		}
		if err := m.Set([]float32{1}); err == nil {
			t.Errorf("%s: one value for three is accepted", dtype)
		}
	}
}
