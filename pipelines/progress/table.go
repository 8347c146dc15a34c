package progress

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// styles are escape sequences by state; title is that of the line of titles.
const title State = "title"

var styles = map[State]string{Waiting: "\x1b[2m", Running: "\x1b[1m", Done: "\x1b[32m", Stopped: "\x1b[31m", title: "\x1b[4m"}

// Line is one line of a table.
type Line struct {
	// Text is what stands there; State says how it may be shown, "" plainly.
	Text  string
	State State
}

func (l Line) styled(colour bool) string {
	if style := styles[l.State]; colour && style != "" {
		return style + l.Text + "\x1b[0m"
	}
	return l.Text
}

// Table writes the steps as at most height lines of less than width characters. What does not fit is moved: columns to
// lines below the step that runs, steps far from it to a count of them; long labels are cut.
func Table(steps []Status, elapsed time.Duration, width, height int) []Line {
	_, _, details := layout(steps, max(1, width-1))
	shown, above, below := visible(steps, max(1, height-4-len(details)))
	cells, widths, details := layout(shown, max(1, width-1))
	done := 0
	for _, s := range steps {
		if s.State == Done {
			done++
		}
	}
	var lines []Line
	add := func(state State, format string, args ...any) {
		lines = append(lines, Line{fit(fmt.Sprintf(format, args...), width-1), state})
	}
	add("", "%d of %d steps done, %s", done, len(steps), brief(elapsed))
	for i, row := range cells {
		style := title
		if i > 0 {
			style = shown[i-1].State
		}
		add(style, "%s", join(row, widths))
		if style == Running {
			for _, facts := range details {
				add(Running, "%s", facts)
			}
		}
		if i == 0 && above > 0 {
			add(Waiting, "… %d steps before", above)
		}
	}
	if below > 0 {
		add(Waiting, "… %d steps after", below)
	}
	return lines[:min(len(lines), max(1, height))]
}

// join puts the cells of one line side by side.
func join(row []string, columns []placed) string {
	var b strings.Builder
	for k, cell := range row {
		pad := strings.Repeat(" ", max(0, columns[k].width-utf8.RuneCountInString(cell)))
		if k > 0 {
			b.WriteString("  ")
		}
		if columns[k].left {
			b.WriteString(cell + pad)
		} else {
			b.WriteString(pad + cell)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// visible picks at most n steps around the first that is not done.
func visible(steps []Status, n int) (shown []Status, above, below int) {
	if len(steps) <= n {
		return steps, 0, 0
	}
	at := 0
	for at < len(steps)-1 && steps[at].State == Done {
		at++
	}
	above = min(max(0, at-n/3), len(steps)-n)
	return steps[above : above+n], above, len(steps) - n - above
}
