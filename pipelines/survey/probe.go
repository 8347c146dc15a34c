package survey

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/pipelines"
	"github.com/profuser/profuser/pipelines/plan"
)

// Probe makes a small run: all steps but evaluate on n prompts, with the models of the configuration, in a temporary
// folder. What it shows goes to out. Nothing of it stays but what endpoint.cache keeps.
func Probe(ctx context.Context, c *config.Config, n int, out io.Writer) (m plan.Measured, err error) {
	rows, err := sample(ctx, c, c.Prompts.Files, n)
	if err != nil {
		return m, err
	}
	dir, err := os.MkdirTemp("", "profuser-probe-*")
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "prompts.jsonl")
	if err := os.WriteFile(file, append(bytes.Join(rows.Raw, []byte("\n")), '\n'), 0o600); err != nil {
		return m, err
	}
	small := *c
	small.Out = filepath.Join(dir, "out")
	small.Prompts.Files, small.Evaluate.Files = []string{file}, nil
	small.Prompts.MaxRejects, small.Generate.MaxRejects, small.Reward.MaxRejects, small.CrossEntropy.MaxRejects, small.Fuse.MaxRejects = 1, 1, 1, 1, 1
	r, err := pipelines.New(ctx, &small, out)
	if err != nil {
		return m, err
	}
	steps := slices.DeleteFunc(slices.Clone(pipelines.Steps), func(step string) bool { return step == "evaluate" })
	if err := r.Do(ctx, steps...); err != nil {
		return m, fmt.Errorf("the probe: %w", err)
	}
	if m, err = Measure(ctx, &small, small.Out, 0); err != nil {
		return m, err
	}
	m.Where = fmt.Sprintf("a probe of %d prompts", len(rows.Raw))
	m.Seconds, m.Latency = map[string]float64{}, map[string]float64{}
	for _, s := range r.Progress() {
		if calls := s.Latencies.Calls(); calls > 0 {
			m.Seconds[s.Label] = s.Elapsed.Seconds() / float64(max(1, s.Rows))
			m.Latency[s.Label] = s.Latencies.Seconds() / float64(calls)
		}
	}
	return m, nil
}
