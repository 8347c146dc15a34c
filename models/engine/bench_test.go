package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

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
