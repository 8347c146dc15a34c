package progress

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/profuser/profuser/transforms/tally"
)

// Status is one step at one moment.
type Status struct {
	// Label is the step with its model, such as "generate sage".
	Label string
	// State is where it is, Work what it has to do.
	State State
	Work  Work
	// Parts and Rows are done, by this run or before; Rejects were rejected by this run.
	Parts, Rows, Rejects int64
	// RowRate and TokenRate are per second: over the last minute while the step runs, over all of it afterwards. Tokens are
	// those given and those written or read.
	RowRate, TokenRate float64
	// Latencies are those of the calls that ended, InFlight is the number of those that have not.
	Latencies tally.Latencies
	InFlight  int64
	// Elapsed is how long it has run, Left what remains at RowRate if LeftKnown.
	Elapsed, Left time.Duration
	LeftKnown     bool
	// Counters are all counters by name.
	Counters map[string]int64
}

// Share is how much of the step is done, 0 to 1.
func (s Status) Share() float64 {
	switch {
	case s.State == Done:
		return 1
	case s.Work.Rows > 0:
		return min(1, float64(s.Rows)/float64(s.Work.Rows))
	case s.Work.Parts > 0:
		return min(1, float64(s.Parts)/float64(s.Work.Parts))
	}
	return 0
}

// Line tells a running step in one line of text.
func (s Status) Line() string {
	facts := []string{whole(s.Rows) + " rows"}
	if s.Work.Rows > 0 {
		facts[0] = fmt.Sprintf("%s of %s rows", whole(s.Rows), whole(s.Work.Rows))
	}
	if s.Work.Parts > 0 {
		facts = append(facts, fmt.Sprintf("%s of %s parts", whole(s.Parts), whole(s.Work.Parts)))
	}
	facts = append(facts, rate(s.RowRate)+" rows/s")
	if s.TokenRate > 0 {
		facts = append(facts, rate(s.TokenRate)+" tokens/s")
	}
	if s.Latencies.Calls() > 0 {
		facts = append(facts, "latency p50 "+brief(s.Latencies.Quantile(0.5))+" p99 "+brief(s.Latencies.Quantile(0.99)))
	}
	if s.InFlight > 0 {
		facts = append(facts, whole(s.InFlight)+" in flight")
	}
	if s.Rejects > 0 {
		facts = append(facts, whole(s.Rejects)+" rejected")
	}
	if s.LeftKnown {
		facts = append(facts, brief(s.Left)+" left")
	}
	return fmt.Sprintf("%-24s %s", s.Label, strings.Join(facts, ", "))
}

// whole writes a number with commas between thousands.
func whole(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// rate writes a number of something per second in few characters.
func rate(x float64) string {
	switch {
	case x < 9.95:
		return strconv.FormatFloat(x, 'f', 1, 64)
	case x < 99999.5:
		return whole(int64(x + 0.5))
	case x < 999.5e6:
		return strconv.FormatFloat(x/1e6, 'f', 2, 64) + "M"
	}
	return strconv.FormatFloat(x/1e9, 'f', 2, 64) + "G"
}

// brief writes a duration with two units at most: 850ms, 2.4s, 43s, 3m20s, 5h07m, 3d04h.
func brief(d time.Duration) string {
	round := func(unit time.Duration) int64 { return int64(d.Round(unit) / unit) }
	switch {
	case d < time.Millisecond && d > 0:
		return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 1, 64) + "ms"
	case d < 999500*time.Microsecond:
		return strconv.FormatInt(round(time.Millisecond), 10) + "ms"
	case d < 9950*time.Millisecond:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
	case d < 59500*time.Millisecond:
		return strconv.FormatInt(round(time.Second), 10) + "s"
	case d < time.Hour-500*time.Millisecond:
		s := round(time.Second)
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case d < 24*time.Hour-30*time.Second:
		m := round(time.Minute)
		return fmt.Sprintf("%dh%02dm", m/60, m%60)
	}
	h := round(time.Hour)
	return fmt.Sprintf("%dd%02dh", h/24, h%24)
}
