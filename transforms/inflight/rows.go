package inflight

import (
	"context"
	"errors"
	"sync"
)

// Rows calls call(ctx, i) for the rows 0 to n-1 of one part, as many at a time as calls has places. feed, a limit of
// one, lets the rows of one part start after those of another, so that open parts do not run in lockstep and all end
// together. Rows returns when every call has ended: with the first error by row, which cancels the others. A row that
// is to be rejected is no error here.
func Rows(ctx context.Context, feed, calls Limit, n int, call func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	faults := make([]error, n)
	var running sync.WaitGroup
	err := start(ctx, feed, calls, n, func(i int, release func()) {
		running.Go(func() {
			defer release()
			defer func() {
				if faults[i] != nil {
					cancel(faults[i])
				}
			}()
			defer recovered(&faults[i])
			faults[i] = call(ctx, i)
		})
	})
	running.Wait()
	for _, fault := range faults {
		if fault != nil && !errors.Is(fault, context.Canceled) {
			return fault
		}
	}
	if err != nil {
		return err
	}
	return errors.Join(faults...)
}

// start hands out the rows in order, each as soon as a place is free.
func start(ctx context.Context, feed, calls Limit, n int, row func(i int, release func())) error {
	fed, err := feed.Acquire(ctx)
	if err != nil {
		return err
	}
	defer fed()
	for i := range n {
		release, err := calls.Acquire(ctx)
		if err != nil {
			return err
		}
		row(i, release)
	}
	return nil
}
