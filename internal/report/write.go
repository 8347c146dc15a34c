package report

import (
	"bytes"
	"context"
	_ "embed" // the page
	"encoding/json"
	"fmt"
	"html/template"
	"io"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"mib":   func(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) },
	"width": func(n int) template.CSS { return template.CSS(fmt.Sprintf("%.2fem", 0.72*float64(n)+0.5)) },
}).Parse(pageText))

// view is what the page shows.
type view struct {
	Prompts                                               int
	Target                                                string
	Sources, Judges, Skills, Missing, Agreement           []string
	Summary                                               Summary
	Accuracy, WinRates, Shares, Lengths, Losses, Statuses template.HTML
	HasSelections                                         bool
	Datasets                                              []datasetLine
	Examples                                              []example
}

// Write reads a run and writes report.html, summary.json and life-of-a-prompt.md into its out folder, then the final
// table and the page's path to w.
func Write(ctx context.Context, c *config.Config, store dataset.Store, w io.Writer) error {
	l, err := load(ctx, c, store)
	if err != nil {
		return err
	}
	summary, err := json.MarshalIndent(l.summary, "", "  ")
	if err != nil {
		return err
	}
	html, err := l.page()
	if err != nil {
		return err
	}
	life, err := l.life()
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{"summary.json", append(summary, '\n')}, {"report.html", html}, {"life-of-a-prompt.md", life}} {
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
		Skills: l.summary.skills(), Datasets: l.datasets, Missing: l.missing(), Losses: l.losses(),
	}
	if len(l.summary.Models) > 0 {
		v.Accuracy = l.accuracy()
	}
	if len(l.selections) > 0 {
		t := l.table()
		v.HasSelections = true
		v.WinRates, v.Shares, v.Lengths, v.Statuses, v.Agreement = l.winRates(t), l.shares(t), l.lengths(), l.statuses(), l.agreement(t)
		var err error
		if v.Examples, err = l.examples(); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	if err := page.Execute(&b, v); err != nil {
		return nil, fmt.Errorf("drawing report.html: %w", err)
	}
	return b.Bytes(), nil
}

// missing names what has not been run.
func (l *loaded) missing() []string {
	var out []string
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

// replace writes an object anew: these files are views of what is there, not data.
func replace(ctx context.Context, store dataset.Store, key string, data []byte) error {
	if err := store.Remove(ctx, key); err != nil {
		return err
	}
	return store.Create(ctx, key, data)
}
