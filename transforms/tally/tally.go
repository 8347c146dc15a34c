package tally

import (
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/profuser/profuser/schemas"
)

// Names of counters.
const (
	// Rows counts records done, rejected or not; Rejects those rejected; Parts finished parts.
	Rows    = "rows"
	Rejects = "rejects"
	Parts   = "parts"
	// PromptTokens counts the tokens that a model was given, TextTokens those that it wrote, or read as the text in
	// question.
	PromptTokens = "prompt_tokens"
	TextTokens   = "text_tokens"
	// Calls counts calls to a model that began. The latencies count those that ended.
	Calls = "calls"
	// rejectPrefix begins the names of the counters of rejects by code.
	rejectPrefix = "rejects_"
)

// Tally counts what a step has done. The zero value is ready; all methods are safe for concurrent use.
type Tally struct {
	mu     sync.Mutex
	counts map[string]int64
}

func (t *Tally) add(name string, n int64) {
	if t.counts == nil {
		t.counts = map[string]int64{}
	}
	t.counts[name] += n
}

// Row counts one row. rejects are what became of it instead; nil pointers are none.
func (t *Tally) Row(rejects ...*schemas.Rejected) {
	rejected := false
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range rejects {
		if r != nil {
			rejected = true
			t.add(rejectPrefix+r.Code, 1)
			remember(*r)
		}
	}
	t.add(Rows, 1)
	if rejected {
		t.add(Rejects, 1)
	}
}

// Part counts a part whose files are there.
func (t *Tally) Part() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(Parts, 1)
}

// Call counts a call to a model that begins now. end, called once, counts its end, how long it took, and the tokens that
// it was about: those given and those written or read, 0 where it failed.
func (t *Tally) Call() (end func(promptTokens, textTokens int)) {
	t.mu.Lock()
	t.add(Calls, 1)
	t.mu.Unlock()
	began := time.Now()
	return func(promptTokens, textTokens int) {
		name := latencyName(time.Since(began))
		t.mu.Lock()
		defer t.mu.Unlock()
		t.add(name, 1)
		t.add(PromptTokens, int64(promptTokens))
		t.add(TextTokens, int64(textTokens))
	}
}

// Drain gives report every count that is not zero, and forgets it.
func (t *Tally) Drain(report func(name string, n int64)) {
	t.mu.Lock()
	counts := maps.Clone(t.counts)
	clear(t.counts)
	t.mu.Unlock()
	for name, n := range counts {
		if n != 0 {
			report(name, n)
		}
	}
}

// RejectCodes reads the rejects by code out of counters by name.
func RejectCodes(counters map[string]int64) map[string]int64 {
	codes := map[string]int64{}
	for name, n := range counters {
		if code, ok := strings.CutPrefix(name, rejectPrefix); ok && n > 0 {
			codes[code] = n
		}
	}
	return codes
}

// recentRejects is how many rejects are remembered.
const recentRejects = 20

var recent struct {
	sync.Mutex
	rejects []schemas.Rejected
}

func remember(r schemas.Rejected) {
	recent.Lock()
	defer recent.Unlock()
	recent.rejects = append(recent.rejects[max(0, len(recent.rejects)+1-recentRejects):], r)
}

// RecentRejects are the latest rejects of this process, newest first. Workers elsewhere keep theirs.
func RecentRejects() []schemas.Rejected {
	recent.Lock()
	defer recent.Unlock()
	out := make([]schemas.Rejected, 0, len(recent.rejects))
	for i := len(recent.rejects) - 1; i >= 0; i-- {
		out = append(out, recent.rejects[i])
	}
	return out
}
