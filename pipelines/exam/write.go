package exam

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/profuser/profuser/fusion/harness"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/inflight"
)

// write writes the results beside the datasets and prints the table.
func (o Options) write(ctx context.Context, store dataset.Store, m inflight.Model, scores []schemas.BenchmarkScore, items []schemas.BenchmarkItem, out io.Writer) error {
	asked := map[string]int{}
	for _, i := range items {
		asked[i.Subject]++
	}
	s := Summarize(o, m.Name, scores, asked)
	summary, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	var table bytes.Buffer
	Table(&table, s)
	rows, err := dataset.EncodePart(scores, dataset.Footer{SourceModel: m.Name})
	if err != nil {
		return err
	}
	files := map[string][]byte{"summary.json": append(summary, '\n'), "summary.md": table.Bytes(), "items.parquet": rows}
	if o.JSONL {
		if files["items.jsonl"], err = Lines(o.task, scores); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := dataset.Replace(ctx, store, name, files[name]); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "%s\n%d of %d items have a score. %s has %s.\n", table.String(), len(scores), len(items), o.Out, strings.Join(slices.Sorted(maps.Keys(files)), ", "))
	return nil
}

// Table writes the summary as Markdown.
func Table(w io.Writer, s Summary) {
	fmt.Fprint(w, "| task | version | filter | shots | items | metric | value | stderr |\n|---|---|---|---|---|---|---|---|\n")
	row := func(name string, values map[string]any, version, shots string, n int) {
		for _, key := range slices.Sorted(maps.Keys(values)) {
			metric, filter, ok := strings.Cut(key, ",")
			if !ok || strings.HasSuffix(metric, "_stderr") {
				continue
			}
			stderr := "N/A"
			if x, ok := values[metric+"_stderr,"+filter].(float64); ok {
				stderr = fmt.Sprintf("%.4f", x)
			}
			fmt.Fprintf(w, "| %s | %s | %s | %s | %d | %s | %.4f | %s |\n", name, version, filter, shots, n, metric, values[key], stderr)
		}
	}
	all := 0
	for _, name := range slices.Sorted(maps.Keys(s.Results)) {
		row(name, s.Results[name], fmt.Sprint(s.Versions[name]), fmt.Sprint(s.Shots[name]), s.Samples[name].Effective)
		all += s.Samples[name].Effective
	}
	for name, values := range s.Groups {
		row(name, values, "", "", all)
	}
}

// chosen and written are the lines of items.jsonl.
type (
	chosen struct {
		DocID   int32       `json:"doc_id"`
		Subject string      `json:"subject,omitempty"`
		Prompts [][2]string `json:"prompts"`
		LLs     []float64   `json:"lls"`
		Gold    int32       `json:"gold"`
		Acc     *float64    `json:"acc"`
		AccNorm *float64    `json:"acc_norm,omitempty"`
	}
	written struct {
		DocID    int32    `json:"doc_id"`
		Prompt   string   `json:"prompt"`
		Text     string   `json:"text"`
		Strict   *float64 `json:"strict"`
		Flexible *float64 `json:"flexible"`
	}
)

// Lines are the scores as JSON lines.
func Lines(t harness.Task, scores []schemas.BenchmarkScore) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	for _, s := range scores {
		values := map[string]*float64{}
		for i := range s.Metrics {
			values[s.Metrics[i].Name] = &s.Metrics[i].Value
		}
		var line any = written{s.DocID, s.Contexts[0], s.Text, values[harness.Strict], values[harness.Flexible]}
		if !t.Generates {
			c := chosen{DocID: s.DocID, Subject: s.Subject, Gold: s.Gold, Acc: values[harness.Acc], AccNorm: values[harness.AccNorm]}
			r := harness.Request{Contexts: s.Contexts, Continuations: s.Continuations}
			for i, l := range s.LogLikelihoods {
				context, continuation := r.Pair(i)
				c.Prompts, c.LLs = append(c.Prompts, [2]string{context, continuation}), append(c.LLs, max(l, -math.MaxFloat64))
			}
			line = c
		}
		if err := e.Encode(line); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}
