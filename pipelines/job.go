package pipelines

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	beamlog "github.com/apache/beam/sdks/v2/go/pkg/beam/log"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/pipelines/changes"
	"github.com/profuser/profuser/pipelines/costs"
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
	if w.Done {
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
			if err := r.submit(ctx, j.label+" statistics", 0, func(s beam.Scope) { before(s, r.store.URL(), sink.Numbers(s, all)) }); err != nil {
				return err
			}
		}
	}
	total := int(from.Manifest.Rows) * len(w.Parts) / max(1, w.Total)
	open := inflight.OpenParts(concurrency, r.config.Prompts.PartRows)
	return r.submit(ctx, j.label, total, func(s beam.Scope) {
		sink.Commit(s, r.store.URL(), j.outputs, commit, j.build(s, r.store.URL(), open, sink.Revised(s, w.Parts, w.Revision)))
	})
}

// server is the job server of this process.
var server = sync.OnceValues(func() (jobpb.JobServiceClient, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting Prism: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return nil, err
	}
	slog.SetDefault(slog.New(slog.DiscardHandler)) // a failed job's error says it; Prism would print pages
	beamlog.SetLogger(silent{})
	client, err := prism.CreateJobServer(context.Background(), prism.Options{Port: port})
	if err != nil {
		return nil, fmt.Errorf("starting Prism: %w", err)
	}
	*jobopts.Endpoint = fmt.Sprintf("localhost:%d", port)
	*jobopts.EnvironmentType = "loopback"
	*jobopts.Experiments = "prism_disable_sdf_split" // one bundle a stage: counters stay monotone
	return client, nil
})

// silent drops Beam's log messages.
type silent struct{}

// Log implements the Beam logger.
func (silent) Log(context.Context, beamlog.Severity, int, string) {}

// submit builds a pipeline, runs it to its end and shows its progress.
func (r *Run) submit(ctx context.Context, label string, total int, build func(s beam.Scope)) error {
	client, err := server()
	if err != nil {
		return err
	}
	p, s := beam.NewPipelineWithRoot()
	build(s)
	shown := r.watch(ctx, client, label, total)
	_, err = beam.Run(ctx, "prism", p)
	shown(err == nil)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if text, ok := sink.FaultText(err); ok {
		return fmt.Errorf("%s", text)
	}
	return err
}
