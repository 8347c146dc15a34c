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
}

func newBatcher[Q, R any](slots chan struct{}, key func(Q) shape, run func(shape, []Q) ([]R, error)) *batcher[Q, R] {
	b := &batcher[Q, R]{
		key: key, run: run, slots: slots, calls: make(chan call[Q, R]), stop: make(chan struct{}), ended: make(chan struct{}),
		waiting: map[shape][]call[Q, R]{},
	}
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

// close ends the loop after the batches that run.
func (b *batcher[Q, R]) close() {
	close(b.stop)
	<-b.ended
}

// loop gathers requests by shape. A full batch runs as soon as there is a place for it; when no request has come for a
// moment, the fullest does.
func (b *batcher[Q, R]) loop() {
	defer close(b.ended)
	defer b.running.Wait()
	idle := time.NewTimer(time.Hour)
	defer idle.Stop()
	quiet := false
	for {
		var slots chan struct{} // offered only while a batch is ready
		if k, ok := fullest(b.waiting); ok && (quiet || len(b.waiting[k]) >= k.rows) {
			slots = b.slots
		}
		select {
		case c := <-b.calls:
			k := b.key(c.request)
			b.waiting[k] = append(b.waiting[k], c)
			quiet = false
			idle.Reset(patience)
		case <-idle.C:
			quiet = true
		case slots <- struct{}{}:
			b.start()
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

// start runs the fullest batch in the slot that was taken, without those whose caller has gone.
func (b *batcher[Q, R]) start() {
	k, _ := fullest(b.waiting)
	calls := b.waiting[k]
	batch := calls[:min(len(calls), k.rows)]
	if b.waiting[k] = calls[len(batch):]; len(b.waiting[k]) == 0 {
		delete(b.waiting, k)
	}
	b.running.Go(func() {
		defer func() { <-b.slots }()
		b.runOne(k, batch)
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
