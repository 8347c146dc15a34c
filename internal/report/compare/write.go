package compare

import (
	"bytes"
	"context"
	_ "embed" // the page
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"maps"
	"math"
	"slices"
	"text/tabwriter"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/internal/report/draw"
	"github.com/profuser/profuser/schemas"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("compare").Funcs(template.FuncMap{
	"css":    draw.CSS,
	"figure": func(f draw.Figure) template.HTML { return f.HTML("") },
	"p":      shown,
	"share":  func(x *float64) string { return optional(x, "%.3f") },
	"measure": func(m Mark) string {
		if m.Skill == "all" {
			return measures[m.Measure]
		}
		return m.Skill
	},
	"measured": func(m Mark, x float64) string {
		if m.Measure == "accuracy" {
			return fmt.Sprintf("%.3f", x)
		}
		return fmt.Sprintf("%.4f", x)
	},
	"signed": func(x float64) string { return fmt.Sprintf("%+.4f", x) },
	"of":     func(part, all int) string { return fmt.Sprintf("%.1f %%", 100*float64(part)/math.Max(1, float64(all))) },
	"chance": func(tests int) float64 { return 0.05 * float64(tests) },
	"columns": func(g Agreement) []string {
		all := map[string]int{}
		for _, row := range g.Winners {
			maps.Copy(all, row)
		}
		return slices.Sorted(maps.Keys(all))
	},
	"mib": func(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) },
}).Parse(pageText))

// measures are how a mark's measure is written.
var measures = map[string]string{"accuracy": "accuracy", "nats_per_byte": "nats/byte, mean over items"}

// view is what the page shows.
type view struct {
	Comparison
	Curves []draw.Figure
	// Models are those whose results differ on some item, Unchanged the others.
	Models    []modelMarks
	Unchanged []string
	Tests     int // p-values on the page
}

// modelMarks are one model's.
type modelMarks struct {
	Name  string
	Marks []Mark
}

// byModel cuts the marks, which stand by model.
func (v *view) byModel() {
	for first := 0; first < len(v.Marks); {
		one := modelMarks{Name: v.Marks[first].Model}
		differs := false
		for ; first < len(v.Marks) && v.Marks[first].Model == one.Name; first++ {
			m := v.Marks[first]
			one.Marks = append(one.Marks, m)
			differs = differs || m.MoreHere+m.MoreThere > 0
		}
		if !differs {
			v.Unchanged = append(v.Unchanged, one.Name)
			continue
		}
		v.Models, v.Tests = append(v.Models, one), v.Tests+len(one.Marks)
	}
}

// Write compares two runs and writes report-compare.html and report-compare.json into the first one's folder, then the main
// differences and the page's path to w.
func Write(ctx context.Context, here, there Run, w io.Writer) error {
	a, err := load(ctx, here)
	if err != nil {
		return err
	}
	b, err := load(ctx, there)
	if err != nil {
		return err
	}
	c := compared(a, b)
	v := view{Comparison: c, Curves: curves(a, b)}
	v.byModel()
	var html bytes.Buffer
	if err := page.Execute(&html, v); err != nil {
		return fmt.Errorf("drawing report-compare.html: %w", err)
	}
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{"report-compare.html": html.Bytes(), "report-compare.json": append(data, '\n')} {
		if err := dataset.Replace(ctx, here.Store, name, data); err != nil {
			return err
		}
	}
	return c.print(here.Store, w)
}

// print writes what most readers ask first.
func (c Comparison) print(store dataset.Store, w io.Writer) error {
	keys := "keys differ"
	if len(c.Settings) == 1 {
		keys = "key differs"
	}
	fmt.Fprintf(w, "\n%s against %s: %d %s", c.Here, c.There, len(c.Settings), keys)
	for _, g := range c.Agreements {
		fmt.Fprintf(w, "; %s mode: the same winner on %d of %d prompts", g.Mode, g.Same, g.Prompts)
	}
	fmt.Fprint(w, "\n\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	if len(c.Marks) > 0 {
		fmt.Fprintf(t, "model\tmeasure\titems\t%s\t%s\tdifference\tp\t\n", c.Here, c.There)
	}
	for _, m := range c.Marks {
		if m.Skill == "all" {
			fmt.Fprintf(t, "%s\t%s\t%d\t%.4f\t%.4f\t%+.4f\t%s\t\n", m.Model, measures[m.Measure], m.Items, m.Here, m.There, m.Difference, shown(m.P))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, text := range c.Missing {
		fmt.Fprintln(w, text)
	}
	_, err := fmt.Fprintf(w, "\n%s/report-compare.html\n", store.URL())
	return err
}

// optional writes a number that may be missing.
func optional(x *float64, format string) string {
	if x == nil {
		return "–"
	}
	return fmt.Sprintf(format, *x)
}

// curves draws both trainings over each other, and the reward scores by epoch.
func curves(here, there *loaded) []draw.Figure {
	var out []draw.Figure
	for _, mode := range schemas.Modes {
		var lines []draw.Line
		for k, l := range []*loaded{here, there} {
			batches, held := draw.Line{Name: l.name, Colour: k}, draw.Line{Name: l.name + ", held out", Colour: k, Dots: true}
			for _, m := range l.metrics {
				loss := m.LossInference
				if mode == schemas.ModeTraining {
					loss = m.LossTraining
				}
				batches.Smooth(float64(m.Step), loss)
				if h, ok := m.HeldOut[mode]; ok {
					held.At(float64(m.Step), h.Loss)
				}
			}
			lines = append(lines, batches, held)
		}
		out = append(out, draw.Lines{Title: "Loss of the " + mode + " mode", XLabel: "optimiser step", YLabel: "nats a token", All: lines}.
			Draw().Named("loss-"+mode, "Of batches (moving mean, a new value counts a fifth) and of the held-out prompts (shapes)."))
	}
	rewards := draw.Lines{Title: "Reward scores by epoch", XLabel: "epoch", YLabel: "score"}
	for k, l := range []*loaded{here, there} {
		line := draw.Line{Name: l.name, Colour: k, Dots: true}
		for _, e := range l.epochs {
			line.X, line.Y, line.Spread = append(line.X, float64(e.Epoch)), append(line.Y, e.Mean), append(line.Spread, e.SD)
		}
		rewards.All = append(rewards.All, line)
	}
	out = append(out, rewards.Draw().Named("rewards", "Mean over the held-out responses of the mean score of the reward models; bars reach one standard deviation over responses."))
	return slices.DeleteFunc(out, draw.Figure.Empty)
}
