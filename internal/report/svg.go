package report

import (
	"fmt"
	"html"
	"html/template"
	"maps"
	"math"
	"slices"
	"strings"
)

// Colours are CSS classes c0, c1, … and s0, s1, … so that the page's light and dark themes set them.

// legend is a chart's series: names and their colour classes, in the order of a bar's values.
type legend struct{ Names, Classes []string }

// numbered gives the names the classes c0, c1, …, from the first one on.
func numbered(first int, names ...string) legend {
	l := legend{Names: names}
	for i := range names {
		l.Classes = append(l.Classes, fmt.Sprintf("c%d", (first+i)%colours))
	}
	return l
}

// colours is the number of classes c0, c1, … of the page.
const colours = 8

// Measures of bar charts, in units of the drawing: about pixels on a telephone.
const (
	barLeft  = 104
	barWidth = 400
	barSpace = barWidth - barLeft - 42
	barThick = 16
)

// bar is a group of values with a common label.
type bar struct {
	Label  string
	Values []float64
}

// bars draws groups of horizontal bars over [0, top]; format writes a value, a mark above 0 draws a line there, over the
// bars and under the values.
func bars(title string, groups []bar, l legend, top float64, format string, mark float64) template.HTML {
	const gap = 10
	var b, values strings.Builder
	y := 6.0
	for _, g := range groups {
		label(&b, g.Label, y+float64(len(g.Values)*barThick)/2)
		for i, v := range g.Values {
			if math.IsNaN(v) {
				y += barThick
				continue
			}
			w := math.Max(1, v/top*barSpace)
			fmt.Fprintf(&b, `<rect class="%s" x="%d" y="%.0f" width="%.1f" height="%d" rx="2"><title>%s</title></rect>`,
				l.Classes[i], barLeft, y, w, barThick-2, html.EscapeString(g.Label+", "+l.Names[i]+": "+fmt.Sprintf(format, v)))
			fmt.Fprintf(&values, `<text class="v" x="%.1f" y="%.0f">%s</text>`, barLeft+w+5, y+barThick-4, fmt.Sprintf(format, v))
			y += barThick
		}
		y += gap
	}
	if mark > 0 {
		x := barLeft + mark/top*barSpace
		fmt.Fprintf(&b, `<line class="mark" x1="%.1f" x2="%.1f" y1="0" y2="%.0f"/>`, x, x, y-gap+4)
	}
	return figure(title, l, barWidth, y, b.String()+values.String())
}

// stacked draws one bar of full length for each group, cut by its shares, which are written where there is room.
func stacked(title string, groups []bar, l legend) template.HTML {
	const thick, step, space, room = 22, 30, barWidth - barLeft - 8, 40
	var b strings.Builder
	for k, g := range groups {
		x, y := float64(barLeft), float64(6+k*step)
		label(&b, g.Label, y+thick/2)
		for i, v := range g.Values {
			w := v * space
			fmt.Fprintf(&b, `<rect class="%s" x="%.1f" y="%.0f" width="%.1f" height="%d"><title>%s</title></rect>`,
				l.Classes[i], x, y, w, thick, html.EscapeString(fmt.Sprintf("%s, %s: %.2f %%", g.Label, l.Names[i], 100*v)))
			if w >= room {
				fmt.Fprintf(&b, `<text x="%.1f" y="%.0f" text-anchor="middle">%.1f %%</text>`, x+w/2, y+thick-6, 100*v)
			}
			x += w
		}
	}
	return figure(title, l, barWidth, float64(len(groups)*step+4), b.String())
}

// matrix draws a table of shares as shaded cells with their per cent; NaN cells stay empty.
func matrix(title string, names []string, values [][]float64) template.HTML {
	const head, tall = 62, 22
	cell := float64(barWidth-barLeft-14) / float64(len(names))
	var b strings.Builder
	for i, name := range names {
		x, y := barLeft+(float64(i)+0.5)*cell, float64(head+i*tall)
		label(&b, clip(name, 16), y+tall/2)
		fmt.Fprintf(&b, `<text class="v" transform="translate(%.1f %d) rotate(-50)">%s</text>`, x, head-5, html.EscapeString(clip(name, 11)))
		for j, v := range values[i] {
			if math.IsNaN(v) {
				continue
			}
			x := barLeft + float64(j)*cell
			fmt.Fprintf(&b, `<rect class="c0" fill-opacity="%.2f" x="%.1f" y="%.0f" width="%.1f" height="%d"><title>%s</title></rect>`,
				0.08+0.5*v, x, y, cell-1, tall-1, html.EscapeString(fmt.Sprintf("%s and %s: %.1f %%", names[i], names[j], 100*v)))
			fmt.Fprintf(&b, `<text x="%.1f" y="%.0f" text-anchor="middle" font-size="11">%.0f</text>`, x+cell/2, y+tall-7, 100*v)
		}
	}
	return figure(title, legend{}, barWidth, float64(head+len(names)*tall+4), b.String())
}

// label writes a group's label beside its middle, smaller where it is long.
func label(b *strings.Builder, text string, middle float64) {
	font := 12.0
	if len([]rune(text)) > 14 {
		font = 10
	}
	fmt.Fprintf(b, `<text x="%d" y="%.0f" text-anchor="end" font-size="%.0f">%s</text>`, barLeft-8, middle+4, font, html.EscapeString(text))
}

// series is one line of a chart.
type series struct {
	Name string
	X, Y []float64
	Dots bool
}

// lines draws series over their common range, with vertical marks at the given x.
func lines(title, xLabel, yLabel string, all []series, marks map[float64]string) template.HTML {
	const left, width, height, top, bottom = 46, 800, 270, 22, 34
	x0, x1, y0, y1 := math.Inf(1), math.Inf(-1), 0.0, math.Inf(-1)
	for _, s := range all {
		for i := range s.X {
			x0, x1, y1 = math.Min(x0, s.X[i]), math.Max(x1, s.X[i]), math.Max(y1, s.Y[i])
		}
	}
	if !(x1 > x0) || !(y1 > y0) {
		return ""
	}
	ySteps, xSteps := roundSteps(y1, 5), roundSteps(x1, 8)
	y1 = max(y1, ySteps[len(ySteps)-1])
	px := func(x float64) float64 { return left + (x-x0)/(x1-x0)*(width-left-12) }
	py := func(y float64) float64 { return top + (1-(y-y0)/(y1-y0))*(height-bottom-top) }
	var b strings.Builder
	for _, v := range ySteps {
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text class="v" x="%d" y="%.1f" text-anchor="end">%.4g</text>`, left, width-12, py(v), py(v), left-6, py(v)+4, v)
	}
	for _, u := range xSteps {
		if u >= x0 && u <= x1 {
			fmt.Fprintf(&b, `<text class="v" x="%.1f" y="%d" text-anchor="middle">%.4g</text>`, px(u), height-bottom+16, u)
		}
	}
	for _, x := range slices.Sorted(maps.Keys(marks)) {
		fmt.Fprintf(&b, `<line class="mark" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/><text class="v" x="%.1f" y="%d">%s</text>`, px(x), px(x), top-14, height-bottom, px(x)+4, top-5, html.EscapeString(marks[x]))
	}
	var names []string
	for i, s := range all {
		names = append(names, s.Name)
		var d strings.Builder
		for k := range s.X {
			if s.Dots {
				fmt.Fprintf(&b, `<circle class="c%d" cx="%.1f" cy="%.1f" r="4"><title>%s at %.0f: %.4g</title></circle>`, i, px(s.X[k]), py(s.Y[k]), html.EscapeString(s.Name), s.X[k], s.Y[k])
			}
			fmt.Fprintf(&d, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[k == 0], px(s.X[k]), py(s.Y[k]))
		}
		fmt.Fprintf(&b, `<path class="l%d" d="%s"/>`, i, d.String())
	}
	fmt.Fprintf(&b, `<text class="v" x="%d" y="%d" text-anchor="end">%s</text><text class="v" x="%d" y="11">%s</text>`, width-12, height-2, html.EscapeString(xLabel), 8, html.EscapeString(yLabel))
	return figure(title, numbered(0, names...), width, height, b.String())
}

// roundSteps lists the multiples of 1, 2 or 5 times a power of ten from 0 up to the first one at or above top, at most n
// steps; top must be above 0.
func roundSteps(top float64, n int) []float64 {
	step := math.Pow(10, math.Floor(math.Log10(top/float64(n))))
	for _, by := range []float64{2, 2.5, 2} {
		if top/step > float64(n) {
			step *= by
		}
	}
	out := []float64{0}
	for k := 1.0; out[len(out)-1] < top; k++ {
		out = append(out, k*step)
	}
	return out
}

// figure puts a drawing and its legend into one figure element.
func figure(title string, l legend, width int, height float64, body string) template.HTML {
	var keys strings.Builder
	if len(l.Names) > 1 {
		for i, n := range l.Names {
			fmt.Fprintf(&keys, `<span class="key"><i class="%s"></i>%s</span>`, l.Classes[i], html.EscapeString(n))
		}
	}
	return template.HTML(fmt.Sprintf(`<figure><figcaption>%s <span class="legend">%s</span></figcaption><div class="wide"><svg viewBox="0 0 %d %.0f" role="img" aria-label="%s">%s</svg></div></figure>`,
		html.EscapeString(title), keys.String(), width, height, html.EscapeString(title), body))
}
