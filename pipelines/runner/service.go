package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	df "google.golang.org/api/dataflow/v1b3"
)

// dataflowPoll is how often a Dataflow job is looked at; the service counts requests.
const dataflowPoll = 15 * time.Second

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
