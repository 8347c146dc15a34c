// Package vector owns the inner loops of merging: sums, products and elections over float32 slices.
//
// Flow in: slices of equal length; flow out: slices or a float64 sum. The same input gives the same bits on every
// processor: element-wise results are rounded as the formula says, never fused, and every sum runs over 16 lanes (lane j
// takes the elements whose index is j modulo 16) in float64, added up in the order of the lanes.
//
// On processors with AVX-512, in a build with GOEXPERIMENT=simd, whole groups of 16 run as vector instructions; the
// plain loop does what is left, or everything. The package allocates nothing and knows nothing of models.
package vector
