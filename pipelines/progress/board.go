package progress

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/profuser/profuser/transforms/tally"
)

// State is where a step is.
type State string

// The states.
const (
	Waiting State = "waiting"
	Running State = "running"
	Done    State = "done"
	Stopped State = "stopped"
)

// Sample is what a runner says of a job while it runs: its counters by name, summed over workers.
type Sample map[string]int64

// Work is how much a step has to do: all parts and rows of its datasets, and those that earlier runs have done. Rows is 0
// where nobody knows.
type Work struct {
	Parts, PartsBefore int64
	Rows, RowsBefore   int64
}

// observation is a count at a time.
type observation struct {
	at           time.Time
	rows, tokens int64
}

type step struct {
	label  string
	state  State
	work   Work
	counts Sample
	began  time.Time
	ended  time.Time
	window []observation // of the last minute, oldest first
}

// Board is the state of a run: every step with what it has done. Safe for concurrent use.
type Board struct {
	clock func() time.Time
	began time.Time

	mu    sync.Mutex
	steps []*step
}

// NewBoard lists the steps of a run, all waiting. clock gives the time; nil is time.Now.
func NewBoard(labels []string, clock func() time.Time) *Board {
	if clock == nil {
		clock = time.Now
	}
	b := &Board{clock: clock, began: clock()}
	for _, label := range labels {
		b.steps = append(b.steps, &step{label: label, state: Waiting})
	}
	return b
}

// Labels are the names of all steps.
func (b *Board) Labels() (labels []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.steps {
		labels = append(labels, s.label)
	}
	return labels
}

// find returns a step; one that nobody announced is added. The lock is held.
func (b *Board) find(label string) *step {
	i := slices.IndexFunc(b.steps, func(s *step) bool { return s.label == label })
	if i >= 0 {
		return b.steps[i]
	}
	s := &step{label: label, state: Waiting}
	b.steps = append(b.steps, s)
	return s
}

// Begin says that a step starts.
func (b *Board) Begin(label string, w Work) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.find(label)
	s.state, s.work, s.began, s.counts = Running, w, b.clock(), Sample{}
	s.window = []observation{{at: s.began}}
}

// rateOver is the time whose rate is shown.
const rateOver = time.Minute

// Observe takes a sample of a running step. A counter that fell keeps what it was.
func (b *Board) Observe(label string, counters Sample) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.find(label)
	if s.state != Running {
		return
	}
	for name, n := range counters {
		s.counts[name] = max(s.counts[name], n)
	}
	now := b.clock()
	s.window = append(s.window, observation{now, s.counts[tally.Rows], s.counts[tally.PromptTokens] + s.counts[tally.TextTokens]})
	for len(s.window) > 2 && now.Sub(s.window[1].at) >= rateOver {
		s.window = s.window[1:]
	}
}

// Before says that a step was done by earlier runs.
func (b *Board) Before(label string, w Work) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w.PartsBefore, w.RowsBefore = w.Parts, w.Rows
	s := b.find(label)
	s.state, s.work = Done, w
}

// End says that a running step is done.
func (b *Board) End(label string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.find(label)
	s.state, s.ended = Done, b.clock()
}

// Stop marks the step that runs as stopped, when the run ends early.
func (b *Board) Stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.steps {
		if s.state == Running {
			s.state, s.ended = Stopped, b.clock()
		}
	}
}

// Snapshot copies the state of all steps, in order, and tells how long the run has gone on.
func (b *Board) Snapshot() (steps []Status, elapsed time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock()
	for _, s := range b.steps {
		steps = append(steps, s.status(now))
	}
	return steps, now.Sub(b.began)
}

func (s *step) status(now time.Time) Status {
	x := Status{Label: s.label, State: s.state, Work: s.work, Counters: maps.Clone(s.counts), Latencies: tally.LatenciesOf(s.counts)}
	x.Parts, x.Rows, x.Rejects = s.work.PartsBefore+s.counts[tally.Parts], s.work.RowsBefore+s.counts[tally.Rows], s.counts[tally.Rejects]
	from := observation{at: s.began}
	to := observation{s.ended, s.counts[tally.Rows], s.counts[tally.PromptTokens] + s.counts[tally.TextTokens]}
	if s.state == Running {
		x.InFlight = max(0, s.counts[tally.Calls]-x.Latencies.Calls())
		from, to.at = s.window[0], now
		x.Elapsed = now.Sub(s.began)
	} else if s.state != Waiting {
		x.Elapsed = s.ended.Sub(s.began)
	}
	if seconds := to.at.Sub(from.at).Seconds(); seconds > 0 && s.state != Waiting {
		x.RowRate, x.TokenRate = float64(to.rows-from.rows)/seconds, float64(to.tokens-from.tokens)/seconds
	}
	if left := x.Work.Rows - x.Rows; s.state == Running && x.RowRate > 0 && left >= 0 && x.Work.Rows > 0 {
		x.Left = time.Duration(float64(left) / x.RowRate * float64(time.Second))
		x.LeftKnown = true
	}
	return x
}
