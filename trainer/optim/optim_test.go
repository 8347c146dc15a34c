package optim

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestUpdateAgainstFloat64 runs 50 steps beside the formula in float64.
func TestUpdateAgainstFloat64(t *testing.T) {
	for _, decay := range []bool{false, true} {
		a := Default()
		const n, rate, scale = 40, 1e-2, 0.5
		p := a.NewParameter("w", n, 1)
		p.Decay = decay
		r := rand.New(rand.NewPCG(1, 1))
		w := make([]float32, n)
		want, m, v := make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range w {
			w[i] = float32(r.NormFloat64())
			want[i] = float64(w[i])
		}
		for step := 1; step <= 50; step++ {
			g := make([]float32, n)
			for i := range g {
				g[i] = float32(r.NormFloat64())
				x := float64(g[i]) * scale
				m[i] = a.Beta1*m[i] + (1-a.Beta1)*x
				v[i] = a.Beta2*v[i] + (1-a.Beta2)*x*x
				up := m[i] / (1 - math.Pow(a.Beta1, float64(step))) / (math.Sqrt(v[i]/(1-math.Pow(a.Beta2, float64(step)))) + a.Epsilon)
				if decay {
					up += a.WeightDecay * want[i]
				}
				want[i] -= rate * up
			}
			if err := a.Update(p, w, g, step, rate, scale); err != nil {
				t.Fatal(err)
			}
		}
		for i := range w {
			if math.Abs(float64(w[i])-want[i]) > 1e-5*(1+math.Abs(want[i])) {
				t.Errorf("decay %v: weight %d is %g, want %g", decay, i, w[i], want[i])
			}
		}
	}
}

func TestUpdateLengths(t *testing.T) {
	if err := Default().Update(Default().NewParameter("w", 3, 2), make([]float32, 3), make([]float32, 2), 1, 1, 1); err == nil {
		t.Error("two gradients for three weights are accepted")
	}
	if Default().NewParameter("norm", 3, 1).Decay || !Default().NewParameter("matrix", 3, 2).Decay {
		t.Error("matrices decay, norms do not")
	}
}

func TestNormAndClip(t *testing.T) {
	g := [][]float32{{3, 0, 0, 0, 0}, {4}}
	if got := Norm(g, 2); got != 10 {
		t.Errorf("norm %g, want 10", got)
	}
	if got := Default().ClipFactor(10); got != 0.1 {
		t.Errorf("factor %g, want 0.1", got)
	}
	if got := Default().ClipFactor(0.5); got != 1 {
		t.Errorf("factor %g, want 1", got)
	}
	if got := (AdamW{}).ClipFactor(1e9); got != 1 {
		t.Errorf("factor without clipping %g, want 1", got)
	}
	if n := Norm([][]float32{{float32(math.NaN())}}, 1); !math.IsNaN(n) {
		t.Errorf("norm of NaN is %g", n)
	}
}

func TestSchedule(t *testing.T) {
	s := Schedule{Peak: 2, Warmup: 4, Total: 104, Floor: 0.1}
	for _, c := range []struct {
		step int
		want float64
	}{{1, 0.5}, {4, 2}, {54, 1.1}, {104, 0.2}, {500, 0.2}} {
		if got := s.Rate(c.step); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("rate of step %d is %g, want %g", c.step, got, c.want)
		}
	}
	for step := 5; step <= 104; step++ {
		if s.Rate(step) >= s.Rate(step-1) {
			t.Errorf("the rate does not fall at step %d", step)
		}
	}
	if got := (Schedule{Peak: 1, Total: 1, Floor: 0.1}).Rate(1); got != 0.1 {
		t.Errorf("rate of the only step is %g, want 0.1", got)
	}
}
