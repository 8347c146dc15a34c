package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/profuser/profuser/models/serving/server"
)

// traffic is how a simulated server behaves.
type traffic struct {
	slots    int
	mean     time.Duration
	sigma    float64
	rate     float64 // requests a second, 0: no limit
	failures float64 // share of the requests
}

// latency draws from the lognormal distribution with this mean.
func (t traffic) latency() time.Duration {
	return time.Duration(float64(t.mean) * math.Exp(t.sigma*rand.NormFloat64()-t.sigma*t.sigma/2))
}

// simulated puts slots, latencies, a rate limit and failures before a server.
type simulated struct {
	http.Handler
	name    string
	traffic traffic
	slots   chan struct{}

	mu    sync.Mutex
	level float64 // requests that may come now, at most a tenth of a second's
	since time.Time

	asked, refused, failed atomic.Int64
}

// admit says whether the rate limit lets a request in.
func (s *simulated) admit() bool {
	if s.traffic.rate == 0 {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.level = min(s.traffic.rate/10, s.level+now.Sub(s.since).Seconds()*s.traffic.rate)
	s.since = now
	if s.level < 1 {
		return false
	}
	s.level--
	return true
}

// ServeHTTP implements http.Handler.
func (s *simulated) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		s.Handler.ServeHTTP(w, r)
		return
	}
	s.asked.Add(1)
	if !s.admit() {
		s.refused.Add(1)
		w.Header().Set("Retry-After", "0.2")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	s.slots <- struct{}{}
	defer func() { <-s.slots }()
	time.Sleep(s.traffic.latency())
	kind := 4
	if s.traffic.failures > 0 {
		kind = min(4, int(3*rand.Float64()/s.traffic.failures))
	}
	if kind < 3 {
		s.failed.Add(1)
	}
	switch kind {
	case 0:
		w.WriteHeader(http.StatusInternalServerError)
	case 1:
		panic(http.ErrAbortHandler) // the connection is cut
	case 2:
		recorded := httptest.NewRecorder()
		s.Handler.ServeHTTP(recorded, r)
		_, _ = w.Write(recorded.Body.Bytes()[:recorded.Body.Len()/2])
	default:
		s.Handler.ServeHTTP(w, r)
	}
}

// world is the servers of a run.
type world struct {
	target, source, judge *httptest.Server
	behaviour             []*simulated
}

// startWorld starts the servers of three models with one tokenizer.
func startWorld(tokenizer string, t traffic) (*world, error) {
	w := &world{}
	start := func(name string, rewards bool) (*httptest.Server, error) {
		m, err := newTrivial(tokenizer, uint64(len(w.behaviour)))
		if err != nil {
			return nil, err
		}
		s := &simulated{Handler: server.New(m, server.Options{Name: name, Rewards: rewards}), name: name, traffic: t, slots: make(chan struct{}, t.slots), since: time.Now()}
		w.behaviour = append(w.behaviour, s)
		h := httptest.NewUnstartedServer(s)
		h.Config.ErrorLog = log.New(io.Discard, "", 0)
		h.Start()
		return h, nil
	}
	var faults [3]error
	w.target, faults[0] = start("target", false)
	w.source, faults[1] = start("source", false)
	w.judge, faults[2] = start("judge", true)
	return w, errors.Join(faults[:]...)
}

// String says what the servers did.
func (w *world) String() string {
	var all []string
	for _, s := range w.behaviour {
		all = append(all, fmt.Sprintf("%s: %d requests, %d over the rate, %d failed", s.name, s.asked.Load(), s.refused.Load(), s.failed.Load()))
	}
	return strings.Join(all, "; ")
}

func (w *world) close() {
	w.target.Close()
	w.source.Close()
	w.judge.Close()
}
