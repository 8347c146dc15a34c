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

	"github.com/profuser/profuser/pipelines/costs"
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
	if done {
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
	record := costs.Begin(step)
	if len(missing) > 0 {
		all := make([]int, n)
		for k := range all {
			all[k] = k
		}
		if j.before != nil {
			if err := r.submit(ctx, j.label+" statistics", 0, func(s beam.Scope) { j.before(s, r.store.URL(), sink.Numbers(s, all)) }); err != nil {
				return err
			}
		}
		total := int(source.Manifest.Rows) * len(missing) / max(1, n)
		open := inflight.OpenParts(concurrency, r.config.Prompts.PartRows)
		err = r.submit(ctx, j.label, total, func(s beam.Scope) {
			sink.Commit(s, r.store.URL(), names, n, j.maxRejects, j.build(s, r.store.URL(), open, sink.Numbers(s, missing)))
		})
		if err != nil {
			return err
		}
	}
	if err := r.commit(ctx, j.label, j.outputs, n, j.maxRejects); err != nil {
		return err
	}
	return r.cost(record, source.Manifest.Rows)
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
