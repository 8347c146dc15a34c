package pipelines

import (
	"context"
	"encoding/binary"
	"io"
	"os"
	"strings"
	"time"

	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	"github.com/schollz/progressbar/v3"

	"github.com/profuser/profuser/transforms/sink"
)

// watch shows the rows that the newest job has done until the returned function is called: a bar on a terminal, a line
// every ten seconds elsewhere. total 0 shows nothing.
func (r *Run) watch(ctx context.Context, client jobpb.JobServiceClient, label string, total int) func(ok bool) {
	if total == 0 {
		return func(bool) {}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	terminal := isTerminal(r.out)
	var bar *progressbar.ProgressBar
	if terminal {
		bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(r.out), progressbar.OptionSetDescription(label), progressbar.OptionShowCount(),
			progressbar.OptionShowIts(), progressbar.OptionSetItsString("rows"), progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
	}
	began := time.Now()
	go func() {
		defer close(stopped)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		said := began
		for {
			select {
			case <-stop:
				return
			case <-ctx.Done():
				return
			case now := <-tick.C:
				rows := rowsDone(ctx, client)
				if terminal {
					_ = bar.Set(min(rows, total)) // a progress bar that cannot be drawn is no reason to stop
				} else if now.Sub(said) >= 10*time.Second && rows > 0 {
					said = now
					rate := float64(rows) / now.Sub(began).Seconds()
					r.say("%-24s %6d of %d rows, %.1f rows/s, %s left", label, rows, total, rate, time.Duration(float64(total-rows)/rate*1e9).Round(time.Second))
				}
			}
		}
	}()
	return func(bool) {
		close(stop)
		<-stopped
		if terminal {
			_ = bar.Finish()
		}
	}
}

// rowsDone reads the newest job's counter of rows.
func rowsDone(ctx context.Context, client jobpb.JobServiceClient) int {
	jobs, err := client.GetJobs(ctx, &jobpb.GetJobsRequest{})
	if err != nil || len(jobs.GetJobInfo()) == 0 {
		return 0
	}
	newest := ""
	for _, j := range jobs.GetJobInfo() {
		if len(j.GetJobId()) > len(newest) || (len(j.GetJobId()) == len(newest) && j.GetJobId() > newest) {
			newest = j.GetJobId()
		}
	}
	m, err := client.GetJobMetrics(ctx, &jobpb.GetJobMetricsRequest{JobId: newest})
	if err != nil {
		return 0
	}
	rows := 0
	for _, info := range m.GetMetrics().GetAttempted() {
		if info.GetLabels()["NAMESPACE"] == sink.Namespace && info.GetLabels()["NAME"] == sink.RowsCounter && strings.Contains(info.GetType(), "sum_int64") {
			n, _ := binary.Uvarint(info.GetPayload()) // the Beam varint coder: plain base-128, not zigzag
			rows += int(n)
		}
	}
	return rows
}

// isTerminal says whether w is a character device.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
