package loop

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

// lineEvery is the time between two lines of progress when there is no terminal.
const lineEvery = 10 * time.Second

// Progress shows steps done, rate and remaining time: a bar on a terminal, a plain line now and then elsewhere.
type Progress struct {
	w           io.Writer
	bar         *progressbar.ProgressBar
	total, done int
	first       int // steps that an earlier run did
	tokens      int64
	start, last time.Time
}

// NewProgress starts a display of total steps.
func NewProgress(w io.Writer, total int) *Progress {
	p := &Progress{w: w, total: total, start: time.Now()}
	p.last = p.start
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			p.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(w), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
				progressbar.OptionSetItsString("steps"), progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(200*time.Millisecond))
		}
	}
	return p
}

// Resume says that an earlier run did the first steps.
func (p *Progress) Resume(done int) {
	p.done, p.first = done, done
	if p.bar != nil {
		_ = p.bar.Set(done) // a bar that cannot be drawn is no reason to stop
	}
}

// Step counts one step with its tokens, padding not counted, and shows state.
func (p *Progress) Step(tokens int, state string) {
	p.done++
	p.tokens += int64(tokens)
	if p.bar != nil {
		p.bar.Describe(state)
		_ = p.bar.Add(1)
		return
	}
	if now := time.Now(); now.Sub(p.last) >= lineEvery || p.done == p.total || p.done == p.first+1 {
		p.last = now
		p.line(now, state)
	}
}

func (p *Progress) line(now time.Time, state string) {
	seconds := now.Sub(p.start).Seconds()
	remaining := time.Duration(seconds / float64(p.done-p.first) * float64(p.total-p.done) * float64(time.Second)).Round(time.Second)
	fmt.Fprintf(p.w, "step %d/%d  %s  %d tokens  %.0f tokens/s  remaining %s\n", p.done, p.total, state, p.tokens, float64(p.tokens)/seconds, remaining)
}

// Finish ends the display.
func (p *Progress) Finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
		fmt.Fprintln(p.w)
	}
}
