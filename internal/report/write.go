package report

import (
	"bytes"
	"context"
	_ "embed" // the page
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/internal/report/browser"
	"github.com/profuser/profuser/internal/report/draw"
	"github.com/profuser/profuser/internal/report/scores"
)

//go:embed page.html
var pageText string

// folder holds the figures' files, beside the page.
const folder = "report"

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"size":   size,
	"css":    draw.CSS,
	"figure": func(f draw.Figure) template.HTML { return f.HTML(folder) },
	"short":  func(f draw.Figure) string { name, _, _ := strings.Cut(f.Title, ":"); return name },
	"width":  func(n int) template.CSS { return template.CSS(fmt.Sprintf("%.2fem", 0.72*float64(n)+0.5)) },
}).Parse(pageText))

// view is what the page shows.
type view struct {
	Prompts                                int
	Target                                 string
	Sources, Judges, Skills, Missing       []string
	Summary                                Summary
	Result, Advantage, Training, Alignment []draw.Figure
	HasSelections                          bool
	Datasets                               []datasetLine
	Examples                               []example
	Samples                                []sampled
	// Browser is the section to look through the prompts; empty without one.
	Browser template.HTML
}

// figures are all of the page, in its order.
func (v *view) figures() []draw.Figure {
	return slices.Concat(v.Result, v.Advantage, v.Training, v.Alignment)
}

// Options say what else goes into a report.
type Options struct {
	// Runs are other runs' reward scores, which figure 4 draws beside this run's.
	Runs []scores.Run
	// Methods are benchmark scores by advantage method, for figure 3.
	Methods []scores.Method
}

// Write reads a run and writes report.html, the figures' files under report/, summary.json and life-of-a-prompt.md into
// its out folder, then the final table and the page's path to w.
func Write(ctx context.Context, c *config.Config, store dataset.Store, o Options, w io.Writer) error {
	l, err := load(ctx, c, store)
	if err != nil {
		return err
	}
	v := l.view(o)
	if v.Browser, err = browser.Section(ctx, c, store); err != nil {
		return err
	}
	var html bytes.Buffer
	if err := page.Execute(&html, v); err != nil {
		return fmt.Errorf("drawing report.html: %w", err)
	}
	summary, err := json.MarshalIndent(l.summary, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFigures(ctx, store, v.figures()); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{"summary.json", append(summary, '\n')}, {"report.html", html.Bytes()}, {"life-of-a-prompt.md", l.life()}} {
		if err := dataset.Replace(ctx, store, f.name, f.data); err != nil {
			return err
		}
	}
	if err := l.summary.table(w); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n%s/report.html\n", store.URL())
	return err
}

// view gathers the page.
func (l *loaded) view(o Options) *view {
	v := &view{
		Prompts: len(l.prompts), Target: l.config.Target.Model, Sources: l.config.Sources, Judges: l.config.Reward.Models,
		Skills: l.summary.skills(), Datasets: l.datasets, Samples: l.answered(),
	}
	if len(l.summary.Models) > 0 {
		v.Result = drawn(l.accuracy(), l.nats())
	}
	if len(l.selections) > 0 {
		t := l.table()
		v.HasSelections = true
		a, agreement := l.agreements()
		quality, methods := l.methodQuality()
		l.summary.opinions(a, quality)
		v.Advantage = drawn(l.winRates(t), l.lengths(), methods, benchmarked(o.Methods), l.shares(t), agreement)
		v.Alignment = drawn(l.statuses(), likelihood(l.summary.Alignments), bytesPerPosition(l.summary.Storage))
		v.Examples = l.examples()
	}
	runs := o.Runs
	if len(l.epochs) > 0 {
		runs = append([]scores.Run{{Epochs: l.epochs}}, runs...)
	}
	rewards := rewardCurves(runs)
	v.Training = drawn(append([]draw.Figure{rewards, l.losses(), l.weights()}, l.pace()...)...)
	v.Missing = l.missing(!rewards.Empty())
	v.Summary = l.summary
	return v
}

// drawn leaves out figures without anything to draw.
func drawn(all ...draw.Figure) []draw.Figure {
	return slices.DeleteFunc(all, draw.Figure.Empty)
}

// writeFigures writes every figure as drawing and as data, and removes those of an earlier report that are no more.
func writeFigures(ctx context.Context, store dataset.Store, figures []draw.Figure) error {
	old, err := store.List(ctx, folder+"/")
	if err != nil {
		return err
	}
	for _, key := range old {
		if ext := path.Ext(key); ext == ".svg" || ext == ".csv" {
			if err := store.Remove(ctx, key); err != nil {
				return err
			}
		}
	}
	for _, f := range figures {
		if err := dataset.Replace(ctx, store, folder+"/"+f.Name+".svg", f.SVG()); err != nil {
			return err
		}
		if err := dataset.Replace(ctx, store, folder+"/"+f.Name+".csv", f.CSV()); err != nil {
			return err
		}
	}
	return nil
}

// missing names what has not been run; rewards says whether figure 4 could be drawn.
func (l *loaded) missing(rewards bool) []string {
	out := slices.Clone(l.noTokens)
	if len(l.selections) == 0 {
		out = append(out, "There is no fusion dataset yet: profuser run makes it.")
	}
	if len(l.metrics) == 0 {
		out = append(out, "Training has not run yet: profuser-trainer train.")
	}
	if n := len(l.summary.Models); n == 0 || l.summary.Models[n-1].Role != fused {
		out = append(out, "The fused model has not been evaluated yet: profuser evaluate, after training.")
	}
	switch {
	case len(l.epochs) == 0:
		out = append(out, "Figure 4 is missing: profuser evaluate --reward scores the responses of each epoch ("+rewardsFile+").")
	case !rewards:
		out = append(out, "Figure 4 is missing: "+rewardsFile+" has scores of one epoch, want two; with trainer.keep_epochs a training keeps the model of each, and profuser evaluate --reward scores them.")
	}
	return out
}

// size writes a number of bytes.
func size(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
