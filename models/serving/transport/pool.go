package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Pool sends requests to one logical server. All methods may be called from many goroutines.
type Pool struct {
	options Options
	client  *http.Client
	close   func()
	life    context.Context // ends at Close
	end     context.CancelCauseFunc
	name    string
	number  atomic.Int64
	sent    atomic.Int64

	mu        sync.Mutex // guards what follows
	closed    bool
	calls     sync.WaitGroup
	endpoints []*endpoint
	waiting   []chan struct{}
}

// New makes a pool. It sends nothing yet.
func New(o Options) (*Pool, error) {
	o = o.withDefaults()
	p := &Pool{options: o, close: func() {}}
	if len(o.URLs) == 0 {
		return nil, errors.New("no URLs: a served model needs at least one")
	}
	for _, s := range o.URLs {
		u, err := parseURL(s)
		if err != nil {
			return nil, err
		}
		p.endpoints = append(p.endpoints, &endpoint{url: u, cooldown: o.Cooldown})
	}
	if o.Concurrency < 1 || o.Attempts < 1 || o.Timeout <= 0 {
		return nil, fmt.Errorf("concurrency %d, attempts %d, timeout %v: all must be positive", o.Concurrency, o.Attempts, o.Timeout)
	}
	rt := o.RoundTripper
	if rt == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, o.Concurrency
		rt, p.close = t, t.CloseIdleConnections
	}
	p.client = &http.Client{Transport: rt, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	p.life, p.end = context.WithCancelCause(context.Background())
	p.name = fmt.Sprintf("profuser-%06x", int(o.Random()*(1<<24)))
	return p, nil
}

// Sent is the number of attempts so far that went to a server.
func (p *Pool) Sent() int64 { return p.sent.Load() }

// Close ends the requests in flight with ErrClosed and waits for them.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.end(ErrClosed)
	p.calls.Wait()
	p.close()
	return nil
}

// Request is one call.
type Request struct {
	// Method is GET or POST; "" means POST.
	Method string
	// Path begins with a slash.
	Path string
	// Body is JSON; nil for GET.
	Body []byte
	// Check reads a reply with status 2xx. An error makes the reply count as damaged: the request is sent again,
	// unless the error is ErrFinal. Nil accepts everything. It is called at most once at a time.
	Check func(reply []byte) error
	// Fresh goes past the cache.
	Fresh bool
}

// Do sends a request until a reply passes its check. Statuses that another attempt cannot change end it at once. Its
// error is a *Failure unless the pool was closed before or the cache failed.
func (p *Pool) Do(ctx context.Context, r Request) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return ErrClosed
	}
	p.calls.Add(1)
	p.mu.Unlock()
	defer p.calls.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.life, func() { cancel(ErrClosed) })()

	if r.Method == "" {
		r.Method = http.MethodPost
	}
	if r.Check == nil {
		r.Check = func([]byte) error { return nil }
	}
	var key string
	if p.options.Cache != nil && !r.Fresh {
		key = cacheKey(p.options.Identity, r.Method, r.Path, r.Body)
		reply, err := p.options.Cache.get(ctx, key)
		if err != nil || reply != nil && r.Check(reply) == nil {
			return err
		}
	}
	reply, err := p.retry(ctx, r)
	if err != nil || key == "" {
		return err
	}
	return p.options.Cache.put(ctx, key, reply)
}

// retry is the loop of attempts.
func (p *Pool) retry(ctx context.Context, r Request) ([]byte, error) {
	id := fmt.Sprintf("%s-%d", p.name, p.number.Add(1))
	var last outcome
	for attempt := 1; ; attempt++ {
		fail := func(reason Reason, err error) error {
			if last.err != nil && !errors.Is(err, last.err) {
				err = fmt.Errorf("%w; before that %v", err, last.err)
			}
			return &Failure{Method: r.Method, Path: r.Path, ID: id, Attempt: attempt, Attempts: p.options.Attempts, Reason: reason, err: err}
		}
		e, wait, err := p.acquire(ctx)
		if err != nil {
			return nil, fail(Ended, err)
		}
		if e == nil { // every endpoint is left alone: waiting is this attempt
			if last.err == nil {
				last.err = errors.New("no URL has answered lately")
			}
			last.reason, last.wait = Unanswered, wait
		} else {
			var h health
			last, h = p.attempt(ctx, e, r, id)
			p.release(e, h)
			if last.err == nil {
				return last.reply, nil
			}
			if ctx.Err() != nil {
				last.err = nil
				return nil, fail(Ended, context.Cause(ctx))
			}
		}
		if !last.again && e != nil || attempt == p.options.Attempts {
			return nil, fail(last.reason, last.err)
		}
		if err := p.options.Clock.Sleep(ctx, p.pause(attempt, last.wait)); err != nil {
			return nil, fail(Ended, err)
		}
	}
}

// pause is the time before the next attempt: half of it fixed, half jitter; at least what the server asked for.
func (p *Pool) pause(attempt int, asked time.Duration) time.Duration {
	d := p.options.MaxWait
	if attempt < 20 {
		d = min(d, p.options.Backoff<<(attempt-1))
	}
	d = d/2 + time.Duration(p.options.Random()*float64(d/2))
	return min(max(d, asked), p.options.MaxWait)
}

// outcome is how an attempt ended.
type outcome struct {
	reply  []byte
	err    error
	reason Reason        // of err
	again  bool          // another attempt may help
	wait   time.Duration // that the server asked for
}

// attempt sends a request once.
func (p *Pool) attempt(parent context.Context, e *endpoint, r Request, id string) (outcome, health) {
	ctx, cancel := context.WithTimeoutCause(parent, p.options.Timeout, fmt.Errorf("no reply within %v", p.options.Timeout))
	defer cancel()
	lost := func(err error) (outcome, health) {
		switch {
		case parent.Err() != nil:
			return outcome{err: err}, undecided
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		}
		return outcome{err: fmt.Errorf("%s: %w", e.url.Host, err), reason: Unanswered, again: true}, dead
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, e.url.String()+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		return outcome{err: err}, undecided
	}
	request.Header.Set("X-Request-Id", id)
	if r.Body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if p.options.Key != "" {
		request.Header.Set("Authorization", "Bearer "+p.options.Key)
	}
	p.sent.Add(1)
	response, err := p.client.Do(request)
	if err != nil {
		return lost(err)
	}
	reply, err := io.ReadAll(io.LimitReader(response.Body, p.options.MaxReply+1))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return lost(fmt.Errorf("reading the reply: %w", err))
	}
	if int64(len(reply)) > p.options.MaxReply {
		return outcome{err: fmt.Errorf("%s: the reply has more than %d bytes", e.url.Host, p.options.MaxReply), reason: Damaged}, alive
	}
	return p.judge(e, r, response, reply)
}

// judge looks at a whole reply.
func (p *Pool) judge(e *endpoint, r Request, response *http.Response, reply []byte) (outcome, health) {
	code := response.StatusCode
	if code >= 200 && code < 300 {
		if err := r.Check(reply); err != nil {
			return outcome{err: fmt.Errorf("%s: %w", e.url.Host, err), reason: Damaged, again: !errors.Is(err, ErrFinal)}, alive
		}
		return outcome{reply: reply}, alive
	}
	o := outcome{
		err: fmt.Errorf("%s: %w", e.url.Host, &StatusError{code, explanation(reply)}), reason: Refused,
		wait: retryAfter(response.Header.Get("Retry-After"), p.options.Clock.Now()),
	}
	switch {
	case code == http.StatusNotImplemented: // the server will not learn it
		return o, alive
	case code >= 500 || code == http.StatusFailedDependency: // 424 is what TGI and TEI say when their model fails
		o.reason, o.again = Unanswered, true
		return o, dead
	case code == http.StatusRequestTimeout || code == http.StatusTooManyRequests:
		o.reason, o.again = Unanswered, true
	}
	return o, alive
}
