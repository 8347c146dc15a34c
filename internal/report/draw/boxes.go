package draw

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// Spread is how a set of numbers lies: its mean, median and quartiles, and how many they are.
type Spread struct {
	N                    int
	Mean, Q1, Median, Q3 float64
}

// SpreadOf measures numbers, which it sorts; quartiles lie between the two nearest numbers, as in numpy's default. Of none
// all are NaN.
func SpreadOf(numbers []float64) Spread {
	if len(numbers) == 0 {
		return Spread{0, math.NaN(), math.NaN(), math.NaN(), math.NaN()}
	}
	slices.Sort(numbers)
	sum := 0.0
	for _, v := range numbers {
		sum += v
	}
	at := func(share float64) float64 {
		place := share * float64(len(numbers)-1)
		k := int(place)
		return numbers[k] + (place-float64(k))*(numbers[min(k+1, len(numbers)-1)]-numbers[k])
	}
	return Spread{len(numbers), sum / float64(len(numbers)), at(0.25), at(0.5), at(0.75)}
}

// SpreadGroup is some spreads with a common label.
type SpreadGroup struct {
	Label   string
	Spreads []Spread
}

// Boxes are groups of spreads over a common axis from zero: a box from the first to the third quartile, a stroke at the
// median, a ring at the mean.
type Boxes struct {
	Title, Of string
	Groups    []SpreadGroup
	Series    Series
	// Format writes a mean.
	Format string
}

// Draw draws them; an empty set has no box.
func (b Boxes) Draw() Figure {
	f := Figure{Title: b.Title, width: wide, Columns: []string{b.Of, "of", "count", "mean", "first quartile", "median", "third quartile"}}
	top := 1e-9
	for _, g := range b.Groups {
		for _, s := range g.Spreads {
			if s.N > 0 {
				top = max(top, s.Q3, s.Mean)
			}
		}
	}
	ticks := steps(0, top, 4)
	top = max(top, ticks[len(ticks)-1])
	px := func(v float64) float64 { return left + v/top*(wide-left-behind) }
	var body, values strings.Builder
	y := 4.0
	for _, g := range b.Groups {
		y = heading(&body, g.Label, len(b.Series.Names), y)
		for i, s := range g.Spreads {
			f.Rows = append(f.Rows, []any{g.Label, b.Series.Names[i], s.N, s.Mean, s.Q1, s.Median, s.Q3})
			rowLabel(&body, g.Label, b.Series, i, left, y+thick/2)
			if s.N > 0 {
				mean := fmt.Sprintf(b.Format, s.Mean)
				fmt.Fprintf(&body, `<g><title>%s</title><rect class="%s" x="%.1f" y="%.0f" width="%.1f" height="%d" rx="2"/><path class="edge" d="M%.1f %.0fv%d"/><circle class="edge" cx="%.1f" cy="%.1f" r="3.2"/></g>`,
					html.EscapeString(fmt.Sprintf("%s, %s: mean %s, quartiles %s, %s, %s, of %d", g.Label, b.Series.Names[i], mean, written(s.Q1, 4), written(s.Median, 4), written(s.Q3, 4), s.N)),
					b.Series.Classes[i], px(s.Q1), y, math.Max(2, px(s.Q3)-px(s.Q1)), thick-3, px(s.Median), y-1, thick-1, px(s.Mean), y+(thick-3)/2.0)
				fmt.Fprintf(&values, `<text class="v on" x="%.1f" y="%.0f">%s</text>`, math.Max(px(s.Q3), px(s.Mean)+4)+5, y+thick-5, mean)
			}
			y += thick
		}
		y += gap
	}
	var grid strings.Builder
	for _, v := range ticks {
		fmt.Fprintf(&grid, `<line class="grid" x1="%.1f" x2="%.1f" y1="0" y2="%.0f"/><text class="v" x="%.1f" y="%.0f" text-anchor="middle">%s</text>`, px(v), px(v), y-4, px(v), y+9, written(v, 4))
	}
	f.body, f.height = grid.String()+body.String()+values.String(), y+14
	return f
}
