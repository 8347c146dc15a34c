package draw

import (
	"fmt"
	"html"
	"maps"
	"math"
	"slices"
	"strings"
)

// Line is one line of a chart.
type Line struct {
	Name string
	// X and Y are its points; Spread, where it has any, draws a bar of so much above and below each.
	X, Y, Spread []float64
	// Dots draws a shape at each point.
	Dots bool
	// Colour is the number of its class; its dash and shape follow from its place among the lines.
	Colour int
}

// At appends a point, the first one of a place.
func (l *Line) At(x, y float64) {
	if n := len(l.X); n == 0 || l.X[n-1] != x {
		l.X, l.Y = append(l.X, x), append(l.Y, y)
	}
}

// Smooth appends the moving mean of the values so far, in which each one counts a fifth; nil and what is not finite is left
// out.
func (l *Line) Smooth(x float64, y *float64) {
	if y == nil || math.IsNaN(*y) || math.IsInf(*y, 0) {
		return
	}
	mean := *y
	if n := len(l.Y); n > 0 {
		mean = l.Y[n-1] + 0.2*(*y-l.Y[n-1])
	}
	l.X, l.Y = append(l.X, x), append(l.Y, mean)
}

// Lines are lines over their common range.
type Lines struct {
	Title, XLabel, YLabel string
	All                   []Line
	// Marks are vertical lines with a text.
	Marks map[float64]string
}

// Measures of line charts.
const (
	axisLeft, axisRight, axisHigh = 46, 12, 190
	tickRoom                      = 18 // under the axis
)

// dashes tell lines apart without colours, one for each class.
var dashes = []string{"", "7 3", "2 2.5", "9 3 2 3", "4 4", "12 4", "1 4", "6 2 2 2 2 2"}

// bounds is the range of a chart.
type bounds struct{ x0, x1, y0, y1 float64 }

// bounds finds the range of all points; lines that stay far from zero leave it out.
func (l Lines) bounds() (bounds, bool) {
	r := bounds{math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)}
	for _, s := range l.All {
		for i := range s.X {
			spread := 0.0
			if s.Spread != nil {
				spread = s.Spread[i]
			}
			r.x0, r.x1 = math.Min(r.x0, s.X[i]), math.Max(r.x1, s.X[i])
			r.y0, r.y1 = math.Min(r.y0, s.Y[i]-spread), math.Max(r.y1, s.Y[i]+spread)
		}
	}
	if math.IsInf(r.x0, 0) || !(r.x1 > r.x0) {
		return r, false
	}
	if reach := r.y1 - r.y0; r.y0 > 0 && reach > r.y0/4 || r.y0 == 0 {
		r.y0 = 0
	}
	if r.y0 == r.y1 {
		r.y0, r.y1 = math.Min(0, r.y0), math.Max(0, r.y1)
	}
	if r.y0 == r.y1 { // all zero
		r.y1 = 1
	}
	return r, true
}

// Draw draws them; nothing where there are not two places on the axis.
func (l Lines) Draw() Figure {
	r, ok := l.bounds()
	if !ok {
		return Figure{Title: l.Title}
	}
	ticks := steps(r.y0, r.y1, 5)
	r.y0, r.y1 = math.Min(r.y0, ticks[0]), math.Max(r.y1, ticks[len(ticks)-1])
	f := Figure{Title: l.Title, width: wide}
	f.Columns, f.Rows = l.numbers()
	var b strings.Builder
	top := l.keys(&b) + 34
	if l.YLabel == "" {
		top -= 14
	}
	px := func(x float64) float64 { return axisLeft + (x-r.x0)/(r.x1-r.x0)*(wide-axisLeft-axisRight) }
	py := func(y float64) float64 { return top + (1-(y-r.y0)/(r.y1-r.y0))*axisHigh }
	bottom := top + axisHigh
	for _, v := range ticks {
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text class="v" x="%d" y="%.1f" text-anchor="end">%s</text>`, axisLeft, wide-axisRight, py(v), py(v), axisLeft-6, py(v)+4, written(v, 4))
	}
	for _, u := range steps(r.x0, r.x1, 6) {
		if u >= r.x0 && u <= r.x1 && (u == math.Trunc(u) || !l.whole()) {
			fmt.Fprintf(&b, `<text class="v" x="%.1f" y="%.0f" text-anchor="middle">%s</text>`, px(u), bottom+tickRoom-3, written(u, 4))
		}
	}
	for _, x := range slices.Sorted(maps.Keys(l.Marks)) {
		fmt.Fprintf(&b, `<line class="mark" x1="%.1f" x2="%.1f" y1="%.0f" y2="%.0f"/><text class="v" x="%.1f" y="%.0f">%s</text>`, px(x), px(x), top-14, bottom, px(x)+4, top-5, html.EscapeString(l.Marks[x]))
	}
	for i, s := range l.All {
		s.draw(&b, i, px, py)
	}
	fmt.Fprintf(&b, `<text class="v" x="%d" y="%.0f" text-anchor="end">%s</text><text class="v" x="0" y="%.0f">%s</text>`, wide-axisRight, bottom+tickRoom+12, html.EscapeString(l.XLabel), top-23, html.EscapeString(l.YLabel))
	f.body, f.height = b.String(), bottom+tickRoom+18
	return f
}

// draw draws one line, the i-th, with its spread and shapes.
func (s Line) draw(b *strings.Builder, i int, px, py func(float64) float64) {
	var d strings.Builder
	aside := 3 * float64(i%4) // so that the spreads of several lines stand side by side
	for k := range s.X {
		x, y := px(s.X[k]), py(s.Y[k])
		if s.Spread != nil {
			fmt.Fprintf(b, `<path class="l%d" d="M%.1f %.1fV%.1fM%.1f %.1fh6M%.1f %.1fh6"/>`, s.Colour%colours,
				x+aside, py(s.Y[k]-s.Spread[k]), py(s.Y[k]+s.Spread[k]), x+aside-3, py(s.Y[k]-s.Spread[k]), x+aside-3, py(s.Y[k]+s.Spread[k]))
		}
		if s.Dots {
			note := fmt.Sprintf("%s at %s: %s", s.Name, written(s.X[k], 6), written(s.Y[k], 4))
			if s.Spread != nil {
				note += " ± " + written(s.Spread[k], 4)
			}
			fmt.Fprintf(b, `<g><title>%s</title>%s</g>`, html.EscapeString(note), shape(i, s.Colour, x, y))
		}
		fmt.Fprintf(&d, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[k == 0], x, y)
	}
	if d.Len() > 0 {
		fmt.Fprintf(b, `<path class="l%d" stroke-dasharray="%s" d="%s"/>`, s.Colour%colours, dashes[i%len(dashes)], d.String())
	}
}

// shape is a point of the i-th line: a disc, a square, a triangle or a diamond.
func shape(i, colour int, x, y float64) string {
	c := Class(colour)
	switch i % 4 {
	case 0:
		return fmt.Sprintf(`<circle class="%s" cx="%.1f" cy="%.1f" r="4"/>`, c, x, y)
	case 1:
		return fmt.Sprintf(`<path class="%s" d="M%.1f %.1fh7v7h-7z"/>`, c, x-3.5, y-3.5)
	case 2:
		return fmt.Sprintf(`<path class="%s" d="M%.1f %.1fl4.6 8h-9.2z"/>`, c, x, y-5)
	}
	return fmt.Sprintf(`<path class="%s" d="M%.1f %.1fl5 5l-5 5l-5 -5z"/>`, c, x, y-5)
}

// whole says whether all places are whole numbers, so that no label between them makes sense.
func (l Lines) whole() bool {
	return !slices.ContainsFunc(l.All, func(s Line) bool {
		return slices.ContainsFunc(s.X, func(x float64) bool { return x != math.Trunc(x) })
	})
}

// keys writes the legend of the lines that have points and returns where it ends.
func (l Lines) keys(b *strings.Builder) float64 {
	var names []string
	var index []int
	for i, s := range l.All {
		if len(s.X) > 0 {
			names, index = append(names, s.Name), append(index, i)
		}
	}
	return legend(b, names, func(k int, x, y float64) {
		i := index[k]
		fmt.Fprintf(b, `<path class="l%d" stroke-dasharray="%s" d="M%.0f %.0fh19"/>`, l.All[i].Colour%colours, dashes[i%len(dashes)], x, y-4)
		if l.All[i].Dots {
			b.WriteString(shape(i, l.All[i].Colour, x+9, y-4))
		}
	})
}

// numbers is the table: a row for each place on the axis, a column for each line, and one for its spread.
func (l Lines) numbers() (columns []string, rows [][]any) {
	columns = []string{l.XLabel}
	at := map[float64][]any{}
	width := 1
	for _, s := range l.All {
		if len(s.X) == 0 {
			continue
		}
		columns = append(columns, s.Name)
		n := 1
		if s.Spread != nil {
			columns, n = append(columns, s.Name+", spread"), 2
		}
		for i, x := range s.X {
			row := at[x]
			for len(row) < width-1 {
				row = append(row, math.NaN())
			}
			row = append(row[:width-1], s.Y[i]) // of a place with two values (a step), the last
			if s.Spread != nil {
				row = append(row, s.Spread[i])
			}
			at[x] = row
		}
		width += n
	}
	for _, x := range slices.Sorted(maps.Keys(at)) {
		row := append([]any{x}, at[x]...)
		for len(row) < width {
			row = append(row, math.NaN())
		}
		rows = append(rows, row)
	}
	return columns, rows
}

// steps lists multiples of 1, 2 or 5 times a power of ten from the last one at or below low up to the first one at or
// above high, about n of them; high must be above low.
func steps(low, high float64, n int) []float64 {
	step := math.Pow(10, math.Floor(math.Log10((high-low)/float64(n))))
	for _, by := range []float64{2, 2.5, 2} {
		if (high-low)/step > float64(n) {
			step *= by
		}
	}
	out := []float64{math.Floor(low/step+1e-9) * step}
	for k := out[0]/step + 1; out[len(out)-1] < high-1e-9*step; k++ {
		out = append(out, k*step)
	}
	return out
}
