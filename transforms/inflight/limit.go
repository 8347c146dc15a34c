package inflight

import (
	"context"
	"sync"
)

var limits sync.Map // name -> Limit

// Limit is a cap shared by all bundles of this process.
type Limit chan struct{}

// LimitOf returns the limit with this name. The first caller sets n, which is at least 1.
func LimitOf(name string, n int) Limit {
	c, _ := limits.LoadOrStore(name, make(Limit, max(n, 1)))
	return c.(Limit)
}

// Acquire takes a place; release gives it back. It fails only when ctx ended first, and then release is nil.
func (l Limit) Acquire(ctx context.Context) (release func(), err error) {
	select {
	case l <- struct{}{}:
		return func() { <-l }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// OpenParts is how many parts of partRows rows a process should hold so that concurrency calls never run dry while
// the slowest answers of some parts are awaited: 2 + ceil(16 · concurrency / partRows), at least 4. A part takes
// partRows / concurrency mean latencies to be sent, and its slowest answer takes 10 to 30 of them where latencies vary
// as models' do (lognormal, sigma 1); docs/scale.md has the share of busy slots by parts held. concurrency is 0 where
// no model is called.
func OpenParts(concurrency, partRows int) int {
	partRows = max(partRows, 1)
	return max(4, 2+(16*concurrency+partRows-1)/partRows)
}
