package pipelines_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/models/serving/server"
	"github.com/profuser/profuser/pipelines"
)

// canned says one thing, which it has thought of before.
type canned struct {
	quick
	answer engine.GenerateResult
}

func (c canned) Generate(ctx context.Context, r engine.GenerateRequest) (engine.GenerateResult, error) {
	if r.MaxTokens < len(c.answer.IDs) {
		return c.quick.Generate(ctx, r) // the probe
	}
	return c.answer, nil
}

// BenchmarkPromptsOverHTTP lets two served models answer b.N prompts, as profuser run does: ingest, then generate. The
// heap in use of this process, servers included, after a tenth, half and nearly all of the calls is reported.
func BenchmarkPromptsOverHTTP(b *testing.B) {
	n := max(b.N, 64)
	heap := func(when string) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "MiB-after-"+when)
	}
	models, err := filepath.Abs("../data/models")
	if err != nil {
		b.Fatal(err)
	}
	format, err := chat.Load(filepath.Join(models, "target"), chat.Options{})
	if err != nil {
		b.Fatal(err)
	}
	e := canned{quick: quick{format, func([]int32) string { return "The answer is one more than that." }}}
	if e.answer, err = e.quick.Generate(b.Context(), engine.GenerateRequest{PromptIDs: []int32{1}, MaxTokens: 64, Truncate: dist.Truncate{Mass: 1, TopK: 4, Exact: true}}); err != nil {
		b.Fatal(err)
	}
	var asked atomic.Int64
	handler := server.New(e, server.Options{Name: "canned"})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r)
		switch asked.Add(1) {
		case int64(2 * n / 10):
			heap("10%")
		case int64(n):
			heap("50%")
		case int64(2 * n):
			heap("100%")
		}
	}))
	defer s.Close()
	dir := b.TempDir()
	write := func(name string, fill func(w *bufio.Writer)) string {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			b.Fatal(err)
		}
		w := bufio.NewWriter(f)
		fill(w)
		if err := w.Flush(); err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
		return f.Name()
	}
	write("prompts.jsonl", func(w *bufio.Writer) {
		for i := range n {
			fmt.Fprintf(w, `{"messages":[{"role":"user","content":"How much is %d and one?"}]}`+"\n", i)
		}
	})
	file := write("fusion.yaml", func(w *bufio.Writer) {
		fmt.Fprintf(w, `version: 1
prompts: {files: [prompts.jsonl]}
models:
  - {name: a, tokenizer: %[1]s/target, endpoint: {urls: [%[2]q], model: canned}}
  - {name: b, tokenizer: %[1]s/target, endpoint: {urls: [%[2]q], model: canned}}
  - {name: judge, path: %[1]s/judge-a}
target: {model: a}
sources: [b]
generate: {temperature: 0, max_new_tokens: 64}
truncate: {top_k: 4}
reward: {models: [judge]}
`, models, s.URL)
	})
	c, err := config.Load(file, nil)
	if err != nil {
		b.Fatal(err)
	}
	c.Out = filepath.Join(dir, "out")
	r, err := pipelines.New(b.Context(), c, b.Output())
	if err != nil {
		b.Fatal(err)
	}
	if err := r.Do(b.Context(), "ingest"); err != nil {
		b.Fatal(err)
	}
	asked.Store(0)
	b.ResetTimer()
	start := time.Now()
	if err := r.Do(b.Context(), "generate"); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(2*n)/time.Since(start).Seconds(), "answers/s")
	b.ReportMetric(float64(len(e.answer.IDs)), "tokens/answer")
}
