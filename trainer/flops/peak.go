package flops

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// chain is the number of products of one call.
const chain = 8

// measureFor is how long a rate is measured; the first call, which compiles, is not counted.
const measureFor = 300 * time.Millisecond

// Peak is the operations a second of a backend's matrix products in a type, measured in about half a second. On a machine
// that others use it comes out too low.
func Peak(b compute.Backend, dtype dtypes.DType) (float64, error) {
	peak, _, err := Rate(b, dtype, 512, 8192)
	return peak, err
}

// Rate is the number of floating-point operations a second, best of several calls, of chained products of [n, n] matrices
// in a type: 2·n³ each. n grows while a call takes so little time that it is mostly overhead.
func Rate(b compute.Backend, dtype dtypes.DType, n, largest int) (flops float64, size int, err error) {
	for {
		best, err := timeChain(b, dtype, n)
		if err != nil {
			return 0, n, err
		}
		if best > 20*time.Millisecond || 2*n > largest {
			return chain * 2 * float64(n) * float64(n) * float64(n) / best.Seconds(), n, nil
		}
		n *= 2
	}
}

// timeChain is the shortest time of a call of chain products.
func timeChain(b compute.Backend, dtype dtypes.DType, n int) (best time.Duration, err error) {
	defer func() { // graphs panic
		if r := recover(); r != nil {
			err = fmt.Errorf("a product of two %s matrices [%d, %d]: %v", dtype, n, n, r)
		}
	}()
	exec, err := graph.NewExec(b, func(x, w *graph.Node) *graph.Node {
		x, w = graph.ConvertDType(x, dtype), graph.ConvertDType(w, dtype)
		for range chain {
			x = graph.Dot(x, w).General([]int{1}, nil, []int{0}, nil)
		}
		return graph.ReduceAllMax(graph.Abs(graph.ConvertDType(x, dtypes.Float32)))
	})
	if err != nil {
		return 0, err
	}
	defer exec.Finalize()
	x, w := matrix(n, 1), matrix(n, 2)
	defer x.MustFinalizeAll()
	defer w.MustFinalizeAll()
	until := time.Time{}
	for calls := 0; calls < 2 || time.Now().Before(until); calls++ {
		start := time.Now()
		out, err := exec.Call1(x, w)
		if err != nil {
			return 0, err
		}
		if top := tensors.ToScalar[float32](out); !(top > 0) { // also waits for the device
			return 0, fmt.Errorf("a product of two %s matrices [%d, %d] gives %g", dtype, n, n, top)
		}
		out.MustFinalizeAll()
		took := time.Since(start)
		switch {
		case calls == 0:
			until = time.Now().Add(measureFor)
		case best == 0 || took < best:
			best = took
		}
	}
	return best, nil
}

// matrix is [n, n] of uniform random numbers of variance 1/n, so that products stay of one size.
func matrix(n int, seed uint64) *tensors.Tensor {
	random := rand.New(rand.NewPCG(seed, 2))
	x := make([]float32, n*n)
	width := float32(math.Sqrt(12 / float64(n)))
	for i := range x {
		x[i] = width * (random.Float32() - 0.5)
	}
	return tensors.FromFlatDataAndDimensions(x, n, n)
}
