package transport

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Options of a Pool. The zero value of every field but URLs is usable.
type Options struct {
	// URLs are the base addresses of servers that answer alike, http or https.
	URLs []string
	// Key is sent as a bearer token; "" sends none. Take it from the environment.
	Key string
	// Concurrency is the largest number of requests in flight at each URL; 0 means 32.
	Concurrency int
	// Timeout bounds one attempt, from sending to the reply's last byte; 0 means 120 s.
	Timeout time.Duration
	// Attempts is how often a request is sent at most; 0 means 8.
	Attempts int
	// Backoff is the wait before the second attempt, doubled before each further one; 0 means 500 ms.
	Backoff time.Duration
	// MaxWait bounds every wait, Retry-After's too; 0 means 60 s.
	MaxWait time.Duration
	// Failures in a row after which a URL is left alone; 0 means 5.
	Failures int
	// Cooldown is how long it is left alone at first, doubled each time up to MaxWait; 0 means 5 s.
	Cooldown time.Duration
	// MaxReply is the largest reply in bytes; 0 means 256 MiB.
	MaxReply int64
	// Cache keeps good replies; nil keeps none.
	Cache *Cache
	// Identity is what a cached reply belongs to besides path and body: the model.
	Identity string
	// Clock replaces the system's.
	Clock Clock
	// Random replaces the source of jitter, numbers in [0, 1).
	Random func() float64
	// RoundTripper replaces the HTTP client's; nil makes one that Close closes.
	RoundTripper http.RoundTripper
}

// Clock is the time as retries and circuits see it.
type Clock interface {
	// Now is the current time.
	Now() time.Time
	// Sleep waits, or ends early with the context's error.
	Sleep(ctx context.Context, d time.Duration) error
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// withDefaults fills in what is zero.
func (o Options) withDefaults() Options {
	number := func(n *int, d int) {
		if *n == 0 {
			*n = d
		}
	}
	span := func(n *time.Duration, d time.Duration) {
		if *n == 0 {
			*n = d
		}
	}
	number(&o.Concurrency, 32)
	number(&o.Attempts, 8)
	number(&o.Failures, 5)
	span(&o.Timeout, 120*time.Second)
	span(&o.Backoff, 500*time.Millisecond)
	span(&o.MaxWait, 60*time.Second)
	span(&o.Cooldown, min(5*time.Second, o.MaxWait))
	if o.MaxReply == 0 {
		o.MaxReply = 256 << 20
	}
	if o.Clock == nil {
		o.Clock = systemClock{}
	}
	if o.Random == nil {
		o.Random = jitter(uint64(o.Clock.Now().UnixNano()))
	}
	return o
}

// jitter is a generator for many goroutines. It decides only when something is sent, never what.
func jitter(seed uint64) func() float64 {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, 2))
	return func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return r.Float64()
	}
}

// parseURL checks a base address.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("%q is no base address, want http://host:port or https://host", s)
	}
	if u.User != nil {
		return nil, fmt.Errorf("the address of %s carries a name or password: keys come from the environment", u.Host)
	}
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/v1")
	return u, nil
}
