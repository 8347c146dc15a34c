//go:build goexperiment.simd && amd64

package safetensors

import (
	"simd/archsimd"
	"unsafe"
)

// wide says whether the processor has the vector instructions that this file uses (AVX-512).
var wide = archsimd.X86.AVX512()

// decodeBFloat16 decodes whole groups of 16 elements and returns how many elements it did; none on processors without
// AVX-512. The result is bit for bit that of the plain loop.
func decodeBFloat16(dst []float32, raw []byte) int {
	if !wide || len(dst) < 16 {
		return 0
	}
	n := len(dst) &^ 15
	src := unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(raw))), n)
	for i := 0; i < n; i += 16 {
		x := archsimd.LoadUint16x16((*[16]uint16)(src[i : i+16]))
		x.ExtendToUint32().ShiftAllLeft(16).AsFloat32x16().Store((*[16]float32)(dst[i : i+16]))
	}
	archsimd.ClearAVXUpperBits()
	return n
}

// encodeBFloat16 is the other direction: whole groups of 16, rounded to nearest even, NaN stays NaN.
func encodeBFloat16(dst []byte, x []float32) int {
	if !wide || len(x) < 16 {
		return 0
	}
	n := len(x) &^ 15
	out := unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(dst))), n)
	half, one := archsimd.BroadcastUint32x16(0x7fff), archsimd.BroadcastUint32x16(1)
	quiet := archsimd.BroadcastUint32x16(0x400000)
	for i := 0; i < n; i += 16 {
		v := archsimd.LoadFloat32x16((*[16]float32)(x[i : i+16]))
		u := v.AsUint32x16()
		rounded := u.Add(half).Add(u.ShiftAllRight(16).And(one))
		u = rounded.Merge(u.Or(quiet), v.Equal(v))
		u.ShiftAllRight(16).TruncateToUint16().Store((*[16]uint16)(out[i : i+16]))
	}
	archsimd.ClearAVXUpperBits()
	return n
}
