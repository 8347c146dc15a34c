//go:build !goexperiment.simd

package processor

const vector = false
