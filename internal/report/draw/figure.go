package draw

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// Figure is a drawing with what a reader needs beside it.
type Figure struct {
	// Name is that of its files and of its place in a page: figure-1-left.
	Name string
	// Title says in a line what is drawn; Note what is measured, in which unit, and what to expect.
	Title, Note string
	// Columns and Rows are the numbers drawn: texts, whole numbers and float64, NaN where there is none.
	Columns []string
	Rows    [][]any

	width, height float64
	body          string
}

// Named gives a figure its name and note.
func (f Figure) Named(name, note string) Figure {
	f.Name, f.Note = name, note
	return f
}

// Empty says whether nothing could be drawn.
func (f Figure) Empty() bool { return f.body == "" }

// shownRows is the most rows that a table in a page has.
const shownRows = 100

// HTML is the figure as a page shows it: drawing, caption, the numbers, and links to the files in a folder; none for "".
func (f Figure) HTML(folder string) template.HTML {
	if f.Empty() {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<figure id="%s"><figcaption><b>%s</b>`, f.Name, html.EscapeString(f.Title))
	if f.Note != "" {
		fmt.Fprintf(&b, ` <span class="soft">%s</span>`, html.EscapeString(f.Note))
	}
	fmt.Fprintf(&b, `</figcaption>%s<details class="numbers"><summary>The numbers of %s</summary>%s`, f.element(""), html.EscapeString(f.Name), f.table())
	if folder != "" {
		fmt.Fprintf(&b, `<p>Files: <a href="%[1]s/%[2]s.svg">%[2]s.svg</a>, <a href="%[1]s/%[2]s.csv">%[2]s.csv</a></p>`, folder, f.Name)
	}
	b.WriteString(`</details></figure>`)
	return template.HTML(b.String())
}

// SVG is the drawing as a file of its own, on white, with its title.
func (f Figure) SVG() []byte {
	var head strings.Builder
	y := 14.0
	for _, line := range wrap(f.Title, int(f.width/7.2)) {
		fmt.Fprintf(&head, `<text x="0" y="%.0f" font-size="12" font-weight="600">%s</text>`, y, html.EscapeString(line))
		y += 15
	}
	g := f
	g.height += y + 2
	g.body = fmt.Sprintf(`<style>%s</style><rect x="-8" y="-8" width="%.0f" height="%.0f" fill="#ffffff"/>%s<g transform="translate(0 %.0f)">%s</g>`,
		onWhite(), f.width+16, g.height+16, head.String(), y, f.body)
	return []byte(g.element(`xmlns="http://www.w3.org/2000/svg" font-family="system-ui, sans-serif" font-size="12" `) + "\n")
}

// element is the svg element.
func (f Figure) element(attributes string) string {
	x, y, w, h := 0.0, 0.0, f.width, f.height
	if attributes != "" {
		x, y, w, h = -8, -8, w+16, h+16
	}
	return fmt.Sprintf(`<svg %sviewBox="%.0f %.0f %.0f %.0f" role="img" aria-labelledby="%[6]s-title %[6]s-desc"><title id="%[6]s-title">%[7]s</title><desc id="%[6]s-desc">%[8]s</desc>%[9]s</svg>`,
		attributes, x, y, w, h, f.Name, html.EscapeString(f.Title), html.EscapeString(strings.TrimSpace(f.Note+" A table of the numbers goes with the drawing.")), f.body)
}

// table is the numbers as a table of a page; of many rows it shows some.
func (f Figure) table() string {
	var b strings.Builder
	every := (len(f.Rows) + shownRows - 1) / shownRows
	if every > 1 {
		fmt.Fprintf(&b, `<p class="soft">Each %dth of %d rows; the file has all.</p>`, every, len(f.Rows))
	}
	fmt.Fprintf(&b, `<div class="wide" tabindex="0" role="group" aria-label="numbers of %s"><table><thead><tr>`, html.EscapeString(f.Name))
	for _, c := range f.Columns {
		fmt.Fprintf(&b, `<th scope="col">%s</th>`, html.EscapeString(c))
	}
	b.WriteString(`</tr></thead><tbody>`)
	for k, row := range f.Rows {
		if k%every != 0 && k != len(f.Rows)-1 {
			continue
		}
		b.WriteString(`<tr>`)
		for i, v := range row {
			tag := `td`
			if i == 0 {
				tag = `th scope="row"`
			}
			fmt.Fprintf(&b, `<%s>%s</%s>`, tag, html.EscapeString(written(v, 4)), tag[:2])
		}
		b.WriteString(`</tr>`)
	}
	b.WriteString(`</tbody></table></div>`)
	return b.String()
}

// CSV is the numbers in full.
func (f Figure) CSV() []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(f.Columns) // a buffer takes everything
	for _, row := range f.Rows {
		line := make([]string, len(row))
		for i, v := range row {
			line[i] = written(v, -1)
		}
		_ = w.Write(line)
	}
	w.Flush()
	return b.Bytes()
}

// written is a value as text; floats with so many digits, -1 for all; NaN is empty.
func written(v any, digits int) string {
	x, ok := v.(float64)
	switch {
	case !ok:
		return fmt.Sprint(v)
	case math.IsNaN(x):
		return ""
	}
	return strconv.FormatFloat(x, 'g', digits, 64)
}

// wrap breaks a text into lines of at most n characters where there are spaces.
func wrap(text string, n int) []string {
	var out []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > n {
			out, line = append(out, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(out, line)
}

// Clip shortens a text to n characters.
func Clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
