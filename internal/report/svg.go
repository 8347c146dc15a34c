package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
)

// Colours are CSS classes c0, c1, … so that the page's light and dark themes set them.

// bar is one bar of a chart.
type bar struct {
	// Label stands beside it.
	Label string
	// Values are drawn one below the other, Names[i] in colour i.
	Values []float64
}

// bars draws groups of horizontal bars over [0, top]; names are the series, format writes a value, mark draws a line.
func bars(title string, groups []bar, names []string, top float64, format string, mark float64) template.HTML {
	const left, width, thick, gap = 130, 640, 16, 12
	var b strings.Builder
	y := 8.0
	for _, g := range groups {
		fmt.Fprintf(&b, `<text x="%d" y="%.0f" text-anchor="end">%s</text>`, left-8, y+float64(len(g.Values)*thick)/2+4, html.EscapeString(g.Label))
		for i, v := range g.Values {
			if math.IsNaN(v) {
				y += thick
				continue
			}
			w := math.Max(1, v/top*(width-left-60))
			name := ""
			if i < len(names) {
				name = names[i] + ": "
			}
			fmt.Fprintf(&b, `<rect class="c%d" x="%d" y="%.0f" width="%.1f" height="%d" rx="2"><title>%s</title></rect><text class="v" x="%.1f" y="%.0f">%s</text>`,
				i, left, y, w, thick-2, html.EscapeString(g.Label+", "+name+fmt.Sprintf(format, v)), left+w+5, y+thick-5, fmt.Sprintf(format, v))
			y += thick
		}
		y += gap
	}
	if mark > 0 {
		x := left + mark/top*(width-left-60)
		fmt.Fprintf(&b, `<line class="mark" x1="%.1f" x2="%.1f" y1="0" y2="%.0f"/>`, x, x, y-gap+4)
	}
	return figure(title, names, width, y, b.String())
}

// series is one line of a chart.
type series struct {
	Name string
	X, Y []float64
	Dots bool
}

// lines draws series over their common range, with vertical marks at the given x.
func lines(title, xLabel, yLabel string, all []series, marks map[float64]string) template.HTML {
	const left, width, height, bottom = 52, 640, 260, 34
	x0, x1, y0, y1 := math.Inf(1), math.Inf(-1), 0.0, math.Inf(-1)
	for _, s := range all {
		for i := range s.X {
			x0, x1, y1 = math.Min(x0, s.X[i]), math.Max(x1, s.X[i]), math.Max(y1, s.Y[i])
		}
	}
	if !(x1 > x0) || !(y1 > y0) {
		return ""
	}
	px := func(x float64) float64 { return left + (x-x0)/(x1-x0)*(width-left-12) }
	py := func(y float64) float64 { return 10 + (1-(y-y0)/(y1-y0))*(height-bottom-10) }
	var b strings.Builder
	for k := range 5 {
		v := y0 + (y1-y0)*float64(k)/4
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text class="v" x="%d" y="%.1f" text-anchor="end">%.3g</text>`, left, width-12, py(v), py(v), left-6, py(v)+4, v)
		u := x0 + (x1-x0)*float64(k)/4
		fmt.Fprintf(&b, `<text class="v" x="%.1f" y="%d" text-anchor="middle">%.0f</text>`, px(u), height-bottom+16, u)
	}
	for x, label := range marks {
		fmt.Fprintf(&b, `<line class="mark" x1="%.1f" x2="%.1f" y1="10" y2="%d"/><text class="v" x="%.1f" y="20">%s</text>`, px(x), px(x), height-bottom, px(x)+4, html.EscapeString(label))
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
	fmt.Fprintf(&b, `<text class="v" x="%d" y="%d" text-anchor="end">%s</text><text class="v" x="%d" y="8">%s</text>`, width-12, height-2, html.EscapeString(xLabel), 2, html.EscapeString(yLabel))
	return figure(title, names, width, height, b.String())
}

// figure puts a drawing and its legend into one figure element.
func figure(title string, names []string, width int, height float64, body string) template.HTML {
	var legend strings.Builder
	if len(names) > 1 {
		for i, n := range names {
			fmt.Fprintf(&legend, `<span class="key"><i class="b%d"></i>%s</span>`, i, html.EscapeString(n))
		}
	}
	return template.HTML(fmt.Sprintf(`<figure><figcaption>%s <span class="legend">%s</span></figcaption><div class="wide"><svg viewBox="0 0 %d %.0f" role="img" aria-label="%s">%s</svg></div></figure>`,
		html.EscapeString(title), legend.String(), width, height, html.EscapeString(title), body))
}
