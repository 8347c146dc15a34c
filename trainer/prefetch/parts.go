package prefetch

import (
	"context"
	"slices"
	"sync"
)

// Parts reads parts by their numbers and keeps the latest ones. It is safe for concurrent use.
//
// Invariant: recent lists the keys of parts, the one longest kept first, and is not longer than keep, except by parts
// whose reading is under way.
type Parts[T any] struct {
	read   func(ctx context.Context, part int) (T, error)
	keep   int
	room   chan struct{} // reads under way
	ctx    context.Context
	cancel context.CancelFunc
	under  sync.WaitGroup

	mu     sync.Mutex
	parts  map[int]*reading[T]
	recent []int
}

// reading is a part that is read or being read.
type reading[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// NewParts keeps up to keep parts and reads up to parallel at a time; both at least 1. Close must be called.
func NewParts[T any](ctx context.Context, keep, parallel int, read func(ctx context.Context, part int) (T, error)) *Parts[T] {
	ctx, cancel := context.WithCancel(ctx)
	return &Parts[T]{read: read, keep: keep, room: make(chan struct{}, parallel), ctx: ctx, cancel: cancel, parts: map[int]*reading[T]{}}
}

// Ahead begins to read the parts that are not kept, in this order, and returns at once.
func (p *Parts[T]) Ahead(parts ...int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, part := range parts {
		p.begin(part)
	}
}

// Get is a part; it waits until it is read. A fault is not kept: the next Get reads again.
func (p *Parts[T]) Get(ctx context.Context, part int) (T, error) {
	p.mu.Lock()
	r := p.begin(part)
	p.mu.Unlock()
	select {
	case <-r.done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// Kept is the number of parts in memory or being read.
func (p *Parts[T]) Kept() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.parts)
}

// begin returns a part's reading, a new one if need be. The caller holds the lock.
func (p *Parts[T]) begin(part int) *reading[T] {
	if r, ok := p.parts[part]; ok {
		return r
	}
	r := &reading[T]{done: make(chan struct{})}
	p.parts[part] = r
	p.recent = append(p.recent, part)
	if len(p.recent) > p.keep { // who waits for it has it in hand
		p.drop(p.recent[0])
	}
	p.under.Add(1)
	go func() {
		defer p.under.Done()
		defer close(r.done)
		select {
		case p.room <- struct{}{}:
			r.value, r.err = p.read(p.ctx, part)
			<-p.room
		case <-p.ctx.Done():
			r.err = context.Cause(p.ctx)
		}
		if r.err != nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.parts[part] == r {
				p.drop(part)
			}
		}
	}()
	return r
}

// drop forgets a part. The caller holds the lock.
func (p *Parts[T]) drop(part int) {
	delete(p.parts, part)
	p.recent = slices.DeleteFunc(p.recent, func(x int) bool { return x == part })
}

// Close stops the reading, waits until it has ended and forgets the parts. Nothing may be asked for afterwards.
func (p *Parts[T]) Close() {
	p.cancel()
	p.under.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parts, p.recent = map[int]*reading[T]{}, nil
}
