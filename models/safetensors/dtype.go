package safetensors

import "math"

// Storage types of tensor elements.
const (
	F32  = "F32"
	BF16 = "BF16"
	F16  = "F16"
	F64  = "F64"
	I32  = "I32"
	I64  = "I64"
)

// elementSize is the number of bytes of one element.
var elementSize = map[string]int64{
	F32: 4, BF16: 2, F16: 2, F64: 8, I32: 4, I64: 8,
	"U8": 1, "I8": 1, "BOOL": 1, "I16": 2, "U16": 2, "U32": 4, "U64": 8, "F8_E4M3": 1, "F8_E5M2": 1,
}

// float32ToBFloat16 rounds to nearest even; NaN stays NaN.
func float32ToBFloat16(v float32) uint16 {
	u := math.Float32bits(v)
	if v != v {
		return uint16(u>>16) | 0x40
	}
	return uint16((u + 0x7fff + (u>>16)&1) >> 16)
}

// halfToFloat32 is exact.
func halfToFloat32(h uint16) float32 {
	sign, exp, man := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&1023
	switch exp {
	case 0: // zero and subnormal: man · 2^-24
		v := float32(man) / (1 << 24)
		return math.Float32frombits(sign | math.Float32bits(v))
	case 31:
		return math.Float32frombits(sign | 0x7f800000 | man<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | man<<13)
}

// float32ToHalf rounds to nearest even; overflow becomes infinity.
func float32ToHalf(v float32) uint16 {
	u := math.Float32bits(v)
	sign := uint16(u>>16) & 0x8000
	a := math.Abs(float64(v))
	switch {
	case v != v:
		return sign | 0x7e00
	case a >= 65520:
		return sign | 0x7c00
	case a < 1.0/(1<<14): // subnormal: in steps of 2^-24
		return sign | uint16(math.RoundToEven(a*(1<<24)))
	}
	u &= 0x7fffffff
	u += 0xfff + (u>>13)&1
	return sign | uint16((u-112<<23)>>13)
}
