package runner

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	beamlog "github.com/apache/beam/sdks/v2/go/pkg/beam/log"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/dataflow" // registers the runner and its flags
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/dataflow/dataflowlib"
	df "google.golang.org/api/dataflow/v1b3"
	"google.golang.org/protobuf/proto"
)

// dataflowPoll is how often a Dataflow job is looked at; the service counts requests.
const dataflowPoll = 15 * time.Second

// DryRun is the error of a Dataflow job with the option dry_run: it was translated and not submitted.
type DryRun struct {
	// Pipeline is the graph in Beam's text form, Job what Dataflow would get, JSON.
	Pipeline, Job string
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
	dry := r.options.Options["dry_run"] == "true"
	id, said, err := r.submitDataflow(ctx, p, j.Name)
	switch {
	case err != nil:
		return fmt.Errorf("submitting the job %s to Dataflow: %w", j.Name, oneLine(err))
	case dry && len(said) >= 2:
		return &DryRun{Pipeline: said[len(said)-2], Job: said[len(said)-1]}
	case id == "":
		return &DryRun{} // a template was written
	}
	client, err := dataflowlib.NewClient(ctx, r.options.Options["dataflow_endpoint"])
	if err != nil {
		return err
	}
	job := dataflowJob{jobs: client.Projects.Locations.Jobs, project: r.options.Options["project"], region: r.options.Options["region"], id: id, poll: dataflowPoll}
	stop := poll(Job{Progress: j.Progress, Poll: max(j.Poll, dataflowPoll)}, job.metrics)
	err = job.wait(ctx, j.Name)
	stop()
	return err
}

// submitDataflow returns the job's id and what Beam's runner logged.
func (r *Runner) submitDataflow(ctx context.Context, p *beam.Pipeline, name string) (id string, said []string, err error) {
	dataflowFlags.Lock()
	defer dataflowFlags.Unlock()
	options := map[string]string{"worker_binary": r.options.WorkerBinary}
	maps.Copy(options, r.options.Options)
	options["job_name"] = dataflowName(options["job_name"], name)
	for key, value := range options {
		if err := flag.Set(key, value); err != nil {
			return "", nil, fmt.Errorf("runner.options: %s: %w", key, err)
		}
	}
	*jobopts.Async = true
	heard := new(hearing)
	beamlog.SetLogger(heard)
	defer beamlog.SetLogger(silent{})
	if err := r.checkSecrets(ctx, p, options); err != nil {
		return "", nil, err
	}
	result, err := beam.Run(ctx, Dataflow, p)
	if result != nil && err == nil {
		id = result.JobID()
	}
	return id, heard.said, err
}

// checkSecrets refuses a job whose graph or options carry a secret.
func (r *Runner) checkSecrets(ctx context.Context, p *beam.Pipeline, options map[string]string) error {
	in := Runner{options: r.options}
	in.options.Environment = Docker
	pipeline, err := in.pipeline(ctx, p, "image")
	if err != nil {
		return err
	}
	data, err := proto.Marshal(pipeline)
	if err != nil {
		return err
	}
	for _, value := range options {
		data = append(append(data, ' '), value...)
	}
	return r.options.secret(data)
}

// hearing keeps Beam's log messages.
type hearing struct {
	mu   sync.Mutex
	said []string
}

// Log implements the Beam logger.
func (h *hearing) Log(_ context.Context, _ beamlog.Severity, _ int, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.said = append(h.said, text)
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// dataflowName is a job's name as Dataflow allows it. While a job runs, Dataflow refuses another of the same name.
func dataflowName(prefix, job string) string {
	if prefix == "" {
		prefix = "profuser"
	}
	return strings.Trim(notInName.ReplaceAllString(strings.ToLower(prefix+"-"+job), "-"), "-")
}

// dataflowJob is a job on the service.
type dataflowJob struct {
	jobs                *df.ProjectsLocationsJobsService
	project, region, id string
	poll                time.Duration
}

// wait looks at the job until it has ended, and cancels it when ctx ends.
func (d dataflowJob) wait(ctx context.Context, name string) error {
	tick := time.NewTicker(d.poll)
	defer tick.Stop()
	misses := 0
	for {
		found, err := d.jobs.Get(d.project, d.region, d.id).Context(ctx).Do()
		switch {
		case ctx.Err() != nil:
			return d.cancel(ctx)
		case err != nil:
			if misses++; misses >= 20 {
				return jobError(name, fmt.Errorf("asking for job %s: %w", d.id, oneLine(err)))
			}
		case found.CurrentState == "JOB_STATE_DONE":
			return nil
		case found.CurrentState == "JOB_STATE_FAILED":
			return jobError(name, d.fault(ctx))
		case slices.Contains([]string{"JOB_STATE_CANCELLED", "JOB_STATE_DRAINED", "JOB_STATE_UPDATED"}, found.CurrentState):
			return fmt.Errorf("job %s ended in %s on Dataflow", d.id, found.CurrentState)
		default:
			misses = 0
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return d.cancel(ctx)
		}
	}
}

// cancel asks the service to end the job.
func (d dataflowJob) cancel(ctx context.Context) error {
	cancelling, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelTime)
	defer stop()
	if _, err := d.jobs.Update(d.project, d.region, d.id, &df.Job{RequestedState: "JOB_STATE_CANCELLED"}).Context(cancelling).Do(); err != nil {
		return fmt.Errorf("cancelling job %s: %w", d.id, oneLine(err))
	}
	return context.Cause(ctx)
}

// fault collects the job's error messages.
func (d dataflowJob) fault(ctx context.Context) error {
	messages, err := d.jobs.Messages.List(d.project, d.region, d.id).MinimumImportance("JOB_MESSAGE_ERROR").Context(ctx).Do()
	if err != nil {
		return fmt.Errorf("job %s failed; its messages cannot be had: %w", d.id, oneLine(err))
	}
	var texts []string
	for _, m := range messages.JobMessages {
		texts = append(texts, m.MessageText)
	}
	if len(texts) == 0 {
		return fmt.Errorf("job %s failed without a message", d.id)
	}
	return errors.New(strings.Join(texts, "\n"))
}

// metrics reads the job's committed counters.
func (d dataflowJob) metrics() (Metrics, error) {
	found, err := d.jobs.GetMetrics(d.project, d.region, d.id).Do()
	if err != nil {
		return Metrics{}, err
	}
	m := newMetrics(d.id)
	for _, u := range found.Metrics {
		n, isNumber := u.Scalar.(float64)
		namespace := u.Name.Context["namespace"]
		if isNumber && namespace != "" && u.Name.Context["tentative"] == "" {
			m.Counters[namespace+"/"+u.Name.Name] += int64(n)
		}
	}
	return m, nil
}
