package merge

import (
	"math"

	"github.com/profuser/profuser/trainer/merge/vector"
)

var slerpMethod = Method{
	Name: "slerp", Summary: "along the arc between the base and another model", Reference: "Shoemake 1985, doi:10.1145/325165.325242",
	Base: BaseRequired, Min: 1, Max: 1,
	Parameters: []Parameter{{Name: "t", Meaning: "position, 0 is the base, 1 the other model; outside of that it goes beyond them", Required: true}},
	New:        newSlerp,
}

// slerp has the sums of each granule: x·y, x·x, y·y.
type slerp struct {
	base, other int
	t           float64
	sums        [3][]float64
	scanned     bool
	a, b        float32
}

// newSlerp makes the kernel of
//
//	θ = acos(v0·v1 / (|v0||v1|));  M = sin((1-t)θ)/sinθ · v0 + sin(tθ)/sinθ · v1
//
// over the whole tensor as one vector, v0 the base. Where |cos θ| > 0.9995 it is (1-t)·v0 + t·v1, for opposite vectors too; a
// norm of at most 1e-8 counts as 1. A zero tensor thus has cos θ = 0.
//
// Source: Shoemake, Animating rotation with quaternion curves, SIGGRAPH 1985; thresholds as in mergekit. We sum in float64
// and take the angle in float64, mergekit in float32.
func newSlerp(t Tensor) (Kernel, error) {
	k := &slerp{base: t.Base, other: 1 - t.Base, t: t.Shared["t"]}
	for i := range k.sums {
		k.sums[i] = make([]float64, granules(t.Len(), piece))
	}
	return k, nil
}

// granules is how many granules of a size n elements have.
func granules(n, size int) int { return (n + size - 1) / size }

func (k *slerp) Granule() int { return piece }

func (k *slerp) Next() bool {
	if !k.scanned {
		k.scanned = true
		return true
	}
	a, b := arc(sum(k.sums[0]), sum(k.sums[1]), sum(k.sums[2]), k.t)
	k.a, k.b = float32(a), float32(b)
	return false
}

func (k *slerp) Scan(_ int, b Block) {
	x, y := b.X[k.base], b.X[k.other]
	for at := 0; at < len(x); at += piece {
		end, g := min(at+piece, len(x)), (b.Start+at)/piece
		k.sums[0][g] = vector.Dot(x[at:end], y[at:end])
		k.sums[1][g] = vector.Dot(x[at:end], x[at:end])
		k.sums[2][g] = vector.Dot(y[at:end], y[at:end])
	}
}

func (k *slerp) Merge(_ int, b Block, out []float32) {
	vector.Blend(out, k.a, b.X[k.base], k.b, b.X[k.other])
}

// arc gives the two factors of a spherical interpolation from x·y, x·x, y·y.
func arc(dot, xx, yy, t float64) (a, b float64) {
	norm := func(s float64) float64 {
		if s = math.Sqrt(s); s > 1e-8 {
			return s
		}
		return 1
	}
	cos := min(1, max(-1, dot/norm(xx)/norm(yy)))
	if math.Abs(cos) > 0.9995 {
		return 1 - t, t
	}
	theta := math.Acos(cos)
	return math.Sin((1-t)*theta) / math.Sin(theta), math.Sin(t*theta) / math.Sin(theta)
}

// sum adds in order.
func sum(x []float64) float64 {
	var s float64
	for _, v := range x {
		s += v
	}
	return s
}
