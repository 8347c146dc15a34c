package runner

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	beamlog "github.com/apache/beam/sdks/v2/go/pkg/beam/log"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/dataflow" // registers the runner and its flags
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/dataflow/dataflowlib"
	"google.golang.org/protobuf/proto"
)

// DryRun is the error of a Dataflow job with the option dry_run: it was translated and not submitted.
type DryRun struct {
	// Graph lists the transforms, Job is what Dataflow would get, JSON.
	Graph, Job string
}

// Error says what happened.
func (*DryRun) Error() string { return "dry run: the job was translated, not submitted" }

// dataflowFlags guards the flags of this process, which Beam's Dataflow runner reads.
var dataflowFlags sync.Mutex

// needed are the options without which Dataflow takes no job.
var needed = []string{"project", "region", "staging_location"}

// checkDataflow says which options are unknown or missing.
func checkDataflow(o Options) error {
	for _, name := range needed {
		if o.Options[name] == "" {
			return fmt.Errorf("runner.options: %s is missing, which runner dataflow needs (--runner-option %s=…)", name, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Options)) {
		f := flag.Lookup(name)
		if f == nil {
			return fmt.Errorf("runner.options: %s is no option of runner dataflow; docs/runners.md lists them", name)
		}
		if err := f.Value.Set(o.Options[name]); err != nil {
			return fmt.Errorf("runner.options: %s is %q: %w", name, o.Options[name], err)
		}
	}
	return nil
}

// runDataflow submits a job without waiting, so that its id is known, and then follows it.
func (r *Runner) runDataflow(ctx context.Context, p *beam.Pipeline, j Job) error {
	graph, err := r.checkSecrets(ctx, p)
	if err != nil {
		return err
	}
	id, said, err := r.submitDataflow(ctx, p, j.Name)
	switch {
	case err != nil:
		return fmt.Errorf("submitting the job %s to Dataflow: %w", j.Name, oneLine(err))
	case id == "": // of a dry run, or a template was written
		return &DryRun{Graph: graph, Job: said}
	}
	client, err := dataflowlib.NewClient(ctx, r.options.Options["dataflow_endpoint"])
	if err != nil {
		return err
	}
	job := dataflowJob{jobs: client.Projects.Locations.Jobs, project: r.options.Options["project"], region: r.options.Options["region"], id: id, poll: dataflowPoll}
	j.Poll = max(j.Poll, dataflowPoll)
	return r.followed(ctx, j, job.metrics, func(ctx context.Context) error { return job.wait(ctx, j.Name) })
}

// submitDataflow returns the job's id and the last that Beam's runner logged, which in a dry run is the job.
func (r *Runner) submitDataflow(ctx context.Context, p *beam.Pipeline, name string) (id, said string, err error) {
	dataflowFlags.Lock()
	defer dataflowFlags.Unlock()
	options := map[string]string{"worker_binary": r.options.WorkerBinary}
	maps.Copy(options, r.options.Options)
	options["job_name"] = dataflowName(options["job_name"], name)
	for key, value := range options {
		if err := flag.Set(key, value); err != nil {
			return "", "", fmt.Errorf("runner.options: %s: %w", key, err)
		}
	}
	*jobopts.Async = true
	heard := new(hearing)
	beamlog.SetLogger(heard)
	defer beamlog.SetLogger(silent{})
	result, err := beam.Run(ctx, Dataflow, p)
	if result != nil && err == nil {
		id = result.JobID()
	}
	return id, heard.last, err
}

// checkSecrets refuses a job whose graph or options carry a secret, and returns the graph.
func (r *Runner) checkSecrets(ctx context.Context, p *beam.Pipeline) (graph string, err error) {
	in := Runner{options: r.options}
	in.options.Environment = Docker
	pipeline, err := in.pipeline(ctx, p, "image")
	if err != nil {
		return "", err
	}
	data, err := proto.Marshal(pipeline)
	if err != nil {
		return "", err
	}
	for _, value := range r.options.Options {
		data = append(append(data, ' '), value...)
	}
	return graphText(pipeline), r.options.secret(data)
}

// hearing keeps Beam's last log message.
type hearing struct {
	mu   sync.Mutex
	last string
}

// Log implements the Beam logger.
func (h *hearing) Log(_ context.Context, _ beamlog.Severity, _ int, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = text
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// dataflowName is a job's name as Dataflow allows it. While a job runs, Dataflow refuses another of the same name.
func dataflowName(prefix, job string) string {
	if prefix == "" {
		prefix = "profuser"
	}
	return strings.Trim(notInName.ReplaceAllString(strings.ToLower(prefix+"-"+job), "-"), "-")
}
