package merge

import (
	"math"

	"github.com/profuser/profuser/trainer/merge/vector"
)

var nuslerpMethod = Method{
	Name: "nuslerp", Summary: "along the arc between two models, or between their differences from the base", Reference: "mergekit; Shoemake 1985, doi:10.1145/325165.325242",
	Base: BaseOptional, Min: 2, Max: 2,
	Parameters: []Parameter{
		{Name: "weight", Meaning: "share of a model; the second's of the sum is the position on the arc", Scope: Others, Required: true},
		{Name: "nuslerp_flatten", Meaning: "the whole tensor is one vector", Kind: Bool, Default: 1},
		{Name: "nuslerp_row_wise", Meaning: "without flatten: vectors run along the first dimension instead of the last", Kind: Bool},
	},
	New: newNuslerp,
}

// Ways to cut a tensor into vectors.
const (
	flattened = iota
	alongRows
	alongColumns
)

// nuslerp has the sums x·y, x·x, y·y of the vectors v0 and v1.
type nuslerp struct {
	base, first, second int
	t                   float64
	mode, granule       int
	columns             int
	sums                [3][]float64 // by granule; along columns by granule and column
	buffers             [][][]float32
	scanned             bool
	a, b                []float32 // by vector; a single one if flattened
}

// newNuslerp makes the kernel of
//
//	t = w_1 / (w_0 + w_1);  M = B + (sin((1-t)θ)·v0 + sin(tθ)·v1) / sinθ,  cos θ = v0·v1 / (|v0||v1|)
//
// v_i = M_i - B, or M_i without a base. Weights that cancel (|w_0 + w_1| < 1e-6) give t = 1/2; a norm below 1e-7 counts as
// 1e-7; parallel and opposite vectors are joined by (1-t)·v0 + t·v1. Vectors are the whole tensor, or its rows, or (row_wise)
// its columns; of three or more dimensions the first is the columns' and the rest is flat.
//
// Source: mergekit (nuslerp); we sum in float64, so parallel is 1 - cos² < 1e-7, about what float32 can tell from 0.
func newNuslerp(t Tensor) (Kernel, error) {
	o := t.others()
	w0, w1 := t.Inputs[o[0]]["weight"], t.Inputs[o[1]]["weight"]
	k := &nuslerp{base: t.Base, first: o[0], second: o[1], t: 0.5, granule: piece}
	if math.Abs(w0+w1) >= 1e-6 {
		k.t = w1 / (w0 + w1)
	}
	vectors, n := 1, t.Len()
	switch {
	case t.Shared["nuslerp_flatten"] != 0 || len(t.Shape) < 2:
	case t.Shared["nuslerp_row_wise"] == 0:
		k.mode, k.granule = alongRows, t.row()
		vectors = granules(n, k.granule)
	default:
		k.mode, k.columns = alongColumns, max(1, n/max(1, t.Shape[0]))
		k.granule = k.columns * max(1, (t.Shape[0]+255)/256) // at most 256 groups of rows have sums of their own
		vectors = k.columns
	}
	slots := granules(n, k.granule)
	if k.mode == alongColumns {
		slots *= k.columns
	}
	for i := range k.sums {
		k.sums[i] = make([]float64, slots)
	}
	k.a, k.b = make([]float32, vectors), make([]float32, vectors)
	k.buffers = buffers(t.Workers, 2, k.granule)
	return k, nil
}

func (k *nuslerp) Granule() int { return k.granule }

// vectors are v0 and v1 of a granule.
func (k *nuslerp) vectors(worker int, b Block, at, end int) (v0, v1 []float32) {
	v0, v1 = b.X[k.first][at:end], b.X[k.second][at:end]
	if k.base < 0 {
		return v0, v1
	}
	base, buffer := b.X[k.base][at:end], k.buffers[worker]
	vector.Sub(buffer[0][:end-at], v0, base)
	vector.Sub(buffer[1][:end-at], v1, base)
	return buffer[0][:end-at], buffer[1][:end-at]
}

func (k *nuslerp) Scan(worker int, b Block) {
	n := len(b.X[k.first])
	for at := 0; at < n; at += k.granule {
		end, g := min(at+k.granule, n), (b.Start+at)/k.granule
		v0, v1 := k.vectors(worker, b, at, end)
		if k.mode != alongColumns {
			k.sums[0][g], k.sums[1][g], k.sums[2][g] = vector.Dot(v0, v1), vector.Dot(v0, v0), vector.Dot(v1, v1)
			continue
		}
		xy, xx, yy := k.sums[0][g*k.columns:], k.sums[1][g*k.columns:], k.sums[2][g*k.columns:]
		for r := 0; r < len(v0); r += k.columns {
			for c := range k.columns {
				x, y := float64(v0[r+c]), float64(v1[r+c])
				xy[c] += x * y // products of float32 are exact
				xx[c] += x * x
				yy[c] += y * y
			}
		}
	}
}

func (k *nuslerp) Next() bool {
	if !k.scanned {
		k.scanned = true
		return true
	}
	for v := range k.a {
		var s [3]float64
		for i := range s {
			switch k.mode {
			case flattened:
				s[i] = sum(k.sums[i])
			case alongRows:
				s[i] = k.sums[i][v]
			case alongColumns:
				for at := v; at < len(k.sums[i]); at += k.columns {
					s[i] += k.sums[i][at]
				}
			}
		}
		cos := min(1, max(-1, s[0]/max(1e-7, math.Sqrt(s[1]))/max(1e-7, math.Sqrt(s[2]))))
		a, b := 1-k.t, k.t
		if 1-cos*cos >= 1e-7 {
			theta := math.Acos(cos)
			a, b = math.Sin((1-k.t)*theta)/math.Sin(theta), math.Sin(k.t*theta)/math.Sin(theta)
		}
		k.a[v], k.b[v] = float32(a), float32(b)
	}
	return false
}

func (k *nuslerp) Merge(worker int, b Block, out []float32) {
	for at := 0; at < len(out); at += k.granule {
		end := min(at+k.granule, len(out))
		v0, v1 := k.vectors(worker, b, at, end)
		o := out[at:end]
		switch k.mode {
		case flattened:
			vector.Blend(o, k.a[0], v0, k.b[0], v1)
		case alongRows:
			g := (b.Start + at) / k.granule
			vector.Blend(o, k.a[g], v0, k.b[g], v1)
		case alongColumns:
			for i := range o {
				c := i % k.columns
				o[i] = float32(k.a[c]*v0[i]) + float32(k.b[c]*v1[i])
			}
		}
		if k.base >= 0 {
			vector.AddScaled(o, 1, b.X[k.base][at:end])
		}
	}
}
