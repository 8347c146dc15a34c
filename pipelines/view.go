package pipelines

import (
	"context"
	"fmt"
	"strings"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/pipelines/progress"
	"github.com/profuser/profuser/pipelines/runner"
	"github.com/profuser/profuser/pipelines/wanted"
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
			if wanted.Reads(r.config) {
				of("responses of", r.competitors())
			}
		case "judge":
			if in := r.config.Advantage.Inference; wanted.Judges(r.config) {
				of(step, []string{in.Judge})
			}
		case "evaluate":
			if len(r.config.Evaluate.Files) > 0 {
				of(step, append([]string{"items"}, r.competitors()...))
			}
		case r.extra.Name:
			labels = append(labels, r.extra.Labels...)
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

// SampleOf takes our counters out of a job's metrics.
func SampleOf(m runner.Metrics) progress.Sample {
	sample := progress.Sample{}
	for name, n := range m.Counters {
		if ours, ok := strings.CutPrefix(name, sink.Namespace+"/"); ok {
			sample[ours] = n
		}
	}
	return sample
}

// rejectsText tells the rejects of a dataset, if there are any.
func rejectsText(m dataset.Manifest) string {
	if m.Rejects == 0 {
		return ""
	}
	return fmt.Sprintf(", %d rejected %v", m.Rejects, m.RejectCodes)
}
