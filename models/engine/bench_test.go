package engine

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/profuser/profuser/models/processor"
	"github.com/profuser/profuser/schemas"
)

// item is a held-out item of the demo, in one model's tokens.
type item struct{ prompt, text []int32 }

// items reads the demo's held-out items for a model.
func items(b *testing.B, e *Engine) []item {
	b.Helper()
	f, err := os.Open(filepath.Join("..", "..", "data", "heldout.jsonl"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var out []item
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var row struct {
			Messages  []schemas.Message `json:"messages"`
			Reference string            `json:"reference"`
		}
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			b.Fatal(err)
		}
		x, err := e.Format().Encode(row.Messages, row.Reference, true)
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, item{x.PromptIDs, x.TextIDs})
	}
	if err := lines.Err(); err != nil {
		b.Fatal(err)
	}
	return out
}

// together calls f for every item at once, as a step does, and returns the sum of what f counts.
func together(items []item, f func(item) int) (total int) {
	var group sync.WaitGroup
	var mu sync.Mutex
	for _, x := range items {
		group.Go(func() {
			n := f(x)
			mu.Lock()
			defer mu.Unlock()
			total += n
		})
	}
	group.Wait()
	return total
}

// BenchmarkDemo measures the demo models on the demo's held-out items: answers in one stream and in batches, and
// references read by teacher forcing (prompt tokens not counted).
func BenchmarkDemo(b *testing.B) {
	for _, name := range []string{"target", "sage"} {
		for _, o := range []Options{{BatchRows: 1, Batches: 1}, {}} {
			e := open(b, filepath.Join("..", "..", "data", "models", name), o)
			all := items(b, e)
			if o.BatchRows == 1 {
				all = all[:32]
			}
			measure := func(what string, f func(item) int) {
				b.Run(fmt.Sprintf("%s/%s/rows=%d", what, name, e.options.BatchRows), func(b *testing.B) {
					tokens := 0
					for b.Loop() {
						tokens += together(all, f)
					}
					b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
				})
			}
			ctx := context.Background()
			measure("generate", func(x item) int {
				r, err := e.Generate(ctx, GenerateRequest{PromptIDs: x.prompt, MaxTokens: 64, Truncate: top})
				if err != nil {
					b.Error(err)
				}
				return len(r.IDs)
			})
			measure("score", func(x item) int {
				r, err := e.Score(ctx, ScoreRequest{PromptIDs: x.prompt, TextIDs: x.text, Truncate: top})
				if err != nil {
					b.Error(err)
				}
				return len(r.TokenLogProbs)
			})
		}
	}
}

// BenchmarkSmolLM2 measures SmolLM2-135M on problems of ../shared/data: teacher forcing with the number of floating point
// operations of its products a CPU-second, beside those of a plain product of 1024 by 1024 matrices, and answers in one
// stream and in batches. SMOLLM2 is the model's directory (../shared/tools/smollm2.py writes it).
func BenchmarkSmolLM2(b *testing.B) {
	dir := os.Getenv("SMOLLM2")
	if dir == "" {
		b.Skip("SMOLLM2 does not name a directory with the model")
	}
	ctx := context.Background()
	b.Run("product", func(b *testing.B) { measureProduct(b) })
	for _, o := range []Options{{BatchRows: 1, Batches: 1}, {}} {
		e := open(b, dir, o)
		all := problems(b, e, 64)
		if o.BatchRows == 1 {
			all = all[:4]
		}
		b.Run(fmt.Sprintf("score/rows=%d", e.options.BatchRows), func(b *testing.B) {
			positions := 0
			start := cpuSeconds()
			for b.Loop() {
				positions += together(all, func(x item) int {
					if _, err := e.Score(ctx, ScoreRequest{PromptIDs: x.prompt, TextIDs: x.text, Truncate: top}); err != nil {
						b.Error(err)
					}
					return len(x.prompt) + len(x.text)
				})
			}
			used := cpuSeconds() - start
			b.ReportMetric(float64(positions)/b.Elapsed().Seconds(), "positions/s")
			b.ReportMetric(2*float64(multiplications(e))*float64(positions)/used/1e9, "GFLOP/CPU-s")
		})
		b.Run(fmt.Sprintf("generate/rows=%d", e.options.BatchRows), func(b *testing.B) {
			tokens := 0
			for b.Loop() {
				tokens += together(all, func(x item) int {
					r, err := e.Generate(ctx, GenerateRequest{PromptIDs: x.prompt, MaxTokens: 64, Temperature: 0.7, TopP: 0.95, Truncate: top})
					if err != nil {
						b.Error(err)
					}
					return len(r.IDs)
				})
			}
			b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}

// multiplications counts those of a token's products with the model's matrices; attention's own are left out.
func multiplications(e *Engine) (n int) {
	for v := range e.store.IterVariables() {
		if strings.HasSuffix(v.Path(), "/turned") {
			n += v.Shape().Size()
		}
	}
	return n
}

// problems reads n problems of ../shared/data for a model.
func problems(b *testing.B, e *Engine, n int) (out []item) {
	b.Helper()
	f, err := os.Open(filepath.Join("..", "..", "..", "shared", "data", "gsm8k_train_2000.jsonl.gz"))
	if err != nil {
		b.Skip("the problems are not here: ", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		b.Fatal(err)
	}
	for d := json.NewDecoder(z); len(out) < n; {
		var row struct{ Question, Answer string }
		if err := d.Decode(&row); err != nil {
			b.Fatal(err)
		}
		x, err := e.Format().Encode([]schemas.Message{{Role: "user", Content: row.Question}}, row.Answer, true)
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, item{x.PromptIDs, x.TextIDs})
	}
	return out
}

// measureProduct reports the rate of a product of two 1024 by 1024 matrices.
func measureProduct(b *testing.B) {
	computes, err := processor.Open("")
	if err != nil {
		b.Fatal(err)
	}
	defer computes.Finalize()
	const n = 1024
	x, err := graph.NewExec(computes, func(x, y *graph.Node) *graph.Node {
		return graph.Dot(x, y).General([]int{1}, nil, []int{0}, nil)
	})
	if err != nil {
		b.Fatal(err)
	}
	m := tensors.FromFlatDataAndDimensions(make([]float32, n*n), n, n)
	start := cpuSeconds()
	for b.Loop() {
		out, err := x.Call(m, m)
		if err != nil {
			b.Fatal(err)
		}
		out[0].MustFinalizeAll()
	}
	b.ReportMetric(2*n*n*n*float64(b.N)/(cpuSeconds()-start)/1e9, "GFLOP/CPU-s")
}

// cpuSeconds is the processor time of this process.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
