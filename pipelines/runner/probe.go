package runner

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/transforms/sink"
)

func init() { register.DoFn2x1[context.Context, []byte, error](&probeFn{}) }

// Needs are what a job's workers must find where they run.
type Needs struct {
	// Paths are local files and folders: models, tokenizers, prompts.
	Paths []string
	// Variables are names of environment variables that are set here.
	Variables []string
}

// Probe lets a worker look for what it will need, by a job of one element: a mark that is written into the store now,
// the paths, the variables. Runners whose workers are this process need none.
func (r *Runner) Probe(ctx context.Context, store dataset.Store, needs Needs) (err error) {
	if !r.options.Remote() || r.options.Name == Dataflow {
		return nil
	}
	const mark = "_PROBE"
	if err := store.Create(ctx, mark, []byte("a worker looks for this file\n")); err != nil && !errors.Is(err, dataset.ErrExists) {
		return err
	}
	defer func() { err = errors.Join(err, store.Remove(context.WithoutCancel(ctx), mark)) }()
	err = r.Run(ctx, Job{Name: "probe", Build: func(s beam.Scope) {
		beam.ParDo0(s.Scope("runner.Probe"), &probeFn{Store: store.URL(), Mark: mark, Needs: needs}, beam.Impulse(s))
	}})
	var failed *JobError
	if errors.As(err, &failed) {
		return fmt.Errorf("the workers of runner %s, environment %s: %s", r.options.Name, r.options.Environment, failed.Text)
	}
	return err
}

// probeFn looks on a worker.
type probeFn struct {
	Store, Mark string
	Needs       Needs
}

// ProcessElement fails with the first thing that is not there.
func (f *probeFn) ProcessElement(ctx context.Context, _ []byte) error {
	store, err := dataset.OpenStore(ctx, f.Store)
	if err != nil {
		return sink.Fault(fmt.Errorf("they cannot open out: %w", err))
	}
	there, err := store.Exists(ctx, f.Mark)
	if err != nil {
		return sink.Fault(fmt.Errorf("they cannot read out: %w", err))
	}
	if !there {
		return sink.Fault(fmt.Errorf("they do not see the folder %s that this machine writes: a local out works when all share its file system, else use gs:// or s3://", f.Store))
	}
	for _, path := range f.Needs.Paths {
		if _, err := os.Stat(path); err != nil {
			return sink.Fault(fmt.Errorf("they do not have %s: %w: put it there at the same path, or serve the model (models[].endpoint)", path, errors.Unwrap(err)))
		}
	}
	for _, name := range f.Needs.Variables {
		if os.Getenv(name) == "" {
			return sink.Fault(fmt.Errorf("they lack the environment variable %s, which is set here: set it where they are started", name))
		}
	}
	return nil
}
