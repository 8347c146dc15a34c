package pipelines

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/pipelines/progress"
	"github.com/profuser/profuser/transforms/sink"
	"github.com/profuser/profuser/transforms/tally"
)

// ServeMetrics makes Do answer at addr, HOST:PORT, with Prometheus metrics and a status page while it works.
func (r *Run) ServeMetrics(addr string) { r.metricsAddr = addr }

// show begins to show the run; hide ends it.
func (r *Run) show(ctx context.Context, steps []string) (hide func() error, err error) {
	r.board = progress.NewBoard(r.labels(steps), nil)
	closeServer := func() error { return nil }
	if r.metricsAddr != "" {
		url, closing, err := progress.Serve(r.metricsAddr, progress.Handler(r.board, r.config.Out, tally.RecentRejects))
		if err != nil {
			return nil, err
		}
		closeServer = closing
		r.say("status page at %s, metrics at %s/metrics", url, url)
	}
	r.display = progress.Show(ctx, r.board, r.out)
	return func() error {
		r.board.Stop()
		r.display.Close()
		r.display = nil
		return closeServer()
	}, nil
}

// Progress is what the steps of Do have done so far.
func (r *Run) Progress() []progress.Status {
	steps, _ := r.board.Snapshot()
	return steps
}

// labels are what the steps call themselves in the view, in order.
func (r *Run) labels(steps []string) (labels []string) {
	of := func(step string, names []string) {
		for _, name := range names {
			labels = append(labels, step+" "+name)
		}
	}
	for _, step := range steps {
		switch step {
		case "generate", "crossentropy":
			of(step, r.competitors())
		case "reward":
			of(step, r.config.Reward.Models)
		case "crossentropy-responses":
			if r.targetReads() {
				of("responses of", r.competitors())
			}
		case "judge":
			if in := r.config.Advantage.Inference; in.Method == advantage.Judge {
				of(step, []string{in.Judge})
			}
		case "evaluate":
			if len(r.config.Evaluate.Files) > 0 {
				of(step, append([]string{"items"}, r.competitors()...))
			}
		default:
			labels = append(labels, step)
		}
	}
	return labels
}

// say prints one line about a dataset.
func (r *Run) say(format string, args ...any) {
	if r.display != nil {
		r.display.Say(fmt.Sprintf(format, args...))
		return
	}
	fmt.Fprintf(r.out, format+"\n", args...)
}

// pollEvery is how often a job's counters are read.
const pollEvery = 500 * time.Millisecond

// poll reads the counters of the newest job until stop is called, which reads them once more.
func (r *Run) poll(ctx context.Context, client jobpb.JobServiceClient, label string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	stopped := make(chan struct{})
	look := func() {
		if sample, err := newestCounters(ctx, client); err == nil { // what cannot be read now is read next time
			r.board.Observe(label, sample)
		}
	}
	go func() {
		defer close(stopped)
		tick := time.NewTicker(pollEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				look()
			}
		}
	}()
	return func() {
		look()
		cancel()
		<-stopped
	}
}

// newestCounters reads our counters of the job that was submitted last.
func newestCounters(ctx context.Context, client jobpb.JobServiceClient) (progress.Sample, error) {
	jobs, err := client.GetJobs(ctx, &jobpb.GetJobsRequest{})
	if err != nil {
		return nil, err
	}
	newest := ""
	for _, j := range jobs.GetJobInfo() {
		if len(j.GetJobId()) > len(newest) || (len(j.GetJobId()) == len(newest) && j.GetJobId() > newest) {
			newest = j.GetJobId()
		}
	}
	if newest == "" {
		return nil, errors.New("no job yet")
	}
	m, err := client.GetJobMetrics(ctx, &jobpb.GetJobMetricsRequest{JobId: newest})
	if err != nil {
		return nil, err
	}
	sample := progress.Sample{}
	add := func(infos []*pipepb.MonitoringInfo) { // what has been attempted of running bundles, what has been committed of others
		sums := map[string]int64{}
		for _, info := range infos {
			if labels := info.GetLabels(); labels["NAMESPACE"] == sink.Namespace && strings.Contains(info.GetType(), "sum_int64") {
				n, _ := binary.Uvarint(info.GetPayload()) // the Beam varint coder: plain base-128, not zigzag
				sums[labels["NAME"]] += int64(n)
			}
		}
		for name, n := range sums {
			sample[name] = max(sample[name], n)
		}
	}
	add(m.GetMetrics().GetAttempted())
	add(m.GetMetrics().GetCommitted())
	return sample, nil
}
