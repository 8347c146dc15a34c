package transport

import (
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

// BenchmarkCapacity keeps a server busy that admits 64 requests and takes 50 ms for each. The share of its places that
// was in use, measured at the server, and the growth of the heap are reported.
func BenchmarkCapacity(b *testing.B) {
	const places, latency = 64, 50 * time.Millisecond
	admitted := make(chan bool, places)
	var busy atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		admitted <- true
		start := time.Now()
		time.Sleep(latency)
		busy.Add(int64(time.Since(start)))
		<-admitted
		fmt.Fprint(w, `{"ok":true}`)
	}))
	defer s.Close()
	p, err := New(Options{URLs: []string{s.URL}, Concurrency: places + 8})
	if err != nil {
		b.Fatal(err)
	}
	n := max(b.N, 20*places)
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	before := heap()
	b.ResetTimer()
	start := time.Now()
	var next atomic.Int64
	var wait sync.WaitGroup
	for range 2 * places {
		wait.Go(func() {
			for next.Add(1) <= int64(n) {
				if err := p.Do(b.Context(), Request{Path: "/x", Body: []byte(`{}`)}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wait.Wait()
	elapsed := time.Since(start)
	b.StopTimer()
	b.ReportMetric(100*float64(busy.Load())/(places*float64(elapsed)), "%capacity")
	b.ReportMetric(heap()-before, "MiB-more")
	b.ReportMetric(float64(n)/elapsed.Seconds(), "requests/s")
	if err := p.Close(); err != nil {
		b.Error(err)
	}
}
