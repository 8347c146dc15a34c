package engine

import (
	"context"
	"time"
)

// patience is how long an incomplete batch waits for another request.
const patience = 3 * time.Millisecond

// shape is a batch's fixed form: requests of one shape share batches.
type shape struct{ rows, length, keys int }

type call[Q, R any] struct {
	request Q
	ctx     context.Context
	done    chan reply[R]
}

type reply[R any] struct {
	result R
	err    error
}

// batcher collects concurrent requests into batches of equal shape and runs one batch at a time.
type batcher[Q, R any] struct {
	key   func(Q) shape
	run   func(shape, []Q) ([]R, error)
	calls chan call[Q, R]
	stop  chan struct{}
	ended chan struct{}
}

func newBatcher[Q, R any](key func(Q) shape, run func(shape, []Q) ([]R, error)) *batcher[Q, R] {
	b := &batcher[Q, R]{key: key, run: run, calls: make(chan call[Q, R]), stop: make(chan struct{}), ended: make(chan struct{})}
	go b.loop()
	return b
}

// do waits for one request's result.
func (b *batcher[Q, R]) do(ctx context.Context, q Q) (R, error) {
	c := call[Q, R]{q, ctx, make(chan reply[R], 1)}
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

// close ends the loop after the batch that runs.
func (b *batcher[Q, R]) close() {
	close(b.stop)
	<-b.ended
}

// loop gathers requests by shape. A full batch runs at once; when no request has come for a moment, the fullest runs.
func (b *batcher[Q, R]) loop() {
	defer close(b.ended)
	waiting := map[shape][]call[Q, R]{}
	idle := time.NewTimer(time.Hour)
	defer idle.Stop()
	for {
		select {
		case c := <-b.calls:
			k := b.key(c.request)
			waiting[k] = append(waiting[k], c)
			if len(waiting[k]) >= k.rows {
				b.runOne(waiting, k)
			}
		case <-idle.C:
			if k, ok := fullest(waiting); ok {
				b.runOne(waiting, k)
			}
		case <-b.stop:
			for _, calls := range waiting {
				for _, c := range calls {
					c.done <- reply[R]{err: ErrClosed}
				}
			}
			return
		}
		if len(waiting) > 0 {
			idle.Reset(patience)
		}
	}
}

func fullest[Q, R any](waiting map[shape][]call[Q, R]) (best shape, ok bool) {
	for k, calls := range waiting {
		if !ok || len(calls) > len(waiting[best]) || (len(calls) == len(waiting[best]) && k.length < best.length) {
			best, ok = k, true
		}
	}
	return best, ok
}

// runOne runs the waiting batch of a shape, without those whose caller has gone.
func (b *batcher[Q, R]) runOne(waiting map[shape][]call[Q, R], k shape) {
	var alive []call[Q, R]
	var requests []Q
	for _, c := range waiting[k] {
		if c.ctx.Err() == nil {
			alive, requests = append(alive, c), append(requests, c.request)
		}
	}
	delete(waiting, k)
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
