//go:build goexperiment.simd && amd64

package vector

import (
	"math/bits"
	"simd/archsimd"
)

// wide says whether the processor has AVX-512; only a test changes it.
var wide = archsimd.X86.AVX512()

// whole is how many of n elements form whole groups of 16: 0 without AVX-512.
func whole(n int) int {
	if !wide {
		return 0
	}
	return n &^ (lanes - 1)
}

func load(x []float32, i int) archsimd.Float32x16 {
	return archsimd.LoadFloat32x16((*[16]float32)(x[i : i+16]))
}

func store(v archsimd.Float32x16, x []float32, i int) { v.Store((*[16]float32)(x[i : i+16])) }

func finiteWide(x []float32) (int, bool) {
	n := whole(len(x))
	exponent := archsimd.BroadcastUint32x16(0x7f800000)
	var bad archsimd.Mask32x16
	for i := 0; i < n; i += lanes {
		bad = bad.Or(load(x, i).AsUint32x16().And(exponent).Equal(exponent))
	}
	any := n > 0 && bad.ToBits() != 0
	archsimd.ClearAVXUpperBits()
	return n, !any
}

func scaleWide(dst []float32, w float32, x []float32) int {
	n := whole(len(x))
	k := archsimd.BroadcastFloat32x16(w)
	for i := 0; i < n; i += lanes {
		store(k.Mul(load(x, i)), dst, i)
	}
	archsimd.ClearAVXUpperBits()
	return n
}

func addScaledWide(dst []float32, w float32, x []float32) int {
	n := whole(len(x))
	k := archsimd.BroadcastFloat32x16(w)
	for i := 0; i < n; i += lanes {
		store(load(dst, i).Add(k.Mul(load(x, i))), dst, i)
	}
	archsimd.ClearAVXUpperBits()
	return n
}

func blendWide(dst []float32, a float32, x []float32, b float32, y []float32) int {
	n := whole(len(x))
	ka, kb := archsimd.BroadcastFloat32x16(a), archsimd.BroadcastFloat32x16(b)
	for i := 0; i < n; i += lanes {
		store(ka.Mul(load(x, i)).Add(kb.Mul(load(y, i))), dst, i)
	}
	archsimd.ClearAVXUpperBits()
	return n
}

func divideWide(dst []float32, d float32) int {
	n := whole(len(dst))
	k := archsimd.BroadcastFloat32x16(d)
	for i := 0; i < n; i += lanes {
		store(load(dst, i).Div(k), dst, i)
	}
	archsimd.ClearAVXUpperBits()
	return n
}

func divideEachWide(dst, d []float32) int {
	n := whole(len(dst))
	for i := 0; i < n; i += lanes {
		store(load(dst, i).Div(load(d, i)), dst, i)
	}
	archsimd.ClearAVXUpperBits()
	return n
}

func subWide(dst, x, y []float32) int {
	n := whole(len(x))
	for i := 0; i < n; i += lanes {
		store(load(x, i).Sub(load(y, i)), dst, i)
	}
	archsimd.ClearAVXUpperBits()
	return n
}

func load8(x []float32, i int) archsimd.Float64x8 {
	return archsimd.LoadFloat32x8((*[8]float32)(x[i : i+8])).ConvertToFloat64()
}

func storeLanes(l *[lanes]float64, lo, hi archsimd.Float64x8) {
	lo.Store((*[8]float64)(l[:8]))
	hi.Store((*[8]float64)(l[8:]))
}

func dotWide(l *[lanes]float64, x, y []float32) int {
	n := whole(len(x))
	if n == 0 {
		return 0
	}
	var lo, hi archsimd.Float64x8
	for i := 0; i < n; i += lanes {
		lo = load8(x, i).MulAdd(load8(y, i), lo) // exact products, so fusing changes nothing
		hi = load8(x, i+8).MulAdd(load8(y, i+8), hi)
	}
	storeLanes(l, lo, hi)
	archsimd.ClearAVXUpperBits()
	return n
}

func distanceWide(l *[lanes]float64, x, y []float32) int {
	n := whole(len(x))
	if n == 0 {
		return 0
	}
	var lo, hi archsimd.Float64x8
	for i := 0; i < n; i += lanes {
		a, b := load8(x, i).Sub(load8(y, i)), load8(x, i+8).Sub(load8(y, i+8))
		lo, hi = lo.Add(a.Mul(a)), hi.Add(b.Mul(b))
	}
	storeLanes(l, lo, hi)
	archsimd.ClearAVXUpperBits()
	return n
}

func sumAbsWide(l *[lanes]float64, x []float32) int {
	n := whole(len(x))
	if n == 0 {
		return 0
	}
	var lo, hi archsimd.Float64x8
	sign := archsimd.BroadcastUint64x8(1<<63 - 1)
	for i := 0; i < n; i += lanes {
		lo = lo.Add(load8(x, i).AsUint64x8().And(sign).AsFloat64x8())
		hi = hi.Add(load8(x, i+8).AsUint64x8().And(sign).AsFloat64x8())
	}
	storeLanes(l, lo, hi)
	archsimd.ClearAVXUpperBits()
	return n
}

func keepLargeWide(x []float32, least uint32) int {
	n := whole(len(x))
	k, magnitude := archsimd.BroadcastUint32x16(least), archsimd.BroadcastUint32x16(0x7fffffff)
	for i := 0; i < n; i += lanes {
		v := load(x, i)
		store(v.Masked(v.AsUint32x16().And(magnitude).GreaterEqual(k)), x, i)
	}
	archsimd.ClearAVXUpperBits()
	return n
}

func electWide(mixed, divisor, election []float32, v [][]float32, w []float32) int {
	n := whole(len(mixed))
	var zero archsimd.Float32x16
	one := archsimd.BroadcastFloat32x16(1)
	for i := 0; i < n; i += lanes {
		plus := load(election, i).GreaterEqual(zero)
		minus := load(election, i).Less(zero)
		var m, d archsimd.Float32x16
		for j := range v {
			x := load(v[j], i)
			agree := x.Greater(zero).And(plus).Or(x.Less(zero).And(minus))
			m = m.Add(x.Masked(agree))
			d = d.Add(archsimd.BroadcastFloat32x16(w[j]).Masked(agree))
		}
		store(m, mixed, i)
		store(d.Merge(one, d.NotEqual(zero)), divisor, i)
	}
	archsimd.ClearAVXUpperBits()
	return n
}

func agreementWide(base []float32, x [][]float32) (done, agree, conflict int) {
	n := whole(len(x[0]))
	var b archsimd.Float32x16
	for i := 0; i < n; i += lanes {
		if base != nil {
			b = load(base, i)
		}
		var up, down uint16
		for _, s := range x {
			v := load(s, i)
			up |= v.Greater(b).ToBits()
			down |= v.Less(b).ToBits()
		}
		agree += bits.OnesCount16(up ^ down)
		conflict += bits.OnesCount16(up & down)
	}
	archsimd.ClearAVXUpperBits()
	return n, agree, conflict
}
