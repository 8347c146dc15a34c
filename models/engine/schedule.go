package engine

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// patience is how long an incomplete batch waits for another request.
	patience = 3 * time.Millisecond
	// joinSteps is how many steps requests wait for others with which to join a running batch.
	joinSteps = 4
	// laneRounds is how often over a lane may fill its rows while requests of a length without a lane wait.
	laneRounds = 8
)

// scheduler hands generations to lanes. Generations of one length, in places of the cache, share lanes.
type scheduler struct {
	e       *Engine
	mu      sync.Mutex
	waiting map[int][]*generation // by places, in order of arrival
	lanes   map[int]int           // running lanes by places
	open    int                   // running lanes
	closed  bool
	running sync.WaitGroup
}

func newScheduler(e *Engine) *scheduler {
	return &scheduler{e: e, waiting: map[int][]*generation{}, lanes: map[int]int{}}
}

// do waits for one generation's result.
func (s *scheduler) do(ctx context.Context, r GenerateRequest) (GenerateResult, error) {
	g := newGeneration(ctx, r)
	places := s.e.places(r)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return GenerateResult{}, ErrClosed
	}
	s.waiting[places] = append(s.waiting[places], g)
	if s.lanes[places] == 0 {
		s.start(places)
	}
	s.mu.Unlock()
	select {
	case <-g.done:
		return g.result, g.err
	case <-ctx.Done():
		return GenerateResult{}, context.Cause(ctx)
	}
}

// start opens a lane if there may be one more: one for each length, up to twice as many as computations run, and further
// ones only as long as there are fewer than these. mu is held.
func (s *scheduler) start(places int) {
	if n := s.e.options.Batches; s.open >= 2*n || (s.lanes[places] > 0 && s.open >= n) {
		return
	}
	s.open++
	s.lanes[places]++
	l := newLane(s.e, places)
	s.running.Go(l.run)
}

// take chooses who joins a lane with free rows: of the oldest request's prompt length, at most j different prompts. It
// takes nobody yet while more are likely to come. When the lane is empty and stays so, take closes it and says so.
func (s *scheduler) take(l *lane, free int) (joining []*generation, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	queue := slices.DeleteFunc(s.waiting[l.places], func(g *generation) bool { return g.ctx.Err() != nil })
	if s.closed {
		queue = nil
	}
	s.waiting[l.places] = queue
	empty := free == len(l.rows)
	mayAdmit := len(queue) > 0 && free > 0 && !(l.admitted >= laneRounds*len(l.rows) && s.starving())
	if !mayAdmit {
		if empty {
			s.end(l.places)
		}
		return nil, empty
	}
	length := bucket(len(queue[0].request.PromptIDs))
	j := s.e.joinRows(length)
	if enough := min(len(queue), free) >= j; !empty && !enough && l.steps < joinSteps {
		return nil, false
	}
	l.steps = 0
	prompts := 0
	var left []*generation
	for _, g := range queue {
		same := bucket(len(g.request.PromptIDs)) == length && len(joining) < free
		if same {
			known := slices.ContainsFunc(joining, g.samePrompt)
			if same = known || prompts < j; same && !known {
				prompts++
			}
		}
		if same {
			joining = append(joining, g)
		} else {
			left = append(left, g)
		}
	}
	s.waiting[l.places] = left
	l.admitted += len(joining)
	if len(left) >= len(l.rows)/2 && len(left) > 0 {
		s.start(l.places)
	}
	return joining, false
}

// starving says whether requests wait whose length has no lane.
func (s *scheduler) starving() bool {
	for places, queue := range s.waiting {
		if len(queue) > 0 && s.lanes[places] == 0 {
			return true
		}
	}
	return false
}

// end counts a lane out and opens one for the request without a lane that has waited longest. mu is held.
func (s *scheduler) end(places int) {
	s.open--
	s.lanes[places]--
	if len(s.waiting[places]) == 0 {
		delete(s.waiting, places)
	}
	oldest := 0
	for p, queue := range s.waiting {
		if s.lanes[p] == 0 && len(queue) > 0 && (oldest == 0 || queue[0].arrived.Before(s.waiting[oldest][0].arrived)) {
			oldest = p
		}
	}
	if oldest != 0 {
		s.start(oldest)
	}
}

// ending says whether the engine is being closed.
func (s *scheduler) ending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// close answers all that wait or run with ErrClosed.
func (s *scheduler) close() {
	s.mu.Lock()
	s.closed = true
	for places, queue := range s.waiting {
		for _, g := range queue {
			g.finish(ErrClosed)
		}
		delete(s.waiting, places)
	}
	s.mu.Unlock()
	s.running.Wait()
}
