package engine

import (
	"context"
	"sync"
	"time"
)

// shape is a batch's fixed form: requests of one shape share batches.
type shape struct{ rows, length int }

type call[Q, R any] struct {
	request Q
	arrived time.Time
	ctx     context.Context
	done    chan reply[R]
}

type reply[R any] struct {
	result R
	err    error
}

// batcher collects concurrent requests into batches of equal shape and runs some batches side by side.
type batcher[Q, R any] struct {
	key     func(Q) shape
	run     func(shape, []Q) ([]R, error)
	slots   chan struct{} // a place for each batch that runs, shared by the batchers of an engine
	calls   chan call[Q, R]
	stop    chan struct{}
	ended   chan struct{}
	waiting map[shape][]call[Q, R]
	running sync.WaitGroup
	// busy says whether others compute, whose results may become requests.
	busy func() bool

	timing sync.Mutex // guards took
	took   map[shape]time.Duration
}

func newBatcher[Q, R any](slots chan struct{}, busy func() bool, key func(Q) shape, run func(shape, []Q) ([]R, error)) *batcher[Q, R] {
	b := &batcher[Q, R]{
		key: key, run: run, slots: slots, calls: make(chan call[Q, R]), stop: make(chan struct{}), ended: make(chan struct{}),
		waiting: map[shape][]call[Q, R]{}, busy: busy, took: map[shape]time.Duration{},
	}
	go b.loop()
	return b
}

// do waits for one request's result.
func (b *batcher[Q, R]) do(ctx context.Context, q Q) (R, error) {
	c := call[Q, R]{q, time.Now(), ctx, make(chan reply[R], 1)}
	var none R
	select {
	case b.calls <- c:
	case <-ctx.Done():
		return none, context.Cause(ctx)
	case <-b.stop:
		return none, ErrClosed
	}
	select {
	case r := <-c.done:
		return r.result, r.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// close ends the loop after the batches that run.
func (b *batcher[Q, R]) close() {
	close(b.stop)
	<-b.ended
}

// loop gathers requests by shape. A full batch runs as soon as there is a place for it. An incomplete one costs as much as
// a full one: it runs when no request has come for a moment and nothing else computes, or when its first request has
// waited as long as such a batch takes.
func (b *batcher[Q, R]) loop() {
	defer close(b.ended)
	defer b.running.Wait()
	idle := time.NewTimer(time.Hour)
	defer idle.Stop()
	last := time.Now()
	for {
		var slots chan struct{} // offered only while a batch is ready
		ready, ok := b.ready(last)
		if ok {
			slots = b.slots
		}
		select {
		case c := <-b.calls:
			k := b.key(c.request)
			b.waiting[k] = append(b.waiting[k], c)
			last = time.Now()
			idle.Reset(patience)
		case <-idle.C:
			if len(b.waiting) > 0 {
				idle.Reset(patience)
			}
		case slots <- struct{}{}:
			b.start(ready)
		case <-b.stop:
			for _, calls := range b.waiting {
				for _, c := range calls {
					c.done <- reply[R]{err: ErrClosed}
				}
			}
			return
		}
	}
}

// ready is the shape of the batch that may run, full or due; last is when the last request came.
func (b *batcher[Q, R]) ready(last time.Time) (shape, bool) {
	k, ok := fullest(b.waiting)
	if !ok || len(b.waiting[k]) >= k.rows || (time.Since(last) >= patience && !b.busy()) {
		return k, ok
	}
	b.timing.Lock()
	defer b.timing.Unlock()
	for k, calls := range b.waiting {
		if time.Since(calls[0].arrived) >= max(patience, b.took[k]) {
			return k, true
		}
	}
	return shape{}, false
}

// fullest is the shape whose batch is nearest to full, the shorter one on ties.
func fullest[Q, R any](waiting map[shape][]call[Q, R]) (best shape, ok bool) {
	share := func(k shape) float64 { return min(1, float64(len(waiting[k]))/float64(k.rows)) }
	for k := range waiting {
		if !ok || share(k) > share(best) || (share(k) == share(best) && k.length < best.length) {
			best, ok = k, true
		}
	}
	return best, ok
}

// start runs a batch of a shape in the slot that was taken, without those whose caller has gone.
func (b *batcher[Q, R]) start(k shape) {
	calls := b.waiting[k]
	batch := calls[:min(len(calls), k.rows)]
	if b.waiting[k] = calls[len(batch):]; len(b.waiting[k]) == 0 {
		delete(b.waiting, k)
	}
	b.running.Go(func() {
		defer func() { <-b.slots }()
		start := time.Now()
		b.runOne(k, batch)
		b.timing.Lock()
		defer b.timing.Unlock()
		b.took[k] = time.Since(start)
	})
}

// runOne runs one batch and answers its callers.
func (b *batcher[Q, R]) runOne(k shape, batch []call[Q, R]) {
	var alive []call[Q, R]
	var requests []Q
	for _, c := range batch {
		if c.ctx.Err() == nil {
			alive, requests = append(alive, c), append(requests, c.request)
		}
	}
	if len(alive) == 0 {
		return
	}
	results, err := b.run(k, requests)
	for i, c := range alive {
		if err != nil {
			c.done <- reply[R]{err: err}
			continue
		}
		c.done <- reply[R]{result: results[i]}
	}
}
