package pipelines_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/internal/dataset/s3test"
	"github.com/profuser/profuser/pipelines"
	"github.com/profuser/profuser/transforms/transformtest"
)

// runAll is `profuser run` with models that need no weights; it returns what was printed.
func runAll(b *testing.B, c *config.Config, out string) string {
	b.Helper()
	here := *c
	here.Out = out
	var printed strings.Builder
	r, err := pipelines.New(b.Context(), &here, &printed)
	if err != nil {
		b.Fatal(err)
	}
	transformtest.Use(nil) // New has set the engines
	if err := r.Do(b.Context(), pipelines.Steps...); err != nil {
		b.Fatalf("%v\n%s", err, &printed)
	}
	return printed.String()
}

// copied copies all objects of a store to another.
func copied(b *testing.B, from, to string) {
	b.Helper()
	ctx := b.Context()
	source, err := dataset.OpenStore(ctx, from)
	if err != nil {
		b.Fatal(err)
	}
	target, err := dataset.OpenStore(ctx, to)
	if err != nil {
		b.Fatal(err)
	}
	keys, err := source.List(ctx, "")
	if err != nil {
		b.Fatal(err)
	}
	for _, key := range keys {
		data, err := source.Read(ctx, key)
		if err != nil {
			b.Fatal(err)
		}
		if err := target.Create(ctx, key, data); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFinishedRun runs a finished run again, all its datasets of 1,000 parts of one row: on a local folder, and in a
// bucket of the S3 server of the tests, through the real client, each of whose answers waits 20 ms.
func BenchmarkFinishedRun(b *testing.B) {
	const parts, latency = 1000, 20 * time.Millisecond
	dir := project(b)
	for name, question := range map[string]string{"prompts.jsonl": "How much is %d and one?", "items.jsonl": "How much is %d and two?"} {
		var text strings.Builder
		for i := range parts {
			fmt.Fprintf(&text, `{"messages":[{"role":"user","content":"`+question+`"}],"reference":"It is one more.","answer":"%d"}`+"\n", i, i)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text.String()), 0o666); err != nil {
			b.Fatal(err)
		}
	}
	c, err := config.Load(filepath.Join(dir, "fusion.yaml"), []string{"prompts.part_rows=1"})
	if err != nil {
		b.Fatal(err)
	}
	const made = "mem://finished/run"
	runAll(b, c, made)
	server, environment, stop := s3test.Start()
	defer stop()
	for key, value := range environment {
		b.Setenv(key, value)
	}
	var requests atomic.Int64
	for _, where := range []struct{ name, out string }{{"local", filepath.Join(dir, "out")}, {"bucket", "s3://bucket/run"}} {
		server.Fault = nil
		copied(b, made, where.out)
		store, err := dataset.OpenStore(b.Context(), where.out)
		if err != nil {
			b.Fatal(err)
		}
		datasets := allOf(b, store, parts)
		server.Fault = func(http.ResponseWriter, *http.Request) bool {
			requests.Add(1)
			time.Sleep(latency)
			return false
		}
		b.Run(where.name, func(b *testing.B) {
			requests.Store(0)
			for b.Loop() {
				text := runAll(b, c, where.out)
				if n := strings.Count(text, "finished before"); n == 0 || strings.Contains(text, "rows in") {
					b.Fatalf("a finished run was not left alone:\n%s", text)
				}
			}
			b.ReportMetric(float64(requests.Load())/float64(b.N), "requests/op")
			b.ReportMetric(float64(datasets), "datasets")
		})
	}
}

// allOf counts the datasets of a store, each of which must have so many parts.
func allOf(b *testing.B, store dataset.Store, parts int) int {
	b.Helper()
	names, err := dataset.Names(b.Context(), store, "")
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range names {
		if d, err := dataset.Open(b.Context(), store, name); err != nil || d.Parts() != parts {
			b.Fatalf("dataset %s: %v, want %d parts", name, err, parts)
		}
	}
	return len(names)
}
