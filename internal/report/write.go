package report

import (
	"bytes"
	"context"
	_ "embed" // the page
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"slices"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"size":  size,
	"width": func(n int) template.CSS { return template.CSS(fmt.Sprintf("%.2fem", 0.72*float64(n)+0.5)) },
}).Parse(pageText))

// view is what the page shows.
type view struct {
	Prompts                                                                    int
	Target                                                                     string
	Sources, Judges, Skills, Missing, ModesAgree                               []string
	Summary                                                                    Summary
	Accuracy, Nats, WinRates, Shares, Lengths, Losses, Weights, Pace, Statuses template.HTML
	Agreements, Methods, Likelihood, Bytes                                     template.HTML
	HasSelections                                                              bool
	Datasets                                                                   []datasetLine
	Examples                                                                   []example
	Samples                                                                    []sampled
}

// Write reads a run and writes report.html, summary.json and life-of-a-prompt.md into its out folder, then the final
// table and the page's path to w.
func Write(ctx context.Context, c *config.Config, store dataset.Store, w io.Writer) error {
	l, err := load(ctx, c, store)
	if err != nil {
		return err
	}
	html, err := l.page()
	if err != nil {
		return err
	}
	summary, err := json.MarshalIndent(l.summary, "", "  ")
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{"summary.json", append(summary, '\n')}, {"report.html", html}, {"life-of-a-prompt.md", l.life()}} {
		if err := replace(ctx, store, f.name, f.data); err != nil {
			return err
		}
	}
	if err := l.summary.table(w); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n%s/report.html\n", store.URL())
	return err
}

// page draws the page.
func (l *loaded) page() ([]byte, error) {
	v := view{
		Prompts: len(l.prompts), Target: l.config.Target.Model, Sources: l.config.Sources, Judges: l.config.Reward.Models, Summary: l.summary,
		Skills: l.summary.skills(), Datasets: l.datasets, Losses: l.losses(), Weights: l.weights(), Pace: l.pace(), Samples: l.answered(),
	}
	if len(l.summary.Models) > 0 {
		v.Accuracy, v.Nats = l.accuracy(), l.nats()
	}
	if len(l.selections) > 0 {
		t := l.table()
		v.HasSelections = true
		v.WinRates, v.Shares, v.Lengths, v.Statuses, v.ModesAgree = l.winRates(t), l.shares(t), l.lengths(), l.statuses(), l.modesAgree(t)
		var a *advantage.Agreements
		var quality map[string]advantage.Rate
		a, v.Agreements = l.agreements()
		quality, v.Methods = l.methodQuality()
		l.summary.opinions(a, quality)
		v.Summary = l.summary
		v.Likelihood, v.Bytes = likelihood(l.summary.Alignments), bytesPerPosition(l.summary.Storage)
		v.Examples = l.examples()
	}
	v.Missing = l.missing()
	var b bytes.Buffer
	if err := page.Execute(&b, v); err != nil {
		return nil, fmt.Errorf("drawing report.html: %w", err)
	}
	return b.Bytes(), nil
}

// missing names what has not been run.
func (l *loaded) missing() []string {
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
	return out
}

// size writes a number of bytes.
func size(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// replace writes an object anew: these files are views of what is there, not data.
func replace(ctx context.Context, store dataset.Store, key string, data []byte) error {
	if err := store.Remove(ctx, key); err != nil {
		return err
	}
	return store.Create(ctx, key, data)
}
