package survey

import (
	"context"
	"fmt"
	"math"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/pipelines/plan"
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
	if s.PromptRowBytes, err = rowBytes(prompts, c.Prompts.PartRows); err != nil {
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
	if s.ItemRowBytes, err = rowBytes(items, c.Prompts.PartRows); err != nil {
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

// rowBytes is the size of a row on the disk when parts of so many rows are encoded, their own bytes included. Of a sample
// that fills no part, the part's own bytes are spread over the rows that it would have.
func rowBytes(sampled source.Sampled, partRows int) (float64, error) {
	prompts := sampled.Prompts
	if len(prompts) == 0 {
		return 0, nil
	}
	if len(prompts) < partRows && sampled.Read < sampled.Lines {
		own, err := partBytes(prompts)
		if err != nil {
			return 0, err
		}
		data, err := dataset.EncodePart(prompts, dataset.Footer{})
		return (float64(len(data))-own)/float64(len(prompts)) + own/float64(partRows), err
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
