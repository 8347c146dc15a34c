package server

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
)

// counts are the numbers of /metrics.
type counts struct {
	mu                sync.Mutex
	requests          map[string]int64 // by path
	faults            int64
	running, most     int64
	prompt, generated int64 // tokens
}

// begin counts a request until the function that it returns is called.
func (c *counts) begin(path string) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.requests == nil {
		c.requests = map[string]int64{}
	}
	c.requests[path]++
	c.running++
	c.most = max(c.most, c.running)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running--
	}
}

func (c *counts) fault() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults++
}

func (c *counts) tokens(prompt, generated int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.prompt += int64(prompt)
	c.generated += int64(generated)
}

// serve writes the numbers in the text format of Prometheus.
func (c *counts) serve(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	var paths []string
	for p := range c.requests {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	fmt.Fprint(w, "# TYPE profuser_requests_total counter\n")
	for _, p := range paths {
		fmt.Fprintf(w, "profuser_requests_total{path=%q} %d\n", p, c.requests[p])
	}
	fmt.Fprintf(w, "# TYPE profuser_request_faults_total counter\nprofuser_request_faults_total %d\n", c.faults)
	fmt.Fprintf(w, "# TYPE profuser_requests_running gauge\nprofuser_requests_running %d\n", c.running)
	fmt.Fprintf(w, "# TYPE profuser_requests_running_max gauge\nprofuser_requests_running_max %d\n", c.most)
	fmt.Fprintf(w, "# TYPE profuser_tokens_total counter\nprofuser_tokens_total{kind=\"prompt\"} %d\nprofuser_tokens_total{kind=\"generated\"} %d\n", c.prompt, c.generated)
}
