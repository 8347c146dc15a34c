package vector

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// sample is random numbers with zeros, equal magnitudes and subnormals among them.
func sample(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		switch r.IntN(10) {
		case 0:
		case 1:
			x[i] = float32(math.Copysign(0.5, r.NormFloat64()))
		case 2:
			x[i] = math.Float32frombits(r.Uint32() & 0x807fffff)
		case 3:
			x[i] = float32(math.Copysign(0, -1))
		default:
			x[i] = float32(r.NormFloat64())
		}
	}
	return x
}

// bits are the bits of slices and sums, to compare exactly.
func bits32(x []float32) []uint64 {
	out := make([]uint64, len(x))
	for i, v := range x {
		out[i] = uint64(math.Float32bits(v))
	}
	return out
}

// TestPlain compares every loop on whole slices, whose groups of 16 may run as vector instructions, with the same loop on
// pieces shorter than a group, which never do.
func TestPlain(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 15, 16, 17, 100, 333} {
		a, b, c := sample(r, n), sample(r, n), sample(r, n)
		w := []float32{0.3, -0.7, 1.1}
		each := map[string]func(dst, x, y []float32){
			"Scale":      func(dst, x, _ []float32) { Scale(dst, 0.37, x) },
			"AddScaled":  func(dst, x, y []float32) { copy(dst, y); AddScaled(dst, 0.37, x) },
			"Blend":      func(dst, x, y []float32) { Blend(dst, 0.37, x, -1.3, y) },
			"Divide":     func(dst, x, _ []float32) { copy(dst, x); Divide(dst, 0.37) },
			"DivideEach": func(dst, x, y []float32) { copy(dst, x); DivideEach(dst, y) },
			"Sub":        Sub,
			"KeepLarge":  func(dst, x, _ []float32) { copy(dst, x); KeepLarge(dst, math.Float32bits(0.5)) },
		}
		for name, f := range each {
			whole, pieces := make([]float32, n), make([]float32, n)
			f(whole, a, b)
			for i := 0; i < n; i += 7 {
				e := min(n, i+7)
				f(pieces[i:e], a[i:e], b[i:e])
			}
			if !slices.Equal(bits32(whole), bits32(pieces)) {
				t.Errorf("%s of %d elements depends on the instructions", name, n)
			}
		}
		mixed, divisor := make([]float32, n), make([]float32, n)
		mixed2, divisor2 := make([]float32, n), make([]float32, n)
		Elect(mixed, divisor, c, [][]float32{a, b, c}, w)
		agree, conflict := Agreement(a, [][]float32{b, c})
		agree0, conflict0 := Agreement(nil, [][]float32{b, c})
		var agree2, conflict2, agree3, conflict3 int
		for i := range n {
			j := i + 1
			Elect(mixed2[i:j], divisor2[i:j], c[i:j], [][]float32{a[i:j], b[i:j], c[i:j]}, w)
			x, y := Agreement(a[i:j], [][]float32{b[i:j], c[i:j]})
			agree2, conflict2 = agree2+x, conflict2+y
			x, y = Agreement(nil, [][]float32{b[i:j], c[i:j]})
			agree3, conflict3 = agree3+x, conflict3+y
		}
		if !slices.Equal(bits32(mixed), bits32(mixed2)) || !slices.Equal(bits32(divisor), bits32(divisor2)) {
			t.Errorf("Elect of %d elements depends on the instructions", n)
		}
		if agree != agree2 || conflict != conflict2 || agree0 != agree3 || conflict0 != conflict3 {
			t.Errorf("Agreement of %d elements depends on the instructions", n)
		}
		var dot, abs, distance [lanes]float64
		for i := range n {
			dot[i%lanes] += float64(a[i]) * float64(b[i])
			abs[i%lanes] += math.Abs(float64(a[i]))
			d := float64(a[i]) - float64(b[i])
			distance[i%lanes] += float64(d * d)
		}
		if Dot(a, b) != total(&dot) || SumAbs(a) != total(&abs) || DistanceSquared(a, b) != total(&distance) {
			t.Errorf("sums of %d elements: %v %v %v, want %v %v %v", n, Dot(a, b), SumAbs(a), DistanceSquared(a, b), total(&dot), total(&abs), total(&distance))
		}
	}
}

func TestFinite(t *testing.T) {
	for _, n := range []int{1, 16, 40} {
		for at := range n {
			for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
				x := make([]float32, n)
				x[n-1-at] = math.MaxFloat32
				if !Finite(x) {
					t.Fatalf("%v is not finite", x)
				}
				if x[at] = bad; Finite(x) {
					t.Fatalf("%v is finite", x)
				}
			}
		}
	}
}

// TestElect is by hand: signs, zeros, weights that cancel.
func TestElect(t *testing.T) {
	v := [][]float32{{1, -1, 0, 2, 0}, {2, 3, 0, -3, -1}, {-1, 1, 0, 0.5, 0}}
	election := []float32{2, 3, 0, -0.5, -1}
	mixed, divisor := make([]float32, 5), make([]float32, 5)
	Elect(mixed, divisor, election, v, []float32{1, 0.5, -0.5})
	wantMixed, wantDivisor := []float32{3, 4, 0, -3, -1}, []float32{1.5, 1, 1, 0.5, 0.5}
	if !slices.Equal(mixed, wantMixed) || !slices.Equal(divisor, wantDivisor) {
		t.Errorf("%v / %v, want %v / %v", mixed, divisor, wantMixed, wantDivisor)
	}
	if a, c := Agreement([]float32{0, 0, 0, 0, 0}, v); a != 1 || c != 3 {
		t.Errorf("%d agree, %d conflict, want 1 and 3", a, c)
	}
}

func BenchmarkDot(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	x, y := sample(r, 4096), sample(r, 4096)
	b.SetBytes(4096 * 4)
	for b.Loop() {
		Dot(x, y)
	}
}

func BenchmarkElect(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	x, y, m, d := sample(r, 4096), sample(r, 4096), make([]float32, 4096), make([]float32, 4096)
	b.SetBytes(4096 * 4)
	for b.Loop() {
		Elect(m, d, x, [][]float32{x, y}, []float32{1, 1})
	}
}
