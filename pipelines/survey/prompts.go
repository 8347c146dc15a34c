package survey

import (
	"context"
	"fmt"
	"math"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/pipelines/plan"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/source"
)

// Look reads a sample of the prompts and of the held-out items and counts their tokens.
func Look(ctx context.Context, c *config.Config) (plan.Survey, error) {
	var s plan.Survey
	prompts, err := sample(ctx, c, c.Prompts.Files, c.Plan.Sample)
	if err != nil {
		return s, err
	}
	if len(prompts.Prompts) == 0 {
		return s, fmt.Errorf("none of the %d rows read from prompts.files is a prompt: profuser ingest says what is wrong", prompts.Read)
	}
	s.Rows, s.Read = float64(prompts.Rows()), len(prompts.Prompts)
	s.Parts = math.Max(1, math.Ceil(float64(prompts.Lines)/float64(c.Prompts.PartRows)))
	for _, p := range prompts.Prompts {
		if p.Reference != nil {
			s.WithReference++
		}
		if p.ExternalID != "" {
			s.WithExternalID++
		}
	}
	s.WithReference, s.WithExternalID = s.WithReference/float64(s.Read), s.WithExternalID/float64(s.Read)
	if s.PromptRowBytes, err = rowBytes(prompts.Prompts, c.Prompts.PartRows); err != nil {
		return s, err
	}
	formats := formats{config: c, loaded: map[string]format{}}
	if s.Readers, err = formats.count(c.Competitors(), prompts.Prompts, c.Generate.MaxNewTokens); err != nil {
		return s, err
	}
	if s.Judges, err = formats.count(c.Reward.Models, prompts.Prompts, 0); err != nil {
		return s, err
	}
	if len(c.Evaluate.Files) == 0 {
		return s, nil
	}
	items, err := sample(ctx, c, c.Evaluate.Files, c.Plan.Sample)
	if err != nil {
		return s, err
	}
	s.Items = float64(items.Rows())
	if s.ItemRowBytes, err = rowBytes(items.Prompts, c.Prompts.PartRows); err != nil {
		return s, err
	}
	s.ItemReaders, err = formats.count(c.Competitors(), items.Prompts, c.Evaluate.MaxNewTokens)
	return s, err
}

func sample(ctx context.Context, c *config.Config, files []string, n int) (source.Sampled, error) {
	p := c.Prompts
	columns := source.Columns{Messages: p.Columns.Messages, Reference: p.Columns.Reference, ExternalID: p.Columns.ExternalID, Tags: p.Columns.Tags}
	return source.Sample(ctx, files, columns, p.Turns, n, uint64(c.Seed))
}

// rowBytes is the size of a row on the disk when parts of so many rows are encoded, their own bytes included.
func rowBytes(prompts []schemas.Prompt, partRows int) (float64, error) {
	if len(prompts) == 0 {
		return 0, nil
	}
	total := 0.0
	for i := 0; i < len(prompts); i += partRows {
		part := prompts[i:min(i+partRows, len(prompts))]
		data, err := dataset.EncodePart(part, dataset.Footer{})
		if err != nil {
			return 0, err
		}
		total += float64(len(data))
	}
	return total / float64(len(prompts)), nil
}

// partBytes is what a part takes besides its rows: two parts of the same rows, one of them twice as many, differ by rows.
func partBytes[T any](rows []T) (float64, error) {
	half := rows[:(len(rows)+1)/2]
	few, err := dataset.EncodePart(half, dataset.Footer{})
	if err != nil || len(half) == len(rows) {
		return float64(len(few)) / 2, err
	}
	all, err := dataset.EncodePart(rows, dataset.Footer{})
	if err != nil {
		return 0, err
	}
	row := float64(len(all)-len(few)) / float64(len(rows)-len(half))
	return math.Max(0, float64(len(all))-row*float64(len(rows))), nil
}

// format is a model's way from messages to tokens, and the longest sequence that it reads, 0 where only its server knows.
type format struct {
	*chat.Format
	context int
}

// formats are loaded once.
type formats struct {
	config *config.Config
	loaded map[string]format
}

// of loads a model's format; a judge without a tokenizer here has none.
func (f *formats) of(name string) (format, error) {
	if loaded, ok := f.loaded[name]; ok {
		return loaded, nil
	}
	m, _ := f.config.Model(name)
	options := chat.Options{ChatTemplate: auto(m.ChatTemplate), EndOfTurn: auto(m.EndOfTurn), BOS: auto(m.BOS)}
	x := format{context: int(m.Context)}
	var err error
	switch {
	case m.Endpoint == nil:
		check, loaded, fault := engine.Check(m.Path, options)
		if x.Format, err = loaded, fault; err == nil && x.context == 0 {
			x.context = check.Context()
		}
	case m.Tokenizer != "":
		x.Format, err = chat.Load(m.Tokenizer, options)
	}
	if err != nil {
		return x, fmt.Errorf("model %s: %w", name, err)
	}
	f.loaded[name] = x
	return x, nil
}

func auto(s string) string {
	if s == "auto" {
		return ""
	}
	return s
}

// count gives each model's mean numbers of tokens over prompts. room is what an answer may take of the context.
func (f *formats) count(names []string, prompts []schemas.Prompt, room int) (map[string]plan.Tokens, error) {
	out := map[string]plan.Tokens{}
	for _, name := range names {
		x, err := f.of(name)
		if err != nil {
			return nil, err
		}
		approximate := x.Format == nil
		if approximate {
			if x, err = f.of(f.config.Target.Model); err != nil {
				return nil, err
			}
		}
		if out[name], err = countOne(name, x, prompts, room); err != nil {
			return nil, err
		}
		if approximate {
			t := out[name]
			t.Approximate = true
			out[name] = t
		}
	}
	return out, nil
}

func countOne(name string, x format, prompts []schemas.Prompt, room int) (plan.Tokens, error) {
	var t plan.Tokens
	var fits, referenced float64
	var last error
	for _, p := range prompts {
		ids, err := x.Prompt(p.Messages)
		if err != nil { // the run rejects it
			last = err
			continue
		}
		if x.context > 0 && len(ids)+room > x.context {
			continue
		}
		fits++
		t.Prompt += float64(len(ids))
		if p.Reference == nil {
			continue
		}
		encoded, err := x.Encode(p.Messages, *p.Reference, true)
		if err != nil {
			last = err
			continue
		}
		referenced++
		t.Reference += float64(len(encoded.TextIDs))
	}
	if fits == 0 && last != nil {
		return t, fmt.Errorf("model %s: no prompt can be rendered, the last: %w", name, last)
	}
	t.Fits = fits / float64(max(1, len(prompts)))
	t.Prompt /= math.Max(1, fits)
	t.Reference /= math.Max(1, referenced)
	return t, nil
}
