//go:build !goexperiment.simd || !amd64

package safetensors

// decodeBFloat16 leaves everything to the plain loop.
func decodeBFloat16([]float32, []byte) int { return 0 }

// encodeBFloat16 leaves everything to the plain loop.
func encodeBFloat16([]byte, []float32) int { return 0 }
