package draw

import (
	"encoding/csv"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// specimens are figures of every kind, with hostile names.
func specimens() map[string]Figure {
	nan := math.NaN()
	return map[string]Figure{
		"bars": Bars{
			Title: "Rate: <b> & co", Of: "source", Series: Numbered(3, "training", "inference"), Top: 1, Format: "%.2f", Mark: 0.5,
			Groups: []Group{{Label: "a & \"b\"", Values: []float64{0.25, nan}}, {Label: "c", Values: []float64{1, 0}}},
		}.Draw().Named("bars", "note <i>"),
		"one series": Bars{Title: "One", Of: "x", Series: Numbered(0, "right"), Top: 2, Format: "%.1f", Groups: []Group{{Label: "a", Values: []float64{2}, Spread: []float64{0.25}}, {Label: "b", Values: []float64{1}, Spread: []float64{nan}}}}.Draw().Named("one", ""),
		"stacked":    Stacked{Title: "Parts", Of: "source", Series: Numbered(0, "exact", "none"), Groups: []Group{{Label: "x & y", Values: []float64{0.75, 0.25}}}}.Draw("stacked", "n"),
		"boxes": Boxes{
			Title: "Lengths", Of: "system", Series: Numbered(0, "reference", "sage"), Format: "%.0f",
			Groups: []SpreadGroup{{"none", []Spread{SpreadOf([]float64{4, 1, 3, 2}), SpreadOf(nil)}}},
		}.Draw().Named("boxes", "n"),
		"matrix": Matrix{Title: "Agree", Of: "opinion", Names: []string{"a", "b<"}, Values: [][]float64{{1, 0.5}, {0.5, nan}}}.Draw().Named("matrix", "n"),
		"lines": Lines{Title: "Loss", XLabel: "step", YLabel: "nats", Marks: map[float64]string{2: "stage <2>"}, All: []Line{
			{Name: "a", X: []float64{1, 2, 3}, Y: []float64{-1, 0, 2}, Spread: []float64{0.5, 0.5, 0.25}, Dots: true},
			{Name: "b", X: []float64{2, 4}, Y: []float64{1, 1.5}, Dots: true, Colour: 1},
			{Name: "nobody"},
		}}.Draw().Named("lines", "n"),
	}
}

// parsed walks XML and returns the texts of all title elements; it fails the test where it is none.
func parsed(t *testing.T, name, text string) (titles []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	open := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return titles
		} else if err != nil {
			t.Fatalf("%s: %v in %s", name, err, text)
		}
		switch x := token.(type) {
		case xml.StartElement:
			open = x.Name.Local == "title"
		case xml.CharData:
			if open {
				titles = append(titles, string(x))
			}
			open = false
		}
	}
}

// TestFigures: every kind is well-formed XML in a page and in a file, has a role, title and description, and a table with
// the same numbers as its file.
func TestFigures(t *testing.T) {
	for name, f := range specimens() {
		page, file := string(f.HTML("report")), string(f.SVG())
		for where, text := range map[string]string{"page": page, "file": file} {
			if titles := parsed(t, name, text); titles[0] != f.Title {
				t.Errorf("%s, %s: the first title is %q, want %q", name, where, titles[0], f.Title)
			}
			for _, want := range []string{`role="img"`, `aria-labelledby="` + f.Name + `-title ` + f.Name + `-desc"`, `<title id="` + f.Name + `-title">`, `<desc id="` + f.Name + `-desc">`} {
				if !strings.Contains(text, want) {
					t.Errorf("%s, %s lacks %s", name, where, want)
				}
			}
			if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
				t.Errorf("%s, %s: a number that is none: %s", name, where, text)
			}
		}
		if !strings.Contains(file, `xmlns="http://www.w3.org/2000/svg"`) || strings.Contains(file, "var(") || strings.Count(file, "http") != 1 {
			t.Errorf("%s: the file is not complete in itself: %s", name, file)
		}
		if !strings.Contains(page, `href="report/`+f.Name+`.csv"`) || strings.Contains(string(f.HTML("")), "href") {
			t.Errorf("%s: links are wrong: %s", name, page)
		}
		records, err := csv.NewReader(strings.NewReader(string(f.CSV()))).ReadAll()
		if err != nil || len(records) != len(f.Rows)+1 || strings.Count(page, "<tr>") != len(records) {
			t.Errorf("%s: %d records (%v), %d table rows, want %d", name, len(records), err, strings.Count(page, "<tr>"), len(f.Rows)+1)
		}
	}
}

func TestNumbers(t *testing.T) {
	all := specimens()
	for name, want := range map[string]string{
		"bars":       "source,training,inference\n\"a & \"\"b\"\"\",0.25,\nc,1,0\n",
		"one series": "x,right,\"right, spread\"\na,2,0.25\nb,1,\n",
		"boxes":      "system message,of,count,mean,first quartile,median,third quartile\nnone,reference,4,2.5,1.75,2.5,3.25\nnone,sage,0,,,,\n",
		"lines":      "step,a,\"a, spread\",b\n1,-1,0.5,\n2,0,0.5,1\n3,2,0.25,\n4,,,1.5\n",
		"matrix":     "opinion,a,b<\na,1,0.5\nb<,0.5,\n",
		"stacked":    "source,exact,none\nx & y,0.75,0.25\n",
	} {
		if d := cmp.Diff(strings.Replace(want, "system message", "system", 1), string(all[name].CSV())); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// TestPlaces: bars and boxes are as long as their numbers, lines go through their points.
func TestPlaces(t *testing.T) {
	all := specimens()
	for name, want := range map[string][]string{
		"bars":       {`x="104" y="21" width="63.5"`, `width="254.0"`, `<line class="mark" x1="231.0"`},                // 254 units are 1
		"one series": {`d="M326.2 10.5H389.8m0 -3v6"`, "right: 2.0 ± 0.2<"},                                            // 254 units are 2
		"boxes":      {`width="95.2"`, `M262.8 `},                                                                      // 1.5 and 2.5 of 4
		"lines":      {`d="M46.0 `, `L388.0 `, `<path class="l1" stroke-dasharray="7 3"`, "stage &lt;2&gt;", " ± 0.5"}, // the range is the axis
		"stacked":    {`width="300.0"`, `width="100.0"`, `fill="url(#stacked-hatch-1)"`, "75.0 %"},
	} {
		for _, w := range want {
			if !strings.Contains(string(all[name].HTML("")), w) {
				t.Errorf("%s lacks %s: %s", name, w, all[name].HTML(""))
			}
		}
	}
	if !(Lines{All: []Line{{X: []float64{1}, Y: []float64{1}}}}).Draw().Empty() {
		t.Error("one place on the axis was drawn as a line")
	}
}

// TestWholeNumbers: an axis of epochs has no label between two of them.
func TestWholeNumbers(t *testing.T) {
	for last, want := range map[float64]int{2: 0, 2.5: 3} { // 0.5, 1.5 and 2.5 are halves
		f := Lines{All: []Line{{X: []float64{0, last}, Y: []float64{0, 4}}}}.Draw()
		if n := strings.Count(string(f.HTML("")), `.5</text>`); n != want {
			t.Errorf("an axis up to %g has %d labels of halves, want %d", last, n, want)
		}
	}
}

func TestManyRows(t *testing.T) {
	l := Line{Name: "a"}
	for k := range 1001 {
		l.X, l.Y = append(l.X, float64(k)), append(l.Y, 1/float64(k+1))
	}
	f := Lines{XLabel: "step", All: []Line{l}}.Draw().Named("many", "")
	page := string(f.HTML(""))
	if n := strings.Count(page, "<tr>"); n > shownRows+2 || !strings.Contains(page, "Each 11th of 1001 rows") || !strings.Contains(page, `<th scope="row">1000</th>`) {
		t.Errorf("%d table rows of 1001", n)
	}
	if n := strings.Count(string(f.CSV()), "\n"); n != 1002 {
		t.Errorf("%d lines in the file, want 1002", n)
	}
}

func TestSteps(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		n         int
		want      []float64
	}{
		{0, 3.34, 5, []float64{0, 1, 2, 3, 4}},
		{0, 180, 8, []float64{0, 50, 100, 150, 200}},
		{0, 1, 5, []float64{0, 0.2, 0.4, 0.6, 0.8, 1}},
		{0, 0.021, 5, []float64{0, 0.005, 0.01, 0.015, 0.02, 0.025}},
		{0, 7, 8, []float64{0, 1, 2, 3, 4, 5, 6, 7}},
		{-1.4, 2.05, 5, []float64{-2, -1, 0, 1, 2, 3}},
		{50.2, 51.9, 5, []float64{50, 50.5, 51, 51.5, 52}},
	} {
		if diff := cmp.Diff(c.want, steps(c.low, c.high, c.n), cmpopts.EquateApprox(1e-12, 0)); diff != "" {
			t.Errorf("from %g to %g in %d steps (-want +got):\n%s", c.low, c.high, c.n, diff)
		}
	}
}

// TestLongLabels: long names of single bars get more room, and no more than half of the drawing.
func TestLongLabels(t *testing.T) {
	for label, want := range map[string]string{"vote": `x="104"`, "single, judge-a": `x="114.5"`, strings.Repeat("long ", 20): `x="190"`} {
		f := Bars{Series: Numbered(0, "score"), Top: 1, Format: "%.1f", Groups: []Group{{Label: label, Values: []float64{1}}}}.Draw()
		if !strings.Contains(string(f.HTML("")), `<rect class="c0" `+want) {
			t.Errorf("%q: the bar does not begin at %s: %s", label, want, f.HTML(""))
		}
	}
}

// TestLegendWraps: a legend that is longer than the drawing goes on below.
func TestLegendWraps(t *testing.T) {
	var b strings.Builder
	if y := legend(&b, []string{strings.Repeat("a", 30), strings.Repeat("b", 30)}, func(int, float64, float64) {}); y != 43 {
		t.Errorf("two long names end at %g, want a second row", y)
	}
}
