package progress

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/schemas"
)

// clock is a time that tests move.
type clock struct{ now time.Time }

func (c *clock) time() time.Time { return c.now }

// scene is a run of six steps in the middle of the third.
func scene() (*Board, *clock) {
	c := &clock{time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)}
	b := NewBoard([]string{"ingest", "generate target", "generate llama-2-7b-chat", "reward judge", "crossentropy target", "fuse"}, c.time)
	b.Before("ingest", Work{Parts: 235, Rows: 60000})
	b.Begin("generate target", Work{Parts: 235, Rows: 60000, PartsBefore: 100, RowsBefore: 25600})
	for i := range 100 {
		c.now = c.now.Add(10 * time.Second)
		n := int64(i + 1)
		b.Observe("generate target", Sample{"rows": 344 * n, "parts": 135 * n / 100, "calls": 344 * n, "prompt_tokens": 70000 * n, "text_tokens": 100000 * n, "call_seconds_le_5": 340 * n, "call_seconds_le_30": 4 * n})
	}
	b.End("generate target")
	b.Begin("generate llama-2-7b-chat", Work{Parts: 235, Rows: 60000})
	for i := range 30 {
		c.now = c.now.Add(500 * time.Millisecond)
		n := int64(i + 1)
		b.Observe("generate llama-2-7b-chat", Sample{"rows": 20 * n, "parts": n / 15, "rejects": n / 10, "rejects_too_long": n / 10, "calls": 20*n + 64, "prompt_tokens": 4000 * n, "text_tokens": 6000 * n, "call_seconds_le_1.5": 10 * n, "call_seconds_le_3": 10 * n})
	}
	b.Observe("generate llama-2-7b-chat", Sample{"rows": 3}) // a runner whose counters fall
	return b, c
}

// TestFrames draws the table at several sizes: testdata/frames.
func TestFrames(t *testing.T) {
	datadriven.RunTest(t, "testdata/frames", func(t *testing.T, d *datadriven.TestData) string {
		b, _ := scene()
		steps, elapsed := b.Snapshot()
		if d.Cmd == "line" {
			return steps[2].Line() + "\n"
		}
		var width, height int
		d.ScanArgs(t, "width", &width)
		d.ScanArgs(t, "height", &height)
		var out strings.Builder
		lines := Table(steps, elapsed, width, height)
		for _, line := range lines {
			if n := utf8.RuneCountInString(line.Text); n >= width {
				t.Errorf("%d characters at width %d: %s", n, width, line.Text)
			}
			fmt.Fprintln(&out, line.Text)
		}
		if len(lines) > height {
			t.Errorf("%d lines at height %d", len(lines), height)
		}
		return out.String()
	})
}

// TestSizes draws the table at every size: nothing is wider or higher than the terminal.
func TestSizes(t *testing.T) {
	b, _ := scene()
	steps, elapsed := b.Snapshot()
	for width := 1; width < 140; width++ {
		for height := 1; height < 12; height++ {
			lines := Table(steps, elapsed, width, height)
			if len(lines) > height {
				t.Errorf("%d lines at height %d", len(lines), height)
			}
			for _, line := range lines {
				if n := utf8.RuneCountInString(line.Text); n >= max(2, width) {
					t.Errorf("%d characters at width %d: %s", n, width, line.Text)
				}
			}
		}
	}
}

// screen is a terminal as far as Display needs one.
type screen struct {
	width  int
	lines  [][]rune
	at, x  int
	hidden bool
}

var sequence = regexp.MustCompile(`^\x1b\[(\??)(\d*)([A-Za-z])`)

func (s *screen) Write(p []byte) (int, error) {
	text := string(p)
	for text != "" {
		if m := sequence.FindStringSubmatch(text); m != nil {
			text = text[len(m[0]):]
			n, _ := strconv.Atoi(m[2])
			switch m[3] {
			case "A":
				s.at = max(0, s.at-n)
			case "K":
				s.line()
				s.lines[s.at] = s.lines[s.at][:min(s.x, len(s.lines[s.at]))]
			case "J":
				s.line()
				s.lines[s.at] = s.lines[s.at][:min(s.x, len(s.lines[s.at]))]
				s.lines = s.lines[:s.at+1]
			case "l", "h":
				s.hidden = m[3] == "l"
			case "m":
			default:
				return 0, fmt.Errorf("unknown sequence %q", m[0])
			}
			continue
		}
		r, size := utf8.DecodeRuneInString(text)
		text = text[size:]
		switch r {
		case '\r':
			s.x = 0
		case '\n':
			s.at++
			s.line()
		default:
			s.line()
			if s.x == s.width { // wraps
				s.at, s.x = s.at+1, 0
				s.line()
			}
			for len(s.lines[s.at]) <= s.x {
				s.lines[s.at] = append(s.lines[s.at], ' ')
			}
			s.lines[s.at][s.x] = r
			s.x++
		}
	}
	return len(p), nil
}

func (s *screen) line() {
	for len(s.lines) <= s.at {
		s.lines = append(s.lines, nil)
	}
}

func (s *screen) String() string {
	var out []string
	for _, line := range s.lines {
		out = append(out, strings.TrimRight(string(line), " "))
	}
	return strings.TrimRight(strings.Join(out, "\n"), "\n")
}

// TestDisplayOnATerminal draws, says lines and closes on a terminal of text: the table stays below the lines, and
// nothing is left of it, the hidden cursor included.
func TestDisplayOnATerminal(t *testing.T) {
	b, c := scene()
	s := &screen{width: 80}
	d := &Display{board: b, out: s, size: func() (int, int) { return s.width, 24 }, colour: true, stop: func() {}}
	table := func() string {
		steps, elapsed := b.Snapshot()
		var lines []string
		for _, line := range Table(steps, elapsed, s.width, 23) {
			lines = append(lines, line.Text)
		}
		return strings.Join(lines, "\n")
	}
	d.tick()
	c.now = c.now.Add(time.Second)
	d.tick()
	if diff := cmp.Diff(table(), s.String()); diff != "" || !s.hidden {
		t.Errorf("screen, cursor hidden %v (-want +got):\n%s", s.hidden, diff)
	}
	d.Say("generate target  60000 rows")
	b.End("generate llama-2-7b-chat")
	d.tick()
	if diff := cmp.Diff("generate target  60000 rows\n"+table(), s.String()); diff != "" {
		t.Errorf("screen (-want +got):\n%s", diff)
	}
	d.erase()
	d.Say("done")
	d.tick()
	if diff := cmp.Diff("generate target  60000 rows\ndone", s.String()); diff != "" || s.hidden {
		t.Errorf("screen, cursor hidden %v (-want +got):\n%s", s.hidden, diff)
	}
}

// TestDisplayElsewhere: no escape sequence in a file, and one line for each running step.
func TestDisplayElsewhere(t *testing.T) {
	b, _ := scene()
	var out bytes.Buffer
	d := Show(t.Context(), b, &out)
	d.Say("ingest  60000 rows")
	d.tick()
	d.Close()
	steps, _ := b.Snapshot()
	if want := "ingest  60000 rows\n" + steps[2].Line() + "\n"; out.String() != want {
		t.Errorf("written %q, want %q", out.String(), want)
	}
}

// TestDisplayEndsWithItsContext: Ctrl-C restores the terminal before anything else ends.
func TestDisplayEndsWithItsContext(t *testing.T) {
	b, _ := scene()
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	d := Show(ctx, b, &out)
	d.mu.Lock()
	d.size = func() (int, int) { return 80, 24 }
	d.mu.Unlock()
	cancel()
	d.stopped.Wait()
	if !strings.HasSuffix(out.String(), "\x1b[?25h") {
		t.Errorf("written %q, want the cursor back at the end", out.String())
	}
	d.Close()
}

func TestRatesAndTimes(t *testing.T) {
	b, c := scene()
	steps, _ := b.Snapshot()
	before, running := steps[0], steps[2]
	if before.State != Done || before.Rows != 60000 || before.Parts != 235 || before.Elapsed != 0 {
		t.Errorf("a step done before: %+v", before)
	}
	if running.Rows != 600 || running.RowRate != 40 || running.TokenRate != 20000 || running.InFlight != 64 || running.Rejects != 3 {
		t.Errorf("the running step: %+v", running)
	}
	if want := time.Duration(59400) * time.Second / 40; running.Left != want || !running.LeftKnown {
		t.Errorf("left %v, want %v", running.Left, want)
	}
	b.Observe("reward judge", Sample{"rows": 5}) // does not run: a late sample of another job
	c.now = c.now.Add(2 * time.Minute)           // a stall shows
	b.Observe("generate llama-2-7b-chat", Sample{"rows": 600})
	steps, _ = b.Snapshot()
	if steps[3].Rows != 0 || steps[2].RowRate > 5 {
		t.Errorf("waiting step has %d rows, stalled one %g rows/s", steps[3].Rows, steps[2].RowRate)
	}
	b.Stop()
	if steps, _ = b.Snapshot(); steps[2].State != Stopped || steps[3].State != Waiting {
		t.Errorf("states %s and %s after a stop", steps[2].State, steps[3].State)
	}
}

func TestNumbersInFewCharacters(t *testing.T) {
	for d, want := range map[time.Duration]string{
		300 * time.Microsecond: "0.3ms", 42 * time.Millisecond: "42ms", 999600 * time.Microsecond: "1.0s", 2449 * time.Millisecond: "2.4s", 9960 * time.Millisecond: "10s",
		59600 * time.Millisecond: "1m00s", 200 * time.Second: "3m20s", time.Hour: "1h00m", 5*time.Hour + 7*time.Minute: "5h07m", 76 * time.Hour: "3d04h", 0: "0ms",
	} {
		if got := brief(d); got != want {
			t.Errorf("brief(%v) is %s, want %s", d, got, want)
		}
	}
	for x, want := range map[float64]string{0.04: "0.0", 9.94: "9.9", 9.96: "10", 1234.4: "1,234", 99999: "99,999", 123456: "0.12M", 2.5e9: "2.50G"} {
		if got := rate(x); got != want {
			t.Errorf("rate(%g) is %s, want %s", x, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567"} {
		if got := whole(n); got != want {
			t.Errorf("whole(%d) is %s, want %s", n, got, want)
		}
	}
}

var rejects = []schemas.Rejected{{ID: "0123456789abcdef", Step: "generate", Source: "sage", Code: "too_long", Message: "<script>alert(1)</script>"}}
