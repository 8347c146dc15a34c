package prefetch

import (
	"context"
	"errors"
	"time"
)

// Batches makes the values of a sequence ahead of their use. It is for one consumer.
type Batches[T any] struct {
	ready  chan made[T]
	cancel context.CancelFunc
	done   chan struct{}
	failed error // comes out of every Next after the first fault
}

// made is a value or why there is none.
type made[T any] struct {
	value T
	err   error
}

// NewBatches begins to make the values number from to below to, at most depth (at least 1) of them more than were taken
// with Next. produce is called in order, from one goroutine. Close must be called.
func NewBatches[T any](ctx context.Context, from, to, depth int, produce func(ctx context.Context, i int) (T, error)) *Batches[T] {
	ctx, cancel := context.WithCancel(ctx)
	b := &Batches[T]{ready: make(chan made[T], depth-1), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(b.done)
		defer close(b.ready)
		for i := from; i < to; i++ {
			value, err := produce(ctx, i)
			select {
			case b.ready <- made[T]{value, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return b
}

// ErrEnd says that all values were taken.
var ErrEnd = errors.New("no more batches")

// Next is the next value, and how long it was waited for. A cancelled context is an error that wraps its cause.
func (b *Batches[T]) Next(ctx context.Context) (value T, waited time.Duration, err error) {
	if b.failed != nil {
		return value, 0, b.failed
	}
	started := time.Now()
	select {
	case m, ok := <-b.ready:
		switch {
		case ok:
			value, err = m.value, m.err
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		default:
			err = ErrEnd
		}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	b.failed = err
	return value, time.Since(started), err
}

// Close stops the making and waits until it has ended.
func (b *Batches[T]) Close() {
	b.cancel()
	<-b.done
}
