package merge

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestSelection compares with a sort: random numbers, few values, all equal, zeros, subnormals.
func TestSelection(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for trial := range 60 {
		n := 1 + r.IntN(3*piece)
		x := make([]float32, n)
		for i := range x {
			switch trial % 4 {
			case 0:
				x[i] = float32(r.NormFloat64())
			case 1:
				x[i] = float32(r.IntN(3) - 1)
			case 2:
				x[i] = math.Float32frombits(r.Uint32() & 0x807fffff)
			case 3:
				x[i] = -0.5
			}
		}
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		magnitude := func(i int) float64 { return math.Abs(float64(x[i])) }
		slices.SortStableFunc(order, func(a, b int) int {
			switch {
			case magnitude(a) > magnitude(b):
				return -1
			case magnitude(a) < magnitude(b):
				return 1
			}
			return 0
		})
		k := r.IntN(n + 2)
		want := make([]bool, n)
		for _, i := range order[:min(n, k)] {
			want[i] = true
		}
		m := magnitudes{keeps: newSelection(n, k, 1)}
		for m.next() {
			for at := 0; at < n; at += piece {
				m.scan(0, at, x[at:min(n, at+piece)])
			}
		}
		for at := 0; at < n; at += piece {
			d := make([]float32, min(piece, n-at))
			for i := range d {
				d[i] = x[at+i]
			}
			m.drop(0, at, d)
			for i, v := range d {
				if x[at+i] != 0 && (v != 0) != want[at+i] {
					t.Fatalf("trial %d: element %d (%v) of %d kept is %v, want %v", trial, at+i, x[at+i], k, v != 0, want[at+i])
				}
			}
		}
	}
}

// TestDare: the right share is kept, rescaled right; models, tensors and seeds have masks of their own, the same each time.
func TestDare(t *testing.T) {
	const n = 200_000
	x := data(8, 2, n)
	for i := range x[1] {
		x[1][i] = x[0][i] + float32(math.Copysign(0.25+math.Abs(float64(x[1][i]))/8, float64(x[1][i])))
	}
	var differences float64
	for i := range x[0] {
		differences += math.Abs(float64(x[1][i] - x[0][i]))
	}
	kept := func(in Tensor, method string) (mask []bool, share, sum float64) {
		out := run(t, method, in, x, 8192)
		mask = make([]bool, n)
		for i, v := range out {
			if mask[i] = v != x[0][i]; mask[i] {
				share += 1.0 / n
			}
			sum += math.Abs(float64(v) - float64(x[0][i]))
		}
		return mask, share, sum
	}
	dare := func(name string, seed uint64, density, rescale float64) Tensor {
		return Tensor{Name: name, Shape: []int{n}, Seed: seed, Base: 0, Shared: Settings{"rescale": rescale, "lambda": 1, "normalize": 0}, Inputs: []Settings{{}, {"weight": 1, "density": density}}}
	}
	for _, density := range []float64{0.1, 0.5, 0.9} {
		_, share, sum := kept(dare("w", 1, density, 1), "dare_linear")
		if deviation := math.Sqrt(density * (1 - density) / n); math.Abs(share-density) > 5*deviation {
			t.Errorf("density %v keeps %v", density, share)
		}
		if math.Abs(sum/differences-1) > 1e-3 {
			t.Errorf("density %v, l1: magnitudes sum up to %v of those before", density, sum/differences)
		}
		_, share, sum = kept(dare("w", 1, density, 3), "dare_ties")
		if math.Abs(sum/differences-1) > 0.02 {
			t.Errorf("density %v, inverse_density: magnitudes sum up to %v of those before, %v kept", density, sum/differences, share)
		}
		_, _, sum = kept(dare("w", 1, density, 0), "dare_linear")
		if math.Abs(sum/differences-density) > 0.02 {
			t.Errorf("density %v, no rescale: magnitudes sum up to %v of those before", density, sum/differences)
		}
	}
	first, _, _ := kept(dare("w", 1, 0.5, 1), "dare_linear")
	for name, other := range map[string]Tensor{"another seed": dare("w", 2, 0.5, 1), "another tensor": dare("v", 1, 0.5, 1)} {
		mask, _, _ := kept(other, "dare_linear")
		same := 0
		for i := range mask {
			if mask[i] == first[i] {
				same++
			}
		}
		if math.Abs(float64(same)/n-0.5) > 0.01 {
			t.Errorf("%s: %v of the mask is the same, want a half", name, float64(same)/n)
		}
	}
	if maskKey(1, "w", 1) == maskKey(1, "w", 2) {
		t.Error("two models have one mask")
	}
}

// TestDella: larger magnitudes are kept more often, from density - epsilon to density + epsilon.
func TestDella(t *testing.T) {
	const rows, row = 2000, 50
	r := rand.New(rand.NewPCG(4, 4))
	x := [][]float32{make([]float32, rows*row), make([]float32, rows*row)}
	for i := range x[1] {
		x[1][i] = float32(1+i%row) * float32(1-2*r.IntN(2))
	}
	in := Tensor{Name: "w", Shape: []int{rows, row}, Base: 0, Shared: Settings{"rescale": 0, "lambda": 1, "normalize": 0}, Inputs: []Settings{{}, {"weight": 1, "density": 0.5, "epsilon": 0.3}}}
	out := run(t, "della_linear", in, x, 5000)
	for rank := range row {
		kept := 0.0
		for i := rank; i < len(out); i += row {
			if out[i] != 0 {
				kept++
			}
		}
		want := 0.2 + 0.6*float64(rank)/(row-1)
		if math.Abs(kept/rows-want) > 0.06 {
			t.Errorf("rank %d is kept with %v, want %v", rank, kept/rows, want)
		}
	}
}

// TestSlerp: the middle of two right-angled unit vectors, opposite and zero vectors.
func TestSlerp(t *testing.T) {
	half := float32(math.Sqrt(0.5))
	for name, c := range map[string]struct {
		x    [][]float32
		t    float64
		want []float32
	}{
		"right angle": {[][]float32{{1, 0}, {0, 1}}, 0.5, []float32{half, half}},
		"opposite":    {[][]float32{{1, 0}, {-1, 0}}, 0.25, []float32{0.5, 0}},
		"a zero":      {[][]float32{{0, 0}, {0, 2}}, 0.5, []float32{0, 2 * half}},
		"parallel":    {[][]float32{{1, 1}, {2, 2}}, 0.5, []float32{1.5, 1.5}},
		"other first": {[][]float32{{0, 1}, {1, 0}}, 0, []float32{1, 0}},
	} {
		in := Tensor{Name: "w", Shape: []int{2}, Shared: Settings{"t": c.t}, Inputs: []Settings{{}, {}}}
		if name == "other first" {
			in.Base = 1
		}
		got := run(t, "slerp", in, c.x, 100)
		for i := range got {
			if math.Abs(float64(got[i]-c.want[i])) > 1e-6 {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
		}
	}
}

// TestStock: equal differences give the models' mean, right-angled ones the base.
func TestStock(t *testing.T) {
	for _, c := range []struct{ x, want []float32 }{{[]float32{2, 0}, []float32{2, 0}}, {[]float32{0, 3}, []float32{0, 0}}} {
		x := [][]float32{{0, 0}, {2, 0}, c.x}
		in := Tensor{Name: "w", Shape: []int{2}, Inputs: []Settings{{}, {}, {}}}
		if got := run(t, "model_stock", in, x, 100); !slices.Equal(got, c.want) {
			t.Errorf("%v, want %v", got, c.want)
		}
	}
}

// TestRefusals: values that cannot be are errors that name the parameter.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		method       string
		shared, each Settings
		want         string
	}{
		{"ties", nil, Settings{"density": 0}, "density is 0"},
		{"dare_ties", nil, Settings{"density": -0.5}, "density is -0.5"},
		{"della", nil, Settings{"density": 0.9, "epsilon": 0.2}, "epsilon is 0.2"},
		{"breadcrumbs", nil, Settings{"density": 0.5, "gamma": 2}, "gamma is 2"},
		{"linear", nil, Settings{"weight": 0}, "add up to 0"},
		{"sce", Settings{"select_topk": 0}, nil, "select_topk is 0"},
	} {
		m, err := Lookup(c.method)
		if err != nil {
			t.Fatal(err)
		}
		in := example(c.method, c.shared, []int{10}, 1)
		for _, s := range in.Inputs {
			for k, v := range c.each {
				s[k] = v
			}
		}
		fill(m, &in)
		if _, err := m.New(in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %v %v: %v, want %q", c.method, c.shared, c.each, err, c.want)
		}
	}
	if _, err := Lookup("fisher"); err == nil || !strings.Contains(err.Error(), "task_arithmetic") {
		t.Errorf("%v does not list the methods", err)
	}
	m, _ := Lookup("slerp")
	for _, c := range []struct {
		inputs int
		base   bool
		want   string
	}{{2, false, "needs base_model"}, {3, true, "1 models besides the base, not 2"}, {2, true, ""}} {
		err := m.Check(c.inputs, c.base)
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("slerp of %d inputs: %v, want %q", c.inputs, err, c.want)
		}
	}
}

// TestParse: words and numbers as YAML gives them.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		p    Parameter
		v    any
		want float64
		ok   bool
	}{
		{weight, 1, 1, true},
		{weight, "1e-3", 1e-3, true},
		{weight, "much", 0, false},
		{weight, ".nan", 0, false},
		{int8Mask, true, 1, true},
		{int8Mask, "false", 0, true},
		{int8Mask, 1, 1, true},
		{int8Mask, 2, 0, false},
		{rescale(1), true, 1, true},
		{rescale(1), "l1", 2, true},
		{rescale(1), "inverse_density", 3, true},
		{rescale(1), "l2", 0, false},
	} {
		if got, err := c.p.Parse(c.v); (err == nil) != c.ok || got != c.want {
			t.Errorf("%s: %v is %v, %v, want %v", c.p.Name, c.v, got, err, c.want)
		}
	}
}

// BenchmarkMethods merges a million elements of bfloat16 numbers, in memory.
func BenchmarkMethods(b *testing.B) {
	const n = 1 << 20
	r := rand.New(rand.NewPCG(1, 2))
	x := make([][]float32, 3)
	for i := range x {
		x[i] = make([]float32, n)
		for j := range x[i] {
			v := float32(r.NormFloat64() * 0.02)
			if i > 0 {
				v = x[0][j] + float32(r.NormFloat64()*0.002)
			}
			x[i][j] = math.Float32frombits(math.Float32bits(v) &^ 0xffff)
		}
	}
	for _, method := range []string{"linear", "slerp", "task_arithmetic", "ties", "dare_ties", "sce"} {
		b.Run(method, func(b *testing.B) {
			b.SetBytes(n)
			for b.Loop() {
				in := example(method, nil, []int{1024, 1024}, 1)
				in.Inputs = in.Inputs[:min(3, len(in.Inputs))]
				in.Shared["rescale"] = 0
				run(b, method, in, x[:len(in.Inputs)], 1<<16)
			}
		})
	}
}
