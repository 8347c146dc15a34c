package safetensors

import (
	"encoding/binary"
	"fmt"
	"math"
)

// ElementSize is the number of bytes of one element of a storage type, 0 for a type that is not known.
func ElementSize(dtype string) int64 { return elementSize[dtype] }

// Float says whether Decode reads a storage type as numbers.
func Float(dtype string) bool { return dtype == F32 || dtype == BF16 || dtype == F16 || dtype == F64 }

// Decode turns little-endian elements of a floating-point type into float32: exact for F32, BF16 and F16, rounded to
// nearest even for F64. raw holds len(dst) elements.
func Decode(dst []float32, dtype string, raw []byte) error {
	if !Float(dtype) {
		return fmt.Errorf("type %s cannot be read as float32; F32, BF16, F16 and F64 can", dtype)
	}
	if int64(len(raw)) != int64(len(dst))*elementSize[dtype] {
		return fmt.Errorf("%d bytes are not %d elements of %s", len(raw), len(dst), dtype)
	}
	switch dtype {
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	case BF16:
		for i := decodeBFloat16(dst, raw); i < len(dst); i++ {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(raw[2*i:])) << 16)
		}
	case F16:
		for i := range dst {
			dst[i] = halfToFloat32(binary.LittleEndian.Uint16(raw[2*i:]))
		}
	case F64:
		for i := range dst {
			dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:])))
		}
	}
	return nil
}

// Encode turns float32 into little-endian elements of F32, BF16 or F16, rounding to nearest even; what is too large for
// the type becomes infinity. dst has room for len(x) elements.
func Encode(dst []byte, dtype string, x []float32) error {
	if dtype != F32 && dtype != BF16 && dtype != F16 {
		return fmt.Errorf("type %q cannot be written; F32, BF16 and F16 can", dtype)
	}
	if int64(len(dst)) != int64(len(x))*elementSize[dtype] {
		return fmt.Errorf("%d bytes are not %d elements of %s", len(dst), len(x), dtype)
	}
	switch dtype {
	case F32:
		for i, v := range x {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
		}
	case BF16:
		for i := encodeBFloat16(dst, x); i < len(x); i++ {
			binary.LittleEndian.PutUint16(dst[2*i:], float32ToBFloat16(x[i]))
		}
	case F16:
		for i, v := range x {
			binary.LittleEndian.PutUint16(dst[2*i:], float32ToHalf(v))
		}
	}
	return nil
}
