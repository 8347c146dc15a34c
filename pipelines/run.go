package pipelines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/pipelines/changes"
	"github.com/profuser/profuser/pipelines/costs"
	"github.com/profuser/profuser/pipelines/opening"
	"github.com/profuser/profuser/pipelines/progress"
	"github.com/profuser/profuser/pipelines/runner"
	"github.com/profuser/profuser/transforms/source"
)

// Run is one invocation: a configuration, the store under its out, and where progress is told.
type Run struct {
	config *config.Config
	store  dataset.Store
	runner *runner.Runner
	// benchmarks say which prompts are contaminated.
	benchmarks source.Benchmarks
	out        io.Writer
	// checked holds what the preconditions found out about each model.
	checked map[string]checkedModel
	refresh bool // see RefreshStatistics
	again   changes.Again
	// found is how the datasets stand, nil when a job has changed that.
	found changes.Findings
	extra Extension

	metricsAddr string // see ServeMetrics
	board       *progress.Board
	display     *progress.Display // while Do works
}

// Steps lists the steps that `profuser run` makes, in order.
var Steps = []string{"ingest", "generate", "reward", "crossentropy", "crossentropy-responses", "judge", "fuse", "evaluate"}

// New opens the store and the runner and checks every precondition: models, tokenizers, templates and files. Nothing is
// written.
func New(ctx context.Context, c *config.Config, out io.Writer) (*Run, error) {
	return open(ctx, c, Extension{}, out, (*Run).check)
}

// open opens a run and checks what it needs.
func open(ctx context.Context, c *config.Config, extra Extension, out io.Writer, check func(*Run, context.Context) error) (*Run, error) {
	if err := checkPlaces(c); err != nil {
		return nil, err
	}
	jobs, err := runner.Open(ctx, runnerOptions(c))
	if err != nil {
		return nil, err
	}
	store, err := dataset.OpenStore(ctx, c.Out)
	if err != nil {
		return nil, err
	}
	r := &Run{config: c, store: store, runner: jobs, out: out, checked: map[string]checkedModel{}, extra: extra}
	if err := check(r, ctx); err != nil {
		return nil, err
	}
	opening.Use()
	return r, nil
}

// Store is the run's store.
func (r *Run) Store() dataset.Store { return r.store }

// Do makes the named steps in their order, unless something that they need is changed or stale and may not be made again.
func (r *Run) Do(ctx context.Context, steps ...string) (err error) {
	known := map[string]func(context.Context) error{
		"ingest": r.ingest, "generate": r.generate, "reward": r.reward, "crossentropy": r.crossEntropy,
		"crossentropy-responses": r.crossEntropyResponses, "judge": r.judge, "fuse": r.fuse, "evaluate": r.evaluate,
	}
	if r.extra.Work != nil {
		known[r.extra.Name] = func(ctx context.Context) error { return r.extra.Work(ctx, r) }
	}
	for _, name := range steps {
		if known[name] == nil {
			return fmt.Errorf("there is no step %q", name)
		}
	}
	if err := r.decide(ctx, steps); err != nil {
		return err
	}
	hide, err := r.show(ctx, steps)
	if err != nil {
		return err
	}
	defer closing(&err, hide)
	if err := r.probe(ctx); err != nil {
		return err
	}
	for _, name := range steps {
		if err := r.repeated(ctx, name, known[name]); err != nil {
			var dry *runner.DryRun
			if errors.As(err, &dry) {
				r.say("%s%s\n%-24s %v", dry.Graph, dry.Job, name, dry)
				return nil
			}
			if ctx.Err() != nil {
				return fmt.Errorf("%s: cancelled; the same command goes on from here", name)
			}
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// Say prints one line about a dataset.
func (r *Run) Say(format string, args ...any) { r.say(format, args...) }

// MayRedo sets what may become of changed datasets; without it a run refuses to start.
func (r *Run) MayRedo(a changes.Again) { r.again = a }

// RetryRejected makes parts with rejects again, those of the steps given or of all, and what was made from them.
func (r *Run) RetryRejected(ctx context.Context, only []string) error {
	found, err := r.stand(ctx)
	if err != nil {
		return err
	}
	steps, retry, err := found.Retried(ctx, r.out, Steps, only)
	if err != nil {
		return err
	}
	r.again.Retry = retry
	return r.Do(ctx, steps...)
}

// options say what a step may make again.
func (r *Run) options(step string) changes.Options {
	return changes.Options{Redo: r.again.Redo || r.again.Retry != nil, Retry: slices.Contains(r.again.Retry, step)}
}

// competitors are the target and the sources, in configured order.
func (r *Run) competitors() []string { return r.config.Competitors() }

// cost keeps what a step cost, beside local results only.
func (r *Run) cost(c *costs.Recording, rows int64) error {
	folder, ok := r.localPath("steps")
	if !ok {
		return nil
	}
	return c.End(folder, int(rows))
}

// commit writes the manifests, and tells rows and rejects.
func (r *Run) commit(ctx context.Context, label string, outputs changes.Findings, o dataset.CommitOptions) error {
	for _, f := range outputs {
		m, err := dataset.Commit(ctx, r.store, f.Dataset.Name, o)
		if err != nil {
			return err
		}
		r.say("%-24s %6d rows in %d parts%s  %s", label, m.Rows, len(m.Parts), rejectsText(m), f.Dataset.Name)
		label = ""
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
