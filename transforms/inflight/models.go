package inflight

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Model says which model a step calls and how its conversations are rendered: configuration only, so that it can be
// sent to a worker, which opens the directory itself.
type Model struct {
	// Name is the model's name in the configuration.
	Name string
	// Dir is the model's directory.
	Dir string
	// Backend is the engine's backend, such as go:ops_sequential.
	Backend string
	// ChatTemplate, EndOfTurn and BOS override what the directory says; "" and "auto" do not.
	ChatTemplate, EndOfTurn, BOS string
	// Endpoint is the server that runs the model; the zero value runs it in the process. Dir then has the tokenizer only.
	Endpoint Endpoint
	// Concurrency caps the calls in flight to this model in one process, 1 or more.
	Concurrency int
}

// AtHand says that the model can be asked; of others only what was imported is known.
func (m Model) AtHand() bool { return m.Dir != "" || m.Endpoint.URLs != "" }

// Endpoint says where and how a served model is asked.
type Endpoint struct {
	// URLs are base addresses, separated by spaces.
	URLs string
	// Model is the name on the server, Kind the server's kind, Reward how a reward model is asked, Criteria what a judge
	// is asked.
	Model, Kind, Reward, Criteria string
	// Cache is a directory or bucket for replies, "" for none.
	Cache string
	// Concurrency is the number of requests in flight at each URL.
	Concurrency int
	// Timeout is the limit of one request, MaxWait of the wait before it is sent again; Attempts is how often it is sent.
	Timeout, MaxWait time.Duration
	Attempts         int
	// MaxFailures is how many requests may fail before the step ends; 0 sets no bound.
	MaxFailures int64
	// Context is the longest sequence in tokens; 0 asks the server.
	Context int
}

// Calls returns the limits that Rows needs for calls to this model.
func (m Model) Calls() (feed, calls Limit) {
	return LimitOf("feed "+m.Name+" "+m.Dir, 1), LimitOf("calls "+m.Name+" "+m.Dir, m.Concurrency)
}

// Models opens each model once a process, at its first use. T is the interface that a step needs of a model. The zero
// value has no opener: pipelines and tests set one with Use.
type Models[T io.Closer] struct {
	mu     sync.Mutex
	open   func(context.Context, Model) (T, error)
	opened map[Model]*entry[T]
}

type entry[T any] struct {
	once  sync.Once
	model T
	err   error
}

// Use sets how models are opened.
func (m *Models[T]) Use(open func(context.Context, Model) (T, error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open = open
}

// Get returns the model, opened now or earlier. A model that could not be opened is tried again at the next Get after
// Close.
func (m *Models[T]) Get(ctx context.Context, model Model) (T, error) {
	m.mu.Lock()
	e, ok := m.opened[model]
	if !ok {
		e = new(entry[T])
		if m.opened == nil {
			m.opened = map[Model]*entry[T]{}
		}
		m.opened[model] = e
	}
	open := m.open
	m.mu.Unlock()
	e.once.Do(func() {
		if open == nil {
			e.err = errors.New("this binary has no engine for it")
		} else {
			e.model, e.err = open(ctx, model)
		}
		if e.err != nil {
			e.err = fmt.Errorf("opening model %s: %w", model.Name, e.err)
		}
	})
	return e.model, e.err
}

// Close closes all models that are open and forgets them; one that is being opened it waits for. No call may be in
// flight.
func (m *Models[T]) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for _, e := range m.opened {
		e.once.Do(func() { e.err = errors.New("the models are closed") }) // a job that failed may still be opening it
		if e.err == nil {
			errs = append(errs, e.model.Close())
		}
	}
	m.opened = nil
	return errors.Join(errs...)
}
