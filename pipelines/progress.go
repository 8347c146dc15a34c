package pipelines

import (
	"context"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/profuser/profuser/pipelines/runner"
	"github.com/profuser/profuser/transforms/sink"
)

// shown is the progress of a job: what it has counted, and how its display ends.
type shown struct {
	rows atomic.Int64
	end  func()
}

// counted takes what a job has counted.
func (s *shown) counted(m runner.Metrics) {
	s.rows.Store(m.Counters[sink.Namespace+"/"+sink.RowsCounter])
}

// watch shows the rows that a job has done until its end is called: a bar on a terminal, a line every ten seconds
// elsewhere. total 0 shows nothing.
func (r *Run) watch(ctx context.Context, label string, total int) *shown {
	job := &shown{end: func() {}}
	if total == 0 {
		return job
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
				rows := int(job.rows.Load())
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
	job.end = func() {
		close(stop)
		<-stopped
		if terminal {
			_ = bar.Finish()
		}
	}
	return job
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
