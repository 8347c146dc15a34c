package transport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clock is a clock that sleeping moves.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	slept []time.Duration
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.slept = append(c.slept, d)
	return ctx.Err()
}

func none() float64 { return 0 }

var watched sync.Map // tests that look for goroutines left over

// watch lets a test fail that leaves goroutines.
func watch(t *testing.T) {
	if _, seen := watched.LoadOrStore(t.Name(), true); seen {
		return
	}
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for range 200 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		buf := make([]byte, 1<<16)
		t.Errorf("%d goroutines before, %d after Close:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
	})
}

// open makes a pool over handlers that is closed when the test ends.
func open(t *testing.T, o Options, handlers ...http.HandlerFunc) *Pool {
	t.Helper()
	watch(t)
	var servers []*httptest.Server
	for _, h := range handlers {
		s := httptest.NewServer(h)
		servers = append(servers, s)
		o.URLs = append(o.URLs, s.URL)
	}
	if o.Clock == nil {
		o.Clock = newClock()
	}
	if o.Random == nil {
		o.Random = none
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		for _, s := range servers {
			s.Close()
		}
	})
	return p
}

// script answers with one status after another, then with 200.
func script(header http.Header, codes ...int) (http.HandlerFunc, *atomic.Int64) {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		i := int(n.Add(1)) - 1
		if i < len(codes) {
			for k, v := range header {
				w.Header()[k] = v
			}
			w.WriteHeader(codes[i])
			fmt.Fprintf(w, `{"error":{"message":"fault %d"}}`, i)
			return
		}
		fmt.Fprint(w, `{"ok":true}`)
	}, &n
}

func TestRetries(t *testing.T) {
	date := newClock().now.Add(9 * time.Second).Format(http.TimeFormat)
	for _, test := range []struct {
		name   string
		header http.Header
		codes  []int
		calls  int64
		slept  []time.Duration
		want   string // of the error
	}{
		{name: "at once", calls: 1},
		{name: "doubling", codes: []int{500, 408, 502}, calls: 4, slept: []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second}},
		{name: "seconds asked for", header: http.Header{"Retry-After": {"7"}}, codes: []int{429}, calls: 2, slept: []time.Duration{7 * time.Second}},
		{name: "date asked for", header: http.Header{"Retry-After": {date}}, codes: []int{503}, calls: 2, slept: []time.Duration{9 * time.Second}},
		{name: "never longer than MaxWait", header: http.Header{"Retry-After": {"7000"}}, codes: []int{429}, calls: 2, slept: []time.Duration{time.Minute}},
		{name: "no use", codes: []int{400}, calls: 1, want: "status 400: fault 0"},
		{name: "not implemented", codes: []int{501}, calls: 1, want: "status 501: fault 0"},
		{name: "redirects are not followed", codes: []int{302}, calls: 1, want: "status 302: fault 0"},
		{name: "given up", codes: []int{429, 429, 429, 429}, calls: 4, want: "attempt 4 of 4): HOST: status 429: fault 3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, calls := script(test.header, test.codes...)
			c := newClock()
			p := open(t, Options{Clock: c, Attempts: 4}, h)
			err := p.Do(t.Context(), Request{Path: "/x", Body: []byte(`{}`)})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), strings.ReplaceAll(test.want, "HOST", p.endpoints[0].url.Host))) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if calls.Load() != test.calls || p.Sent() != test.calls {
				t.Errorf("%d calls, want %d", calls.Load(), test.calls)
			}
			if test.slept != nil && fmt.Sprint(c.slept) != fmt.Sprint(test.slept) {
				t.Errorf("slept %v, want %v", c.slept, test.slept)
			}
		})
	}
}

func TestDamagedRepliesAreAskedForAgain(t *testing.T) {
	var n atomic.Int64
	p := open(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		switch n.Add(1) {
		case 1: // cut in the middle of the reply
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"a":`)
		case 2: // cut before the reply
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				err = conn.Close()
			}
			if err != nil {
				t.Error(err)
			}
		case 3:
			fmt.Fprint(w, `{"a":`)
		default:
			fmt.Fprint(w, `{"a":1}`)
		}
	})
	var got struct{ A int }
	err := p.Do(t.Context(), Request{Path: "/x", Body: []byte(`{}`), Check: func(b []byte) error { return json.Unmarshal(b, &got) }})
	if err != nil || got.A != 1 || n.Load() != 4 {
		t.Errorf("%v, error %v after %d calls", got, err, n.Load())
	}
}

func TestTimeoutAndClose(t *testing.T) {
	entered := make(chan bool, 9)
	hang := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		entered <- true
		<-r.Context().Done()
	}
	p := open(t, Options{Timeout: 10 * time.Millisecond, Attempts: 2, Key: "secret-key"}, hang)
	err := p.Do(t.Context(), Request{Path: "/x", Body: []byte(`{}`)})
	if err == nil || !strings.Contains(err.Error(), "no reply within 10ms") || !strings.Contains(err.Error(), "request profuser-000000-1, attempt 2 of 2") || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
	q := open(t, Options{}, hang)
	for range 2 {
		<-entered
	}
	done := make(chan error)
	go func() { done <- q.Do(context.Background(), Request{Path: "/x"}) }()
	<-entered
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
	if err := q.Do(t.Context(), Request{Path: "/x"}); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
}

func TestConcurrencyIsBoundedAndSpread(t *testing.T) {
	var running, most [2]atomic.Int64
	handler := func(i int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			n := running[i].Add(1)
			defer running[i].Add(-1)
			for m := most[i].Load(); n > m && !most[i].CompareAndSwap(m, n); m = most[i].Load() {
			}
			time.Sleep(2 * time.Millisecond)
			fmt.Fprint(w, "{}")
		}
	}
	p := open(t, Options{Concurrency: 3}, handler(0), handler(1))
	var wait sync.WaitGroup
	for range 60 {
		wait.Go(func() {
			if err := p.Do(t.Context(), Request{Path: "/x"}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if most[0].Load() != 3 || most[1].Load() != 3 || p.Sent() != 60 {
		t.Errorf("%d and %d at once, want 3 and 3; %d sent, want 60", most[0].Load(), most[1].Load(), p.Sent())
	}
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	hold := make(chan bool)
	entered := make(chan bool)
	p := open(t, Options{Concurrency: 1}, func(http.ResponseWriter, *http.Request) { entered <- true; <-hold })
	done := make(chan error)
	go func() { done <- p.Do(context.Background(), Request{Path: "/x"}) }()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := p.Do(ctx, Request{Path: "/x"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	hold <- true
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestCircuitOpensAndCloses(t *testing.T) {
	bad, badCalls := script(nil, 500, 500, 500)
	good, goodCalls := script(nil)
	c := newClock()
	p := open(t, Options{Clock: c, Failures: 2, Cooldown: 10 * time.Second, Backoff: time.Millisecond}, bad, good)
	do := func() {
		t.Helper()
		if err := p.Do(t.Context(), Request{Path: "/x"}); err != nil {
			t.Fatal(err)
		}
	}
	do() // 500, 500, then the circuit is open and the other answers
	do()
	do()
	if badCalls.Load() != 2 || goodCalls.Load() != 3 {
		t.Errorf("calls %d to the dead one, %d to the other; want 2 and 3", badCalls.Load(), goodCalls.Load())
	}
	c.now = c.now.Add(10 * time.Second)
	do() // tried again, fails, open for 20 s
	c.now = c.now.Add(10 * time.Second)
	do()
	if badCalls.Load() != 3 {
		t.Errorf("%d calls to the dead one, want 3", badCalls.Load())
	}
	c.now = c.now.Add(10 * time.Second)
	do() // back
	do()
	if badCalls.Load() != 5 {
		t.Errorf("%d calls to the one that is back, want 5", badCalls.Load())
	}
}

func TestAllDead(t *testing.T) {
	h, calls := script(nil, 500, 500, 500, 500, 500, 500, 500, 500)
	p := open(t, Options{Failures: 1, Attempts: 3}, h)
	err := p.Do(t.Context(), Request{Path: "/x"})
	if err == nil || !strings.Contains(err.Error(), "status 500") || calls.Load() != 2 {
		t.Errorf("error %v after %d calls", err, calls.Load())
	}
}

func TestCache(t *testing.T) {
	var calls atomic.Int64
	dir := t.TempDir()
	serve := func(identity string) *Pool {
		return open(t, Options{Cache: NewCache(Directory(dir)), Identity: identity}, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "%d", calls.Add(1)) })
	}
	a, b := serve("a"), serve("b")
	ask := func(p *Pool, body string, fresh bool) (got string) {
		t.Helper()
		err := p.Do(t.Context(), Request{Path: "/x", Body: []byte(body), Fresh: fresh, Check: func(r []byte) error { got = string(r); return nil }})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	got := []string{ask(a, "1", false), ask(a, "1", false), ask(b, "1", false), ask(a, "2", false), ask(a, "1", true), ask(serve("a"), "1", false)}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.reply"))
	if err != nil || len(files) != 3 {
		t.Errorf("files %v, error %v, want 3", files, err)
	}
	for _, f := range files { // damaged files count as absent
		if err := os.Truncate(f, 33); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, []byte("short"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got = append(got, ask(a, "1", false), ask(a, "1", false))
	if want := "[1 1 2 3 4 1 5 5]"; fmt.Sprint(got) != want {
		t.Errorf("replies %v, want %s", got, want)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*", ".new-*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestAddresses(t *testing.T) {
	for _, s := range []string{"", "localhost:8000", "ftp://x", "http://", "http://name:word@host"} {
		if _, err := New(Options{URLs: []string{s}}); err == nil || strings.Contains(err.Error(), "word@") {
			t.Errorf("%q: error %v", s, err)
		}
	}
	p, err := New(Options{URLs: []string{"http://host:1/v1/"}})
	if err != nil || p.endpoints[0].url.String() != "http://host:1" {
		t.Errorf("%v, error %v", p.endpoints[0].url, err)
	}
}
