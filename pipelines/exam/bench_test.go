package exam_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/profuser/profuser/fusion/harness"
	"github.com/profuser/profuser/pipelines/exam"
)

const (
	slots = 64
	// meanReading is the mean time that a slot takes for one text; its logarithm has standard deviation 1.
	meanReading = 50 * time.Millisecond
)

// slotted is a server that reads as many texts at once as it has slots, whatever their requests, as vLLM's scheduler does.
// It answers prompt_logprobs with a constant.
type slotted struct {
	name  string // of the model; calls in flight are counted by it in a process
	lists bool   // takes several texts in one request
	slots chan struct{}
	// texts counts those read, requests the posts, busy the time that slots took; first and last are when the first text began
	// and the last ended, in Unix nanoseconds.
	texts, requests, busy, first, last atomic.Int64
}

func (s *slotted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		_, _ = fmt.Fprintf(w, `{"data":[{"id":%q,"max_model_len":2048}]}`, s.name)
		return
	}
	s.requests.Add(1)
	var q struct{ Prompt json.RawMessage }
	var one []int32
	var several [][]int32
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if json.Unmarshal(q.Prompt, &one) == nil {
		several = [][]int32{one}
	} else if !s.lists || json.Unmarshal(q.Prompt, &several) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var all sync.WaitGroup
	for range several {
		all.Go(s.read)
	}
	all.Wait()
	_, _ = w.Write(replyTo(several))
}

// read takes a slot for as long as a text takes.
func (s *slotted) read() {
	s.slots <- struct{}{}
	began := time.Now()
	s.first.CompareAndSwap(0, began.UnixNano())
	time.Sleep(time.Duration(float64(meanReading) * math.Exp(rand.NormFloat64()-0.5)))
	s.texts.Add(1)
	s.busy.Add(int64(time.Since(began)))
	s.last.Store(time.Now().UnixNano())
	<-s.slots
}

// replyTo has log-probs of -1 at every token but the first.
func replyTo(texts [][]int32) []byte {
	var b bytes.Buffer
	b.WriteString(`{"choices":[`)
	for i, ids := range texts {
		fmt.Fprintf(&b, `%s{"index":%d,"text":"","finish_reason":"length","prompt_logprobs":[null`, map[bool]string{true: ","}[i > 0], i)
		for _, id := range ids[1:] {
			fmt.Fprintf(&b, `,{"%d":{"logprob":-1,"rank":1}}`, id)
		}
		b.WriteString(`]}`)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// share is the part of the slots' time that was spent on texts, from the first text on.
func (s *slotted) share() float64 {
	return float64(s.busy.Load()) / float64(slots*(s.last.Load()-s.first.Load()))
}

// saturate asks a server about n items of four continuations.
func saturate(tb testing.TB, lists bool, n, concurrency int) *slotted {
	tb.Helper()
	dir := tb.TempDir()
	var items bytes.Buffer
	for i := range n {
		fmt.Fprintf(&items, `{"answerKey":"A","choices":{"label":["A","B","C","D"],"text":["frog","fox","bear","wolf"]},"id":"%d","question":"Tell me the animal of %d."}`+"\n", i, i)
	}
	if err := os.WriteFile(filepath.Join(dir, "items.jsonl"), items.Bytes(), 0o666); err != nil {
		tb.Fatal(err)
	}
	s := &slotted{name: fmt.Sprintf("slotted-%v-%d", lists, concurrency), lists: lists, slots: make(chan struct{}, slots)}
	at := httptest.NewServer(s)
	defer at.Close()
	o := exam.Options{
		Endpoint: at.URL, Tokenizer: root + "data/models/target", Concurrency: concurrency, Task: "arc_challenge", Items: filepath.Join(dir, "items.jsonl"),
		Sampling: harness.FirstN, MaxNewTokens: 16, Out: filepath.Join(dir, "out"),
	}
	err := o.Check()
	if err == nil {
		err = exam.Run(tb.Context(), o, io.Discard)
	}
	if err != nil {
		tb.Fatal(err)
	}
	if read := s.texts.Load(); read < int64(4*n) || read > int64(4*n)+8 { // the others are probes
		tb.Errorf("%d texts were read for %d items, want 4 each", read, n)
	}
	return s
}

// TestOneRequestAnItem: a server that takes lists gets one request an item, another one four.
func TestOneRequestAnItem(t *testing.T) {
	const n = 3
	for lists, each := range map[bool]int64{true: 1, false: 4} {
		s := saturate(t, lists, n, 4)
		if got := s.requests.Load(); got < each*n || got > each*n+3 {
			t.Errorf("lists %v: %d requests for %d items, want %d each", lists, got, n, each)
		}
	}
}

// BenchmarkSaturation asks a server of 64 slots about b.N items, with as many items in flight as it has slots, and with
// twice as many: one request a text, and one an item. It reports the share of the slots' time that was busy, and of the
// whole command's.
func BenchmarkSaturation(b *testing.B) {
	for _, lists := range []bool{false, true} {
		for _, concurrency := range []int{slots / 2, slots, 2 * slots} {
			b.Run(fmt.Sprintf("lists=%v/items=%d", lists, concurrency), func(b *testing.B) {
				began := time.Now()
				s := saturate(b, lists, b.N, concurrency)
				b.ReportMetric(100*s.share(), "%busy")
				b.ReportMetric(100*float64(s.busy.Load())/float64(slots*time.Since(began)), "%busy-of-all")
				b.ReportMetric(float64(s.requests.Load())/float64(b.N), "requests/item")
			})
		}
	}
}
