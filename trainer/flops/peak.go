package flops

import (
	"fmt"
	"math/rand/v2"
	"time"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/trainer/loop"
)

// Sizes and times of the measurement: a call is chain products of [n, n] matrices, n grows from smallest to largest until a
// call takes longEnough, and the best of the calls of measureFor counts.
const (
	chain      = 8
	smallest   = 512
	largest    = 8192
	longEnough = 20 * time.Millisecond
	measureFor = 300 * time.Millisecond
)

// Peak is the operations a second of float32 matrix products on a learner's backend, measured in about half a second. On a
// machine that others use it comes out too low.
func Peak(l *loop.Learner) (float64, error) {
	forward, err := l.NewForward(func(_ *model.Scope, in []*Node) []*Node {
		x := in[0]
		for range chain {
			x = Dot(x, in[1]).General([]int{1}, nil, []int{0}, nil)
		}
		return []*Node{ReduceAllMax(x)}
	})
	if err != nil {
		return 0, err
	}
	for n := smallest; ; n *= 2 {
		best, err := fastest(forward, n)
		if err != nil {
			return 0, fmt.Errorf("measuring the backend's peak with products of [%d, %d] matrices: %w", n, n, err)
		}
		if best > longEnough || 2*n > largest {
			return chain * 2 * float64(n) * float64(n) * float64(n) / best.Seconds(), nil
		}
	}
}

// fastest is the shortest time of a call; the first one, which compiles, is not counted.
func fastest(forward *loop.Forward, n int) (best time.Duration, err error) {
	random := rand.New(rand.NewPCG(uint64(n), 1))
	matrix := func() *tensors.Tensor {
		x := make([]float32, n*n)
		for i := range x {
			x[i] = (random.Float32() - 0.5) / float32(n)
		}
		return tensors.FromFlatDataAndDimensions(x, n, n)
	}
	x, w := matrix(), matrix()
	var until time.Time
	for call := 0; call < 2 || time.Now().Before(until); call++ {
		started := time.Now()
		if _, err := forward.Call(x, w); err != nil {
			return 0, err
		}
		switch took := time.Since(started); {
		case call == 0:
			until = time.Now().Add(measureFor / 2)
		case best == 0 || took < best:
			best = took
		}
		if call > 0 && best < longEnough/2 && 2*n <= largest {
			break // a larger size is measured anyway
		}
	}
	return best, nil
}
