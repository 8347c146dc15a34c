package progress

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// column is one column of the table; the label, the state and the time are always shown.
type column struct {
	title string
	// drop is when the column is left out on a narrow terminal, the lowest first; 0 never is.
	drop int
	left bool // aligned
	cell func(Status) string
}

var columns = []column{
	{"step", 0, true, func(s Status) string { return s.Label }},
	{"parts", 1, false, func(s Status) string { return of(s.Parts, s.Work.Parts) }},
	{"rows", 6, false, func(s Status) string { return of(s.Rows, s.Work.Rows) }},
	{"rows/s", 5, false, func(s Status) string { return positive(s.RowRate, rate) }},
	{"tokens/s", 4, false, func(s Status) string { return positive(s.TokenRate, rate) }},
	{"latency p50", 3, false, func(s Status) string { return positive(s.Latencies.Quantile(0.5), brief) }},
	{"p99", 3, false, func(s Status) string { return positive(s.Latencies.Quantile(0.99), brief) }},
	{"in flight", 2, false, func(s Status) string { return positive(s.InFlight, whole) }},
	{"rejects", 5, false, func(s Status) string { return positive(s.Rejects, whole) }},
	{"state", 0, false, state},
	{"time", 0, false, remaining},
}

// of writes a count and its total, as far as there are any.
func of(n, total int64) string {
	switch {
	case total > 0:
		return whole(n) + "/" + whole(total)
	case n > 0:
		return whole(n)
	}
	return ""
}

// positive writes numbers above zero.
func positive[N int64 | float64 | time.Duration](n N, write func(N) string) string {
	if n <= 0 {
		return ""
	}
	return write(n)
}

// state is the share of a running step, and the word of another.
func state(s Status) string {
	if s.State == Running {
		return fmt.Sprintf("%.0f%%", 100*s.Share())
	}
	return string(s.State)
}

// remaining is the time that a running step still takes, and the time that another has taken.
func remaining(s Status) string {
	switch {
	case s.State == Running && s.LeftKnown:
		return brief(s.Left) + " left"
	case s.State == Running:
		return brief(s.Elapsed) + " so far"
	}
	return positive(s.Elapsed, brief)
}

// placed is a column with its width in characters.
type placed struct {
	column
	width int
}

// layout makes all cells and drops columns until the lines are at most width characters; details are the running step's
// cells of the columns dropped.
func layout(steps []Status, width int) (cells [][]string, shown []placed, details []string) {
	for dropped := 0; ; dropped++ {
		cells, shown = [][]string{nil}, nil
		total := -2
		for _, c := range columns {
			if c.drop > 0 && c.drop <= dropped {
				continue
			}
			p := placed{c, 0}
			for i := range len(steps) + 1 {
				text := c.title
				if i > 0 {
					text = c.cell(steps[i-1])
				}
				if len(cells) <= i {
					cells = append(cells, nil)
				}
				cells[i] = append(cells[i], text)
				p.width = max(p.width, utf8.RuneCountInString(text))
			}
			shown = append(shown, p)
			total += p.width + 2
		}
		if total <= width || dropped == len(columns) {
			cut := max(0, total-width) // only labels are left to shorten
			for i := range cells {
				cells[i][0] = fit(cells[i][0], max(4, shown[0].width-cut))
			}
			shown[0].width = max(4, shown[0].width-cut)
			return cells, shown, wrapped(steps, dropped, width)
		}
	}
}

// wrapped writes the running step's cells of the columns dropped as indented lines of at most width characters.
func wrapped(steps []Status, dropped, width int) (lines []string) {
	for _, s := range steps {
		if s.State != Running {
			continue
		}
		line := ""
		for _, c := range columns {
			cell := c.cell(s)
			if c.drop == 0 || c.drop > dropped || cell == "" {
				continue
			}
			fact := c.title + " " + cell
			if line != "" && utf8.RuneCountInString(line+", "+fact) >= width {
				lines, line = append(lines, line+","), ""
			}
			if line == "" {
				line = "  " + fact
			} else {
				line += ", " + fact
			}
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// fit cuts a text to width characters.
func fit(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	r := []rune(s)
	return string(r[:max(0, width-1)]) + "…"
}
