package pipelines_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/pipelines"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/generate"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/sink"
	"github.com/profuser/profuser/transforms/tally"
)

// instant answers at once, always the same 16 tokens with their top 4.
type instant struct {
	*chat.Format
	answer generate.Answer
}

func (instant) Context() int { return 512 }
func (instant) Close() error { return nil }
func (m instant) Generate(context.Context, generate.Request) (generate.Answer, error) {
	return m.answer, nil
}

func newInstant(tb testing.TB, dir string) instant {
	tb.Helper()
	format, err := chat.Load(dir, chat.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	const tokens, top = 16, 4
	var a generate.Answer
	text := format.Tokenizer().Encode("The answer is one more than that, and it is less than the one after it, they say so here.")
	if len(text) < tokens {
		tb.Fatalf("%d tokens, want %d", len(text), tokens)
	}
	for i, id := range text[:tokens] {
		a.IDs, a.TokenLogProbs, a.TextRank = append(a.IDs, id), append(a.TokenLogProbs, -0.125), append(a.TextRank, 0)
		a.Dist.Counts = append(a.Dist.Counts, top)
		for k := range int32(top) {
			a.Dist.IDs = append(a.Dist.IDs, (id+k*(1+int32(i)))%int32(format.Tokenizer().Size()))
			a.Dist.LogProbs = append(a.Dist.LogProbs, -0.125-2.5*float32(k))
		}
	}
	return instant{format, a}
}

// instantRun is a run of one source over n short prompts, whose source is instant.
func instantRun(b *testing.B, n int) (r *pipelines.Run, step generate.Step, store dataset.Store) {
	b.Helper()
	models, err := filepath.Abs("../data/models")
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	f, err := os.Create(filepath.Join(dir, "prompts.jsonl"))
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(f)
	for i := range n {
		fmt.Fprintf(w, `{"messages":[{"role":"user","content":"How much is %d and one?"}]}`+"\n", i)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(dir, "fusion.yaml")
	text := fmt.Sprintf(`version: 1
prompts: {files: [prompts.jsonl]}
models:
  - {name: target, path: %[1]s/target}
  - {name: a, path: %[1]s/sage}
  - {name: judge, path: %[1]s/judge-a}
target: {model: target, compete: false}
sources: [a]
generate: {temperature: 0, max_new_tokens: 16}
truncate: {top_k: 4}
reward: {models: [judge]}
`, models)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	c, err := config.Load(file, nil)
	if err != nil {
		b.Fatal(err)
	}
	c.Out = filepath.Join(dir, "out")
	if r, err = pipelines.New(b.Context(), c, io.Discard); err != nil {
		b.Fatal(err)
	}
	model := newInstant(b, filepath.Join(models, "sage"))
	generate.Models.Use(func(context.Context, inflight.Model) (generate.Generator, error) { return model, nil })
	step = generate.Step{
		Source: inflight.Model{Name: "a", Concurrency: 128}, Prompts: "prompts", Output: "generations/a", TopP: 1,
		MaxNewTokens: 16, Samples: 1, Seed: c.Seed, Truncate: dist.Truncate{Mass: 1, TopK: 4},
	}
	return r, step, r.Store()
}

// plainly does the same without Beam: as many goroutines as a job has parts open take numbers and make parts.
func plainly(ctx context.Context, step generate.Step, store dataset.Store, partRows int) error {
	if err := dataset.Begin(ctx, store, step.Output, dataset.Header{Schema: schemas.GenerationSchema, ConfigDigest: "test"}); err != nil {
		return err
	}
	in := sink.NewInputs(store)
	prompts, err := dataset.Open(ctx, store, step.Prompts)
	if err != nil {
		return err
	}
	step.Footer.ConfigDigest = "test"
	var next atomic.Int64
	faults := make([]error, inflight.OpenParts(step.Source.Concurrency, partRows))
	var running sync.WaitGroup
	for i := range faults {
		running.Go(func() {
			counts := new(tally.Tally)
			for k := int(next.Add(1)) - 1; k < prompts.Parts() && faults[i] == nil; k = int(next.Add(1)) - 1 {
				files, err := step.Make(ctx, in, k, counts)
				if err == nil {
					err = store.Create(ctx, step.Output+"/"+dataset.PartName(k), files[0])
				}
				faults[i] = err
			}
		})
	}
	running.Wait()
	if err := errors.Join(faults...); err != nil {
		return err
	}
	_, err = dataset.Commit(ctx, store, step.Output, dataset.CommitOptions{Parts: prompts.Parts()})
	return err
}

// BenchmarkOverhead lets a source without latency answer b.N prompts, by a Beam job on Prism and by a plain loop in turns,
// commit included, seven times each. It reports medians of rows a second, and of rows a second of processor time, which
// other work on the machine disturbs less.
func BenchmarkOverhead(b *testing.B) {
	n := max(b.N, 512)
	r, step, store := instantRun(b, n)
	if err := r.Do(b.Context(), "ingest"); err != nil {
		b.Fatal(err)
	}
	ways := []struct {
		name      string
		run       func() error
		wall, cpu []float64
	}{
		{name: "beam", run: func() error { return r.Do(b.Context(), "generate") }},
		{name: "plain", run: func() error { return plainly(b.Context(), step, store, 256) }},
	}
	b.ResetTimer()
	for range 7 {
		for i := range ways {
			w := &ways[i]
			start, used := time.Now(), processorTime(b)
			if err := w.run(); err != nil {
				b.Fatal(err)
			}
			w.wall = append(w.wall, float64(n)/time.Since(start).Seconds())
			w.cpu = append(w.cpu, float64(n)/(processorTime(b)-used).Seconds())
			if err := os.RemoveAll(filepath.Join(store.URL(), step.Output)); err != nil {
				b.Fatal(err)
			}
		}
	}
	median := func(v []float64) float64 { return slices.Sorted(slices.Values(v))[len(v)/2] }
	for _, w := range ways {
		b.Logf("%s, in turns: rows/s %.0f; rows per second of processor time %.0f", w.name, w.wall, w.cpu)
		b.ReportMetric(median(w.wall), w.name+"-rows/s")
		b.ReportMetric(median(w.cpu), w.name+"-rows/cpu-s")
	}
	b.ReportMetric(100*median(ways[0].wall)/median(ways[1].wall), "%of-plain")
	b.ReportMetric(100*median(ways[0].cpu)/median(ways[1].cpu), "%of-plain-cpu")
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
