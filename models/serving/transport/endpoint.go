package transport

import (
	"context"
	"net/url"
	"time"
)

// endpoint is one URL with what is known of its health. The pool's lock guards it.
type endpoint struct {
	url      *url.URL
	running  int           // requests in flight
	failures int           // in a row
	until    time.Time     // left alone until then; zero while the circuit is closed
	cooldown time.Duration // of the next opening
	trial    bool          // one request is trying whether it is back
}

// open says whether the circuit is open at all.
func (e *endpoint) open() bool { return !e.until.IsZero() }

// acquire takes a place at the least loaded endpoint that is not left alone, the earliest in the list when several are.
// When every endpoint is left alone it gives the time until the first may be tried again.
func (p *Pool) acquire(ctx context.Context) (e *endpoint, wait time.Duration, err error) {
	for {
		e, wait, wake := p.pick()
		if wake == nil {
			return e, wait, nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			p.forget(wake)
			return nil, 0, context.Cause(ctx)
		}
	}
}

// pick is one look at the endpoints: an endpoint, or a wait, or a channel that is closed when to look again.
func (p *Pool) pick() (best *endpoint, wait time.Duration, wake chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.options.Clock.Now()
	busy := false
	for _, e := range p.endpoints {
		switch {
		case e.open() && e.trial:
			busy = true
		case e.open() && now.Before(e.until):
			if d := e.until.Sub(now); wait == 0 || d < wait {
				wait = d
			}
		case e.open(): // one request may try; nobody else until it has ended
			e.trial = true
			e.running++
			return e, 0, nil
		case e.running >= p.options.Concurrency:
			busy = true
		case best == nil || e.running < best.running:
			best = e
		}
	}
	if best != nil {
		best.running++
		return best, 0, nil
	}
	if !busy {
		return nil, wait, nil
	}
	wake = make(chan struct{})
	p.waiting = append(p.waiting, wake)
	return nil, 0, wake
}

// forget takes a waiter out, and passes its turn on if it had come already.
func (p *Pool) forget(wake chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, w := range p.waiting {
		if w == wake {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			return
		}
	}
	p.wake(1)
}

// wake lets the first n waiters look again. The lock is held.
func (p *Pool) wake(n int) {
	n = min(n, len(p.waiting))
	for _, w := range p.waiting[:n] {
		close(w)
	}
	p.waiting = p.waiting[n:]
}

// health is what an attempt says about its endpoint.
type health int

const (
	alive     health = iota // it answered
	dead                    // it did not, or with a failure of its own
	undecided               // the caller gave up first
)

// release gives a place back and keeps the circuit. It opens after Failures failures in a row, and after a trial that
// failed, for twice as long as the last time; an answer closes it.
func (p *Pool) release(e *endpoint, h health) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.running--
	trial, open := e.trial, e.open()
	e.trial = false
	switch h {
	case alive:
		e.failures, e.until, e.cooldown = 0, time.Time{}, p.options.Cooldown
	case dead:
		e.failures++
		if trial || !e.open() && e.failures >= p.options.Failures {
			e.until = p.options.Clock.Now().Add(e.cooldown)
			e.cooldown = min(2*e.cooldown, p.options.MaxWait)
		}
	}
	if trial || open || e.open() {
		p.wake(len(p.waiting)) // everybody looks again: here, elsewhere, or at how long to wait
		return
	}
	p.wake(1)
}
