package survey

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/pipelines/plan"
	"github.com/profuser/profuser/schemas"
)

// PartsRead is how many parts of a finished dataset are read for its means.
const PartsRead = 4

// Measure reads the finished datasets of a run: their manifests, and at most parts of their parts; 0 reads all.
func Measure(ctx context.Context, c *config.Config, url string, parts int) (plan.Measured, error) {
	m := plan.Measured{Where: "the datasets in " + url, Datasets: map[string]plan.Dataset{}, Seconds: map[string]float64{}}
	store, err := dataset.OpenStore(ctx, url)
	if err != nil {
		return m, err
	}
	r := reader{ctx, store, parts, m}
	read[schemas.Prompt](r, "prompts", func(*schemas.Prompt) (int, int, int) { return 0, 0, 0 })
	for _, name := range c.Competitors() {
		read(r, "generations/"+name, func(g *schemas.Generation) (int, int, int) {
			return int(g.PromptTokens), len(g.TokenIDs), len(g.IDs)
		})
		for _, kind := range []string{"crossentropy/", "crossentropy-responses/"} {
			read(r, kind+name, func(t *schemas.TeacherForcing) (int, int, int) { return 0, int(t.Tokens), len(t.IDs) })
		}
		read(r, "evaluation/"+name, func(*schemas.Evaluation) (int, int, int) { return 0, 0, 0 })
	}
	for _, name := range c.Reward.Models {
		read(r, "rewards/"+name, func(*schemas.Reward) (int, int, int) { return 0, 0, 0 })
	}
	read(r, "selections", func(*schemas.Selection) (int, int, int) { return 0, 0, 0 })
	for _, mode := range schemas.Modes {
		read(r, "fusion/"+mode, func(e *schemas.FusionExample) (int, int, int) { return len(e.PromptIDs), len(e.TextIDs), len(e.IDs) })
	}
	read(r, "evaluation/items", func(*schemas.Prompt) (int, int, int) { return 0, 0, 0 })
	r.seconds(c)
	return m, nil
}

// reader reads datasets into what was measured.
type reader struct {
	ctx   context.Context
	store dataset.Store
	parts int
	into  plan.Measured
}

// read measures one dataset, if it is finished. A part that cannot be read leaves it out: the run will say why.
func read[T any](r reader, name string, count func(*T) (prompt, text, entries int)) {
	d, err := dataset.Open(r.ctx, r.store, name)
	if err != nil {
		return
	}
	out := plan.Dataset{Parts: int64(d.Parts()), Rows: d.Manifest.Rows, Rejects: d.Manifest.Rejects, Bytes: d.Manifest.Bytes}
	n := d.Parts()
	if r.parts > 0 {
		n = min(n, r.parts)
	}
	seen := 0.0
	for i := range n {
		rows, _, err := dataset.Rows[T](r.ctx, d, i*d.Parts()/n)
		if err != nil {
			return
		}
		for k := range rows {
			prompt, text, entries := count(&rows[k])
			out.PromptTokens, out.TextTokens, out.Entries = out.PromptTokens+float64(prompt), out.TextTokens+float64(text), out.Entries+float64(entries)
		}
		seen += float64(len(rows))
		if i == 0 && len(rows) > 0 {
			if out.PartBytes, err = partBytes(rows); err != nil {
				return
			}
		}
	}
	if seen > 0 {
		out.PromptTokens, out.TextTokens, out.Entries = out.PromptTokens/seen, out.TextTokens/seen, out.Entries/seen
	}
	r.into.Datasets[name] = out
}

// seconds reads what the run's steps took, models together, and spreads it over their calls.
func (r reader) seconds(c *config.Config) {
	for step, models := range map[string][]string{"generate": c.Competitors(), "reward": c.Reward.Models, "crossentropy": c.Competitors()} {
		var record struct {
			Seconds float64 `json:"seconds"`
		}
		data, err := r.store.Read(r.ctx, "steps/"+step+".json")
		if err != nil || json.Unmarshal(data, &record) != nil || record.Seconds <= 0 {
			continue
		}
		folder := map[string]string{"generate": "generations/", "reward": "rewards/", "crossentropy": "crossentropy/"}[step]
		var rows int64
		for _, model := range models {
			rows += r.into.Datasets[folder+model].Rows
		}
		for _, model := range models {
			if rows > 0 {
				r.into.Seconds[fmt.Sprintf("%s %s", step, model)] = record.Seconds / float64(rows)
			}
		}
	}
}
