package draw

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// deepest is the strongest shade of a cell; fg can be read on it.
const deepest = 0.45

// Matrix is a table of shares, one for each pair of names, as shaded cells with their per cent.
type Matrix struct {
	Title, Of string
	Names     []string
	Values    [][]float64
}

// Draw draws it; NaN cells stay empty.
func (m Matrix) Draw() Figure {
	const head, tall = 66, 22
	f := Figure{Title: m.Title, Columns: append([]string{m.Of}, m.Names...), width: wide}
	cell := float64(wide-left-14) / float64(len(m.Names))
	var b strings.Builder
	for i, name := range m.Names {
		x, y := left+(float64(i)+0.5)*cell, float64(head+i*tall)
		sideLabel(&b, Clip(name, 16), left, y+tall/2)
		fmt.Fprintf(&b, `<text class="v" transform="translate(%.1f %d) rotate(-50)">%s</text>`, x, head-5, html.EscapeString(Clip(name, 11)))
		row := []any{name}
		for j, v := range m.Values[i] {
			row = append(row, v)
			if math.IsNaN(v) {
				continue
			}
			x := left + float64(j)*cell
			fmt.Fprintf(&b, `<rect class="c0" fill-opacity="%.2f" x="%.1f" y="%.0f" width="%.1f" height="%d"><title>%s</title></rect>`,
				0.05+(deepest-0.05)*v, x, y, cell-1, tall-1, html.EscapeString(fmt.Sprintf("%s and %s: %.1f %%", name, m.Names[j], 100*v)))
			fmt.Fprintf(&b, `<text x="%.1f" y="%.0f" text-anchor="middle" font-size="11">%.0f</text>`, x+cell/2, y+tall-7, 100*v)
		}
		f.Rows = append(f.Rows, row)
	}
	f.body, f.height = b.String(), float64(head+len(m.Names)*tall+4)
	return f
}
