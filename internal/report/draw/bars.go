package draw

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// Measures of drawings, in units of the drawing: about pixels on a telephone.
const (
	wide   = 400
	left   = 104 // of labels
	behind = 42  // the bars, for their values
	thick  = 16
	gap    = 10
)

// Group is some values with a common label.
type Group struct {
	Label  string
	Values []float64
	// Spread is how far each value may be off, drawn as a whisker by Bars; nil or NaN where that is not known.
	Spread []float64
}

// Bars are groups of horizontal bars over [0, Top].
type Bars struct {
	Title string
	// Of says what the groups are, the head of the table's first column.
	Of     string
	Groups []Group
	Series Series
	Top    float64
	// Format writes a value.
	Format string
	// Mark draws a line there, over the bars and under the values, where it is above 0.
	Mark float64
}

// Draw draws them; NaN has no bar.
func (b Bars) Draw() Figure {
	f := Figure{Title: b.Title, Columns: []string{b.Of}, width: wide}
	spread := slices.ContainsFunc(b.Groups, func(g Group) bool { return g.Spread != nil })
	for _, name := range b.Series.Names {
		f.Columns = append(f.Columns, name)
		if spread {
			f.Columns = append(f.Columns, name+", spread")
		}
	}
	var bars, values strings.Builder
	y, left := 4.0, b.left()
	for _, g := range b.Groups {
		y = heading(&bars, g.Label, len(b.Series.Names), y)
		row := []any{g.Label}
		for i, v := range g.Values {
			row = append(row, v)
			off := math.NaN()
			if i < len(g.Spread) {
				off = g.Spread[i]
			}
			if spread {
				row = append(row, off)
			}
			rowLabel(&bars, g.Label, b.Series, i, left, y+thick/2)
			if !math.IsNaN(v) {
				b.bar(&bars, &values, g.Label, i, y, v, off)
			}
			y += thick
		}
		if len(b.Series.Names) > 1 {
			y += gap
		} else {
			y += 3
		}
		f.Rows = append(f.Rows, row)
	}
	if b.Mark > 0 {
		x := left + b.Mark/b.Top*(wide-left-behind)
		fmt.Fprintf(&bars, `<line class="mark" x1="%.1f" x2="%.1f" y1="0" y2="%.0f"/>`, x, x, y)
	}
	f.body, f.height = bars.String()+values.String(), y
	return f
}

// left is the room for the rows' labels: more of it where groups have one row and long names.
func (b Bars) left() float64 {
	out := float64(left)
	if len(b.Series.Names) < 2 {
		for _, g := range b.Groups {
			out = max(out, min(190, 14+6.7*float64(len([]rune(g.Label)))))
		}
	}
	return out
}

// bar draws one bar at height y, with its value behind it and a whisker where its spread is a number.
func (b Bars) bar(bars, values *strings.Builder, group string, i int, y, v, off float64) {
	left := b.left()
	space := wide - left - behind
	w := math.Max(1, v/b.Top*space)
	value, end := fmt.Sprintf(b.Format, v), left+w
	if !math.IsNaN(off) {
		value += " ± " + fmt.Sprintf(b.Format, off)
		reach := off / b.Top * space
		fmt.Fprintf(values, `<path class="edge" d="M%.1f %.1fH%.1fm0 -3v6"/>`, max(left, end-reach), y+(thick-3)/2.0, end+reach)
		end += reach
	}
	fmt.Fprintf(bars, `<rect class="%s" x="%g" y="%.0f" width="%.1f" height="%d" rx="2"><title>%s</title></rect>`,
		b.Series.Classes[i], left, y, w, thick-3, html.EscapeString(group+", "+b.Series.Names[i]+": "+value))
	fmt.Fprintf(values, `<text class="v on" x="%.1f" y="%.0f">%s</text>`, end+5, y+thick-5, value)
}

// heading writes a group's label above its rows, where they carry the names of series; it returns where they begin.
func heading(b *strings.Builder, label string, series int, y float64) float64 {
	if series < 2 || label == "" {
		return y
	}
	fmt.Fprintf(b, `<text x="0" y="%.0f" font-size="12.5" font-weight="600">%s</text>`, y+11, html.EscapeString(Clip(label, 58)))
	return y + 17
}

// rowLabel names a row: by its series where there are several, else by its group.
func rowLabel(b *strings.Builder, group string, s Series, i int, left, middle float64) {
	if len(s.Names) > 1 {
		group = s.Names[i]
	}
	sideLabel(b, Clip(group, int((left-10)/5.5)), left, middle)
}

// sideLabel writes a label before x = left beside its middle, smaller where it is long.
func sideLabel(b *strings.Builder, text string, left, middle float64) {
	font := 12.0
	if 6.7*float64(len([]rune(text))) > left-8 {
		font = 10.2
	}
	fmt.Fprintf(b, `<text x="%g" y="%.0f" text-anchor="end" font-size="%g">%s</text>`, left-7, middle+3, font, html.EscapeString(text))
}

// Stacked are bars of full length, cut by shares that add up to 1.
type Stacked struct {
	Title, Of string
	Groups    []Group
	Series    Series
}

// hatchings are the paths of a cell of 8 by 8 that tell the parts of a bar apart, none for the first.
var hatchings = []string{"", "M0 8L8 0", "M0 0L8 8", "M4 0V8", "M0 4H8", "M0 8L8 0M0 0L8 8"}

// Draw draws them; the shares are written where there is room. The name makes the hatchings' ids unique in a page.
func (s Stacked) Draw(name, note string) Figure {
	const tall, step, full, room = 22, 44, wide, 44
	f := Figure{Title: s.Title, Columns: append([]string{s.Of}, s.Series.Names...), width: wide, Name: name, Note: note}
	var b strings.Builder
	b.WriteString("<defs>")
	for i, path := range hatchings[:min(len(hatchings), len(s.Series.Names))] {
		fmt.Fprintf(&b, `<pattern id="%s-hatch-%d" width="8" height="8" patternUnits="userSpaceOnUse"><path class="hatch" d="%s"/></pattern>`, name, i, path)
	}
	b.WriteString("</defs>")
	part := func(i int, x, y, w, h float64, title string) {
		fmt.Fprintf(&b, `<g><title>%s</title><rect class="%s" x="%.1f" y="%.0f" width="%.1f" height="%.0f"/>`, html.EscapeString(title), s.Series.Classes[i], x, y, w, h)
		if hatchings[i%len(hatchings)] != "" {
			fmt.Fprintf(&b, `<rect x="%.1f" y="%.0f" width="%.1f" height="%.0f" fill="url(#%s-hatch-%d)"/>`, x, y, w, h, name, i%len(hatchings))
		}
		b.WriteString("</g>")
	}
	y := legend(&b, s.Series.Names, func(i int, x, y float64) { part(i, x, y-10, 14, 12, s.Series.Names[i]) })
	for _, g := range s.Groups {
		x := 0.0
		fmt.Fprintf(&b, `<text x="0" y="%.0f">%s</text>`, y+10, html.EscapeString(Clip(g.Label, 58)))
		y += 15
		row := []any{g.Label}
		for i, v := range g.Values {
			row = append(row, v)
			if v > 0 {
				part(i, x, y, v*full, tall, fmt.Sprintf("%s, %s: %.2f %%", g.Label, s.Series.Names[i], 100*v))
			}
			if v*full >= room {
				fmt.Fprintf(&b, `<rect class="%s" x="%.1f" y="%.0f" width="42" height="15"/><text x="%.1f" y="%.0f" text-anchor="middle">%.1f %%</text>`,
					s.Series.Classes[i], x+v*full/2-21, y+4, x+v*full/2, y+tall-6, 100*v)
			}
			x += v * full
		}
		y += step - 15
		f.Rows = append(f.Rows, row)
	}
	f.body, f.height = b.String(), y
	return f
}

// legend writes names beside keys, which key draws with their lower left corner at (x, y); it returns where it ends.
func legend(b *strings.Builder, names []string, key func(i int, x, y float64)) float64 {
	x, y := 0.0, 14.0
	for i, name := range names {
		w := 22 + 6.6*float64(len([]rune(name))) + 14
		if x > 0 && x+w > wide {
			x, y = 0, y+17
		}
		key(i, x, y)
		fmt.Fprintf(b, `<text x="%.0f" y="%.0f">%s</text>`, x+22, y, html.EscapeString(name))
		x += w
	}
	return y + 12
}
