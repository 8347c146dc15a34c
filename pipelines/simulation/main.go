// Command simulation measures what the data side does with many prompts: it is `make bench-scale`.
//
// Flow in: numbers of prompts, the profuser binary, and how the simulated servers behave: slots, latencies, a rate limit,
// failures. For each number it writes that many short prompts and a configuration whose target, source and reward model
// are servers of this process, and starts ingest, generate, reward, crossentropy and fuse one after another. Flow out: a
// Markdown table of each step's time, processor time and memory, with the memory at a quarter, half and three quarters of
// the step.
//
// The models are trivial on purpose: what is measured is everything beside them. Not here: what the numbers mean
// (docs/scale.md), and the overhead of Beam alone (make bench-overhead).
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	var s simulation
	sizes := flag.String("prompts", "1000,10000,100000,1000000", "numbers of prompts, one run each")
	flag.StringVar(&s.program, "profuser", "bin/profuser", "the program")
	flag.StringVar(&s.models, "models", "data/models", "where the demo's tokenizers are")
	flag.StringVar(&s.folder, "folder", "out/scale", "working folder; its runs are removed before and after")
	flag.IntVar(&s.traffic.slots, "slots", 128, "requests that a server works on at a time")
	flag.DurationVar(&s.traffic.mean, "latency", 20*time.Millisecond, "mean latency")
	flag.Float64Var(&s.traffic.sigma, "sigma", 1, "sigma of the lognormal latency")
	flag.Float64Var(&s.traffic.rate, "rate", 3000, "requests a second, more get status 429; 0: no limit")
	flag.Float64Var(&s.traffic.failures, "failures", 0.005, "share of requests that fail: status 500, a cut connection, a reply that breaks off")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := s.run(ctx, *sizes); err != nil {
		fmt.Fprintln(os.Stderr, "simulation:", err)
		os.Exit(1)
	}
}

// simulation is all runs.
type simulation struct {
	program, models, folder string
	traffic                 traffic
}

// run measures each number of prompts.
func (s *simulation) run(ctx context.Context, sizes string) error {
	fmt.Printf("servers: %d slots, lognormal latency of mean %v and sigma %g, %g requests/s, %.1f %% failures\n\n", s.traffic.slots, s.traffic.mean, s.traffic.sigma, s.traffic.rate, 100*s.traffic.failures)
	fmt.Println("| prompts | step | s | processor s | rows/s | µs of processor/row | MiB at 25 %, 50 %, 75 % | peak MiB, of these anonymous |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	for text := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return fmt.Errorf("flag -prompts: %q, want whole numbers above 0", text)
		}
		if err := s.size(ctx, n); err != nil {
			return fmt.Errorf("%d prompts: %w", n, err)
		}
	}
	return nil
}

// steps are what is measured, in order.
var steps = []string{"ingest", "generate", "reward", "crossentropy", "fuse"}

// size measures one number of prompts.
func (s *simulation) size(ctx context.Context, n int) error {
	dir := filepath.Join(s.folder, strconv.Itoa(n))
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	world, err := startWorld(filepath.Join(s.models, "target"), s.traffic)
	if err != nil {
		return err
	}
	defer world.close()
	file, err := s.write(dir, n, world)
	if err != nil {
		return err
	}
	for _, step := range steps {
		u, err := measure(ctx, s.program, step, file)
		if err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
		fmt.Printf("| %d | %s | %.1f | %.1f | %.0f | %.0f | %.0f, %.0f, %.0f | %.0f, %.0f |\n", n, step, u.wall.Seconds(), u.processor.Seconds(),
			float64(n)/u.wall.Seconds(), 1e6*u.processor.Seconds()/float64(n), u.resident[0], u.resident[1], u.resident[2], u.peak, u.anonymous)
	}
	fmt.Fprintln(os.Stderr, world)
	return os.RemoveAll(dir)
}

// write makes the prompts and the configuration.
func (s *simulation) write(dir string, n int, w *world) (file string, err error) {
	f, err := os.Create(filepath.Join(dir, "prompts.jsonl"))
	if err != nil {
		return "", err
	}
	b := bufio.NewWriter(f)
	for i := range n {
		fmt.Fprintf(b, `{"messages":[{"role":"user","content":"How much is %d and one?"}]}`+"\n", i)
	}
	if err := b.Flush(); err != nil {
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	models, err := filepath.Abs(s.models)
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, "fusion.yaml")
	more := fmt.Sprintf("concurrency: %d, max_wait: 1s, attempts: 30", s.traffic.slots)
	text := fmt.Sprintf(`version: 1
out: out
prompts: {files: [prompts.jsonl]}
models:
  - {name: target, tokenizer: %[1]s/target, endpoint: {urls: [%[5]q], model: target, %[4]s}}
  - {name: source, tokenizer: %[1]s/target, endpoint: {urls: [%[2]q], model: source, %[4]s}}
  - {name: judge, tokenizer: %[1]s/target, endpoint: {urls: [%[3]q], model: judge, %[4]s}}
target: {model: target}
sources: [source]
generate: {temperature: 0, max_new_tokens: 16}
truncate: {top_k: 4}
reward: {models: [judge]}
`, models, w.source.URL, w.judge.URL, more, w.target.URL)
	return file, os.WriteFile(file, []byte(text), 0o666)
}
