package inflight

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

// tickEvery is how often a waiting bundle reports its counts.
const tickEvery = 250 * time.Millisecond

// Window runs whole parts of one bundle side by side. Jobs run on their own goroutines and must not touch emitters or
// Beam metrics; their results and the ticks are handed out on the bundle's goroutine. A Window is of one bundle: its
// methods are not for several goroutines.
type Window[R any] struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	open   Limit
	done   chan result[R]
	n      int
	ticker *time.Ticker
	tick   func()
}

type result[R any] struct {
	value R
	err   error
}

// Start opens a window. open caps the parts that the process holds in memory; tick is called on the bundle's goroutine
// about every 250 ms while it waits, after each result, and at the end.
func Start[R any](ctx context.Context, open Limit, tick func()) *Window[R] {
	ctx, cancel := context.WithCancelCause(ctx)
	return &Window[R]{
		ctx: ctx, cancel: cancel, open: open, done: make(chan result[R]),
		ticker: time.NewTicker(tickEvery), tick: tick,
	}
}

// Go starts job as soon as the process has room for another part; until then it hands finished results to out. After
// an error the window is closed and all its jobs are cancelled: the bundle must return the error.
func (w *Window[R]) Go(job func(context.Context) (R, error), out func(R) error) error {
	for {
		select {
		case w.open <- struct{}{}:
			w.n++
			go w.run(job)
			return nil
		case r := <-w.done:
			if err := w.take(r, out); err != nil {
				return err
			}
		case <-w.ticker.C:
			w.tick()
		case <-w.ctx.Done():
			return w.close(context.Cause(w.ctx))
		}
	}
}

func (w *Window[R]) run(job func(context.Context) (R, error)) {
	var r result[R]
	defer func() {
		<-w.open // the place is free before the result is read: a bundle never waits for itself
		select {
		case w.done <- r:
		case <-w.ctx.Done():
		}
	}()
	defer recovered(&r.err)
	r.value, r.err = job(w.ctx)
}

func (w *Window[R]) take(r result[R], out func(R) error) error {
	w.n--
	w.tick()
	err := r.err
	if err == nil {
		err = out(r.value)
	}
	if err != nil {
		return w.close(err) // FinishBundle is not called after an error: end what still runs
	}
	return nil
}

// Wait waits for all jobs; the window stays open.
func (w *Window[R]) Wait(out func(R) error) error {
	for w.n > 0 {
		select {
		case r := <-w.done:
			if err := w.take(r, out); err != nil {
				return err
			}
		case <-w.ticker.C:
			w.tick()
		case <-w.ctx.Done():
			return w.close(context.Cause(w.ctx))
		}
	}
	w.tick()
	return nil
}

// Finish waits for all jobs and closes the window.
func (w *Window[R]) Finish(out func(R) error) error {
	if err := w.Wait(out); err != nil {
		return err
	}
	return w.close(nil)
}

func (w *Window[R]) close(err error) error {
	w.ticker.Stop()
	w.cancel(err)
	return err
}

// recovered turns a panic on this goroutine into an error: the runner would not recover it.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}
}
