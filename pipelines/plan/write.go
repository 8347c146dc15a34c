package plan

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// column is one column of the table.
type column struct {
	title string
	cell  func(Step) string
}

func (p *Plan) columns() []column {
	all := []column{
		{"step", func(s Step) string { return s.Label }},
		{"rows", func(s Step) string { return whole(s.Rows) }},
		{"requests", func(s Step) string { return some(s.Requests, whole) }},
		{"prompt tokens", func(s Step) string { return some(s.PromptTokens, whole) }},
		{"text tokens", func(s Step) string { return some(s.TextTokens, whole) }},
		{"disk", func(s Step) string { return Bytes(s.Bytes) }},
		{"shuffle", func(s Step) string { return Bytes(s.ShuffleBytes) }},
		{"GPU hours", func(s Step) string { return some(s.GPUHours, hours) }},
		{"time", func(s Step) string { return some(s.Seconds, clock) }},
	}
	if p.Total.Cost > 0 {
		all = append(all, column{"cost " + p.Currency, func(s Step) string { return some(s.Cost, money) }})
	}
	for _, s := range p.Steps {
		if len(s.Measured) > 0 {
			return append(all, column{"measured", func(s Step) string { return strings.Join(s.Measured, ", ") }})
		}
	}
	return all
}

// Write prints a plan for people: the table, what it rests on, and the checks.
func (p *Plan) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s prompts in %s parts\n\n", whole(p.Prompts), whole(p.Parts))
	columns := p.columns()
	rows := [][]string{nil}
	for _, c := range columns {
		rows[0] = append(rows[0], c.title)
	}
	for _, s := range append(p.Steps[:len(p.Steps):len(p.Steps)], p.Total) {
		var row []string
		for _, c := range columns {
			row = append(row, c.cell(s))
		}
		rows = append(rows, row)
	}
	writeTable(&b, rows, columns[len(columns)-1].title == "measured")
	b.WriteString("\nThis rests on:\n")
	for _, a := range p.Assumptions {
		b.WriteString("  - " + a + "\n")
	}
	if len(p.Checks) > 0 {
		b.WriteString("\nPreconditions:\n")
	}
	skipped := 0
	for _, c := range p.Checks {
		switch {
		case c.Skipped:
			skipped++
			fmt.Fprintf(&b, "  skipped  %s\n", c.Name)
		case c.Fault != "":
			fmt.Fprintf(&b, "  FAULT    %s: %s\n", c.Name, c.Fault)
		default:
			fmt.Fprintf(&b, "  ok       %s\n", c.Name)
		}
	}
	if skipped > 0 {
		fmt.Fprintf(&b, "%d of %d were not looked at (--offline).\n", skipped, len(p.Checks))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeTable writes rows with aligned columns: the first, and the last if asked, on the left, the others on the right.
func writeTable(b *strings.Builder, rows [][]string, lastLeft bool) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			switch {
			case i == 0:
				line = cell + pad
			case i == len(row)-1 && lastLeft:
				line += "  " + cell
			default:
				line += "  " + pad + cell
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}
