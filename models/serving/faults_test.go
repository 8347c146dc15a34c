package serving

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
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
	"github.com/profuser/profuser/models/serving/transport"
)

// faulty puts faults of real life, each at a tenth of the requests, before a server.
type faulty struct {
	http.Handler
	mu     sync.Mutex
	random *rand.Rand
	on     atomic.Bool
	known  sync.Map // body to answer
	seen   [8]atomic.Int64
	good   atomic.Int64
}

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // a server that reads on notices when the client gives up
	if !f.on.Load() {
		r.Body = io.NopCloser(bytes.NewReader(body))
		f.Handler.ServeHTTP(w, r)
		return
	}
	f.mu.Lock()
	kind := f.random.IntN(10)
	f.mu.Unlock()
	if kind < len(f.seen) {
		f.seen[kind].Add(1)
	}
	whole := f.answer(body)
	switch kind {
	case 0:
		w.Header().Set("Retry-After", "3")
		refuse(w, 429, "too many requests")
	case 1:
		refuse(w, 500, "internal error")
	case 2: // a stall: nothing until the client gives up
		<-r.Context().Done()
	case 3: // the connection is cut in the middle
		w.Header().Set("Content-Length", fmt.Sprint(len(whole)))
		_, _ = w.Write(whole[:len(whole)/2])
		panic(http.ErrAbortHandler)
	case 4: // truncated JSON in a reply that looks whole
		_, _ = w.Write(whole[:len(whole)*2/3])
	case 5: // NaN as Python writes it
		_, _ = w.Write(bytes.ReplaceAll(whole, []byte(`"logprob":-`), []byte(`"logprob":NaN,"was":-`)))
	case 6:
		_, _ = w.Write(fewer(whole))
	case 7: // a stall in the middle of the reply
		w.Header().Set("Content-Length", fmt.Sprint(len(whole)))
		_, _ = w.Write(whole[:len(whole)/2])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	default:
		f.good.Add(1)
		_, _ = w.Write(whole)
	}
}

// answer is the server's answer to a body, computed once, so that only faults take time.
func (f *faulty) answer(body []byte) []byte {
	if a, ok := f.known.Load(string(body)); ok {
		return a.([]byte)
	}
	recorded := httptest.NewRecorder()
	f.Handler.ServeHTTP(recorded, httptest.NewRequest(http.MethodPost, "/v1/completions", bytes.NewReader(body)))
	f.known.Store(string(body), recorded.Body.Bytes())
	return recorded.Body.Bytes()
}

// fewer takes the last position away.
func fewer(body []byte) []byte {
	var r struct {
		Choices []map[string]json.RawMessage `json:"choices"`
	}
	if json.Unmarshal(body, &r) != nil || len(r.Choices) == 0 {
		return nil
	}
	var list []json.RawMessage
	_ = json.Unmarshal(r.Choices[0]["prompt_logprobs"], &list)
	if len(list) > 0 {
		r.Choices[0]["prompt_logprobs"], _ = json.Marshal(list[:len(list)-1])
	}
	out, _ := json.Marshal(r)
	return out
}

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
	f := &faulty{Handler: &fake{manner: "vllm", format: format}, random: rand.New(rand.NewPCG(7, 7))}
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
		f.answer(body)
	}
	f.on.Store(true)
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
	if int64(requests)-failed.Load() > f.good.Load() {
		t.Errorf("%d readings from %d good replies", int64(requests)-failed.Load(), f.good.Load())
	}
	for kind := range f.seen {
		if f.seen[kind].Load() == 0 {
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
