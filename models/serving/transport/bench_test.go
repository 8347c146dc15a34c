package transport

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkCapacity keeps a server busy that admits 64 requests and takes 50 ms for each; every reply has 16 KiB, which
// is about 20 positions of vLLM's prompt_logprobs. The share of its places that was in use, measured at the server, and
// the heap in use after a tenth, half and all of the requests are reported.
func BenchmarkCapacity(b *testing.B) {
	const places, latency = 64, 50 * time.Millisecond
	admitted := make(chan bool, places)
	reply := bytes.Repeat([]byte("0123456789abcdef"), 1024)
	var busy atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		admitted <- true
		start := time.Now()
		time.Sleep(latency)
		busy.Add(int64(time.Since(start)))
		<-admitted
		_, _ = w.Write(reply)
	}))
	defer s.Close()
	p, err := New(Options{URLs: []string{s.URL}, Concurrency: places + 8})
	if err != nil {
		b.Fatal(err)
	}
	n := int64(max(b.N, 20*places))
	heap := func(when string) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "MiB-after-"+when)
	}
	b.ResetTimer()
	start := time.Now()
	var next atomic.Int64
	var wait sync.WaitGroup
	for range 2 * places {
		wait.Go(func() {
			for i := next.Add(1); i <= n; i = next.Add(1) {
				if err := p.Do(b.Context(), Request{Path: "/x", Body: fmt.Appendf(nil, `{"prompt":%d}`, i)}); err != nil {
					b.Error(err)
				}
				switch i {
				case n / 10:
					heap("10%")
				case n / 2:
					heap("50%")
				}
			}
		})
	}
	wait.Wait()
	elapsed := time.Since(start)
	b.StopTimer()
	heap("100%")
	b.ReportMetric(100*float64(busy.Load())/(places*float64(elapsed)), "%capacity")
	b.ReportMetric(float64(n)/elapsed.Seconds(), "requests/s")
	if err := p.Close(); err != nil {
		b.Error(err)
	}
}
