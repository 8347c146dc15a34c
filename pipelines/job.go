package pipelines

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/serving"
	"github.com/profuser/profuser/pipelines/changes"
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
	// outputs are the names of the datasets that get every part; what they are made from stands in the table.
	outputs    []string
	maxRejects float64
	// calls is how many calls to a model are in flight in one process, 0 for a step that calls none.
	calls int
	// rowsEach is how many rows the step does for each prompt; 0 means 1.
	rowsEach int
	// build adds the step to the pipeline.
	build func(s beam.Scope, url string, open int, parts beam.PCollection) beam.PCollection
	// before, if set, says what must be added once before, in a job of its own; nil: nothing.
	before func(ctx context.Context) (func(s beam.Scope, url string, parts beam.PCollection), error)
	// anew, if set, is called before all parts are made again.
	anew func(ctx context.Context) error
}

// parts runs a job over the parts that are missing or to be made again, and commits its datasets.
func (r *Run) parts(ctx context.Context, step string, j job) error {
	found, err := r.stand(ctx, j.outputs...)
	if err != nil {
		return err
	}
	var outs changes.Findings
	for _, name := range j.outputs {
		outs = append(outs, found.Of(name))
	}
	sources := outs[0].Sources
	from, err := r.open(ctx, found, sources[0])
	if err != nil {
		return err
	}
	w, err := changes.Prepare(ctx, outs, found, r.options(step))
	if err != nil {
		return err
	}
	work := progress.Work{Parts: int64(w.Total), Rows: from.Manifest.Rows * int64(max(1, j.rowsEach))}
	if w.Done {
		r.board.Before(j.label, work)
		r.say("%-24s finished before", j.label)
		return outs.Sweep(ctx)
	}
	for _, name := range sources {
		if d, err := r.open(ctx, found, name); err != nil {
			return err
		} else if d.Parts() != w.Total {
			return fmt.Errorf("%s has %d parts, %s has %d: make it again from these prompts", name, d.Parts(), sources[0], w.Total)
		}
	}
	r.found = nil
	if w.Anew && j.anew != nil {
		if err := j.anew(ctx); err != nil {
			return err
		}
	}
	for _, f := range outs {
		h := f.Header
		h.Revision = w.Revision
		if err := dataset.Begin(ctx, r.store, f.Dataset.Name, h); err != nil {
			return err
		}
	}
	work.PartsBefore = int64(w.Total - len(w.Parts))
	work.RowsBefore = work.Rows * work.PartsBefore / int64(w.Total)
	r.board.Begin(j.label, work)
	record := costs.Begin(step)
	commit := dataset.CommitOptions{Parts: w.Total, MaxRejects: j.maxRejects, Revision: w.Revision, Sources: sources, Reason: w.Reason}
	if len(w.Parts) > 0 {
		if err := r.make(ctx, j, w, from, commit); err != nil {
			return err
		}
	}
	if err := r.commit(ctx, j.label, outs, commit); err != nil {
		return err
	}
	r.board.End(j.label)
	return r.cost(record, from.Manifest.Rows)
}

// make runs the jobs.
func (r *Run) make(ctx context.Context, j job, w changes.Work, from *dataset.Dataset, commit dataset.CommitOptions) error {
	if j.before != nil {
		before, err := j.before(ctx)
		if err != nil {
			return err
		}
		all := make([]int, w.Total)
		for k := range all {
			all[k] = k
		}
		if before != nil {
			if err := r.submit(ctx, j.label+" statistics", false, func(s beam.Scope) { before(s, r.store.URL(), sink.Numbers(s, all, 1)) }); err != nil {
				return err
			}
		}
	}
	open := inflight.OpenParts(j.calls, r.config.Prompts.PartRows)
	return r.submit(ctx, j.label, true, func(s beam.Scope) {
		sink.Commit(s, r.store.URL(), j.outputs, commit, j.build(s, r.store.URL(), open, sink.Numbers(s, w.Parts, w.Revision)))
	})
}

// submit builds a pipeline and runs it to its end; its counts are those of the step with this label, and of none in a job that
// prepares it.
func (r *Run) submit(ctx context.Context, label string, counted bool, build func(s beam.Scope)) error {
	job := runner.Job{Name: label, Build: build}
	if counted {
		job.Progress = func(m runner.Metrics) { r.board.Observe(label, SampleOf(m)) }
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
