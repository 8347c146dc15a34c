package pipelines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/models/serving"
	"github.com/profuser/profuser/pipelines/costs"
	"github.com/profuser/profuser/pipelines/progress"
	"github.com/profuser/profuser/pipelines/runner"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/sink"
)

// job is one Beam job over parts.
type job struct {
	// label stands before the progress, such as "generate sage".
	label string
	// inputs are the datasets besides the prompts that the step reads, part by part.
	inputs []string
	// outputs are the datasets that get every part.
	outputs    []output
	maxRejects float64
	// rowsEach is how many rows the step does for each prompt; 0 means 1.
	rowsEach int
	// build adds the step to the pipeline.
	build func(s beam.Scope, url string, open int, parts beam.PCollection) beam.PCollection
	// before, if set, adds what must be done once before, in a job of its own.
	before func(s beam.Scope, url string, parts beam.PCollection)
}

// parts runs a job over the parts of the prompts that are missing, and commits its datasets.
func (r *Run) parts(ctx context.Context, step string, from string, j job) error {
	source, err := r.open(ctx, from)
	if err != nil {
		return err
	}
	n := source.Parts()
	done, err := r.finished(ctx, j.outputs, n)
	if err != nil {
		return err
	}
	work := progress.Work{Parts: int64(n), Rows: source.Manifest.Rows * int64(max(1, j.rowsEach))}
	if done {
		r.board.Before(j.label, work)
		r.say("%-24s finished before", j.label)
		return nil
	}
	for _, name := range j.inputs {
		if d, err := r.open(ctx, name); err != nil {
			return err
		} else if d.Parts() != n {
			return fmt.Errorf("%s has %d parts, %s has %d: make it again from these prompts", name, d.Parts(), from, n)
		}
	}
	var names []string
	for _, o := range j.outputs {
		names = append(names, o.name)
	}
	missing, err := r.missing(ctx, names, n)
	if err != nil {
		return err
	}
	work.PartsBefore = int64(n - len(missing))
	work.RowsBefore = work.Rows * work.PartsBefore / int64(n)
	r.board.Begin(j.label, work)
	record := costs.Begin(step)
	if len(missing) > 0 {
		all := make([]int, n)
		for k := range all {
			all[k] = k
		}
		if j.before != nil {
			if err := r.submit(ctx, j.label+" statistics", false, func(s beam.Scope) { j.before(s, r.store.URL(), sink.Numbers(s, all)) }); err != nil {
				return err
			}
		}
		open := inflight.OpenParts(concurrency, r.config.Prompts.PartRows)
		err = r.submit(ctx, j.label, true, func(s beam.Scope) {
			sink.Commit(s, r.store.URL(), names, n, j.maxRejects, j.build(s, r.store.URL(), open, sink.Numbers(s, missing)))
		})
		if err != nil {
			return err
		}
	}
	if err := r.commit(ctx, j.label, j.outputs, n, j.maxRejects); err != nil {
		return err
	}
	r.board.End(j.label)
	return r.cost(record, source.Manifest.Rows)
}

// submit builds a pipeline and runs it to its end; its counts are those of the step with this label, and of none in a job that
// prepares it.
func (r *Run) submit(ctx context.Context, label string, counted bool, build func(s beam.Scope)) error {
	job := runner.Job{Name: label, Build: build}
	if counted {
		job.Progress = func(m runner.Metrics) { r.board.Observe(label, sampleOf(m)) }
	}
	return r.runner.Run(ctx, job)
}

// runnerOptions are the configuration's, and what no job may carry.
func runnerOptions(c *config.Config) runner.Options {
	r := c.Runner
	if r.Environment == "auto" {
		r.Environment = ""
	}
	return runner.Options{
		Name: r.Name, Endpoint: r.Endpoint, Environment: r.Environment, EnvironmentConfig: r.EnvironmentConfig,
		WorkerBinary: r.WorkerBinary, Options: r.Options, Stall: r.Stall, Secrets: []string{os.Getenv(serving.KeyVariable)},
	}
}

// probe lets workers that are not this process look for what they will need.
func (r *Run) probe(ctx context.Context) error {
	var needs runner.Needs
	for _, m := range r.config.Models {
		needs.Paths = append(needs.Paths, m.Path, m.Tokenizer)
	}
	needs.Paths = slices.DeleteFunc(slices.Concat(needs.Paths, r.config.Prompts.Files, r.config.Evaluate.Files),
		func(path string) bool { return path == "" || strings.Contains(path, "://") })
	if os.Getenv(serving.KeyVariable) != "" {
		needs.Variables = []string{serving.KeyVariable}
	}
	return r.runner.Probe(ctx, r.store, needs)
}

// checkPlaces refuses folders of this machine where workers cannot have them.
func checkPlaces(c *config.Config) error {
	if c.Runner.Name != runner.Dataflow {
		return nil
	}
	for _, file := range append([]string{c.Out}, slices.Concat(c.Prompts.Files, c.Evaluate.Files)...) {
		if !strings.Contains(file, "://") {
			return fmt.Errorf("%s is on this machine, where workers of runner dataflow cannot reach it: want gs:// for out, prompts.files and evaluate.files", file)
		}
	}
	return nil
}

// repeated makes a step until no job of it fails, or the retries are used up. Finished parts are kept.
func (r *Run) repeated(ctx context.Context, name string, step func(context.Context) error) error {
	for left := r.config.Runner.Retries; ; left-- {
		err := step(ctx)
		var failed *runner.JobError
		if !errors.As(err, &failed) || left <= 0 || ctx.Err() != nil {
			return err
		}
		r.say("%-24s failed: %s; %d retries left, the next in %v", name, failed.Text, left, r.config.Runner.RetryWait)
		select {
		case <-time.After(r.config.Runner.RetryWait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
