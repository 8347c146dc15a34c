package serving

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/profuser/profuser/models/serving/servingtest"
	"github.com/profuser/profuser/models/serving/transport"
)

// TestFaults sends requests through all faults at once. Every one must end as the right reading or as an error with its
// reason; requests that got a good reply are answered once.
func TestFaults(t *testing.T) {
	for _, attempts := range []int{4, 80} {
		t.Run(fmt.Sprint(attempts, " attempts"), func(t *testing.T) { runFaults(t, attempts) })
	}
}

func runFaults(t *testing.T, attempts int) {
	const requests = 100
	format := demoFormat(t)
	before := runtime.NumGoroutine()
	f := servingtest.New(&fake{manner: "vllm", format: format}, 0.8, 7)
	servers := []*httptest.Server{httptest.NewServer(f), httptest.NewServer(f)}
	m, err := Open(t.Context(), Options{Name: "m", Model: "fake", Format: format, Transport: transport.Options{
		URLs: []string{servers[0].URL, servers[1].URL}, Clock: &skipping{}, Concurrency: 8, Attempts: attempts, Timeout: 50 * time.Millisecond, Failures: 6, Cooldown: time.Second, Random: func() float64 { return 0.5 },
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Check(t.Context(), Need{Score: true, TopK: truncate.TopK}); err != nil {
		t.Fatal(err)
	}
	texts, want := make([][]int32, requests), make([]Reading, requests)
	for i := range texts {
		texts[i] = []int32{int32(300 + i), 266, int32(400 + i%50)}
		want[i] = read(t, prompt, texts[i], truncate)
		body, _ := json.Marshal(completionRequest{Model: "fake", Prompt: slices.Concat(prompt, texts[i]), MaxTokens: 1, PromptLogProbs: &truncate.TopK})
		f.Reply(httptest.NewRequest(http.MethodPost, "/v1/completions", nil), body)
	}
	f.On.Store(true)
	ends := make([]atomic.Int64, requests)
	var failed atomic.Int64
	var wait sync.WaitGroup
	for i := range requests {
		wait.Go(func() {
			got, err := m.Score(t.Context(), ScoreRequest{PromptIDs: prompt, TextIDs: texts[i], Truncate: truncate})
			ends[i].Add(1)
			if err != nil {
				failed.Add(1)
				if !slices.ContainsFunc([]string{"status 429", "status 500", "no reply within", "EOF", "damaged reply", "entries for", "has no log-prob", "asked for", "no URL has answered lately"}, func(s string) bool { return strings.Contains(err.Error(), s) }) || !strings.Contains(err.Error(), "request profuser-") {
					t.Errorf("request %d: error without a reason: %v", i, err)
				}
				return
			}
			if d := cmp.Diff(want[i], got, cmpopts.EquateApprox(1e-6, 0)); d != "" {
				t.Errorf("request %d: wrong reading (-want +got):\n%s", i, d)
			}
		})
	}
	wait.Wait()
	for i := range ends {
		if n := ends[i].Load(); n != 1 {
			t.Errorf("request %d ended %d times", i, n)
		}
	}
	if int64(requests)-failed.Load() > f.Good.Load() {
		t.Errorf("%d readings from %d good replies", int64(requests)-failed.Load(), f.Good.Load())
	}
	for kind := range f.Seen {
		if f.Seen[kind].Load() == 0 {
			t.Errorf("fault %d did not occur", kind)
		}
	}
	t.Logf("%d of %d failed; %d attempts", failed.Load(), requests, m.Sent())
	if attempts > 50 && failed.Load() > 3 {
		t.Errorf("%d of %d failed in spite of %d attempts", failed.Load(), requests, attempts)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	for _, s := range servers {
		s.Close()
	}
	for range 200 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	buf := make([]byte, 1<<16)
	t.Errorf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
}

// skipping is a clock that sleeping moves.
type skipping struct{ now atomic.Int64 }

func (c *skipping) Now() time.Time { return time.Unix(0, c.now.Load()) }

func (c *skipping) Sleep(ctx context.Context, d time.Duration) error {
	c.now.Add(int64(d))
	runtime.Gosched()
	return ctx.Err()
}
