package engine

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// joinPatience is how long requests that could join wait for others, in times that the last join took.
	joinPatience = 2
	// patience is how long an incomplete batch waits for another request.
	patience = 3 * time.Millisecond
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

// take chooses who joins a lane with free rows: requests of one prompt length, of at most j different prompts. It takes
// nobody yet while more are likely to come. When the lane is empty and stays so, take closes it and says so.
func (s *scheduler) take(l *lane, free int) (joining []*generation, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	queue := slices.DeleteFunc(s.waiting[l.places], func(g *generation) bool { return g.ctx.Err() != nil })
	if s.closed {
		queue = nil
	}
	s.waiting[l.places] = queue
	empty := free == len(l.rows)
	if len(queue) == 0 || free == 0 || (l.admitted >= laneRounds*len(l.rows) && s.starving()) {
		if empty {
			s.end(l.places)
		}
		return nil, empty
	}
	length, full := s.commonest(queue, free)
	// A join costs as much for one request as for j, and as several steps: fewer wait for more.
	waited := min(time.Since(queue[0].arrived), time.Since(l.lastJoin))
	if !full && !empty && waited < joinPatience*l.joined {
		return nil, false
	}
	if !full {
		length = bucket(len(queue[0].request.PromptIDs))
	}
	joining, s.waiting[l.places] = s.choose(queue, length, free)
	l.admitted += len(joining)
	if left := len(s.waiting[l.places]); left >= max(1, len(l.rows)/2) {
		s.start(l.places)
	}
	return joining, false
}

// commonest is the prompt length of most waiting requests, and whether they fill a join.
func (s *scheduler) commonest(queue []*generation, free int) (length int, full bool) {
	count := map[int]int{}
	for _, g := range queue {
		n := bucket(len(g.request.PromptIDs))
		if count[n]++; count[n] > count[length] {
			length = n
		}
	}
	return length, min(count[length], free) >= s.e.joinRows(length)
}

// choose cuts a queue into those who join, in order of arrival, and the others.
func (s *scheduler) choose(queue []*generation, length, free int) (joining, left []*generation) {
	prompts := 0
	for _, g := range queue {
		joins := bucket(len(g.request.PromptIDs)) == length && len(joining) < free
		if joins && !slices.ContainsFunc(joining, g.samePrompt) {
			if joins = prompts < s.e.joinRows(length); joins {
				prompts++
			}
		}
		if joins {
			joining = append(joining, g)
		} else {
			left = append(left, g)
		}
	}
	return joining, left
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

// active says whether a lane runs.
func (s *scheduler) active() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open > 0
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
