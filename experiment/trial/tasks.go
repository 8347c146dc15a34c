package trial

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// task is one piece of work, known by its name.
type task struct {
	name  string
	needs []string
	run   func(ctx context.Context) error
}

// perform runs tasks, a few side by side, each after what it needs, earlier ones first. A task whose need failed is not
// run. All errors come back; say hears of every end.
func perform(ctx context.Context, tasks []task, jobs int, say func(format string, args ...any)) error {
	b := &board{state: map[string]error{}, waiting: tasks, changed: make(chan struct{}, 1)}
	start, total := time.Now(), len(tasks)
	var wait sync.WaitGroup
	for range jobs {
		wait.Go(func() {
			for {
				t, ok := b.next(ctx)
				if !ok {
					return
				}
				began := time.Now()
				err := t.run(ctx)
				done := b.end(t, err)
				left := time.Since(start) / time.Duration(done) * time.Duration(total-done)
				if err != nil {
					say("%d/%d %s: %v", done, total, t.name, err)
				} else {
					say("%d/%d %s: %s, about %s left", done, total, t.name, time.Since(began).Round(time.Second), left.Round(time.Minute))
				}
			}
		})
	}
	wait.Wait()
	return errors.Join(append(b.errs, context.Cause(ctx))...)
}

// board is the state of all tasks.
type board struct {
	sync.Mutex
	waiting []task
	state   map[string]error // ended ones
	errs    []error
	changed chan struct{}
}

// next waits for a task that can run; false when none is left.
func (b *board) next(ctx context.Context) (task, bool) {
	for {
		b.Lock()
		t, ok := b.ready()
		idle := len(b.waiting) == 0
		b.Unlock()
		switch {
		case ctx.Err() != nil || idle && !ok:
			b.wake()
			return task{}, false
		case ok:
			b.wake()
			return t, true
		}
		select {
		case <-b.changed:
		case <-ctx.Done():
		}
	}
}

// ready takes the first task whose needs are met, and drops those whose needs failed.
func (b *board) ready() (task, bool) {
	for i := 0; i < len(b.waiting); i++ {
		t := b.waiting[i]
		met := true
		for _, n := range t.needs {
			err, ended := b.state[n]
			if ended && err != nil {
				b.state[t.name] = fmt.Errorf("%s: not run, as %s failed", t.name, n)
				b.errs = append(b.errs, b.state[t.name])
				b.waiting = append(b.waiting[:i:i], b.waiting[i+1:]...)
				return b.ready()
			}
			met = met && ended
		}
		if met {
			b.waiting = append(b.waiting[:i:i], b.waiting[i+1:]...)
			return t, true
		}
	}
	return task{}, false
}

// end notes the end of a task and gives the number of ended ones.
func (b *board) end(t task, err error) int {
	b.Lock()
	defer b.Unlock()
	b.state[t.name] = err
	if err != nil {
		b.errs = append(b.errs, fmt.Errorf("%s: %w", t.name, err))
	}
	b.wake()
	return len(b.state)
}

// wake lets a waiting worker look again; each that looks wakes the next.
func (b *board) wake() {
	select {
	case b.changed <- struct{}{}:
	default:
	}
}
