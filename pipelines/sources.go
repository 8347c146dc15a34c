package pipelines

import (
	"context"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/pipelines/changes"
	"github.com/profuser/profuser/pipelines/costs"
	"github.com/profuser/profuser/pipelines/progress"
	"github.com/profuser/profuser/pipelines/wanted"
	"github.com/profuser/profuser/transforms/crossentropy"
	"github.com/profuser/profuser/transforms/generate"
	"github.com/profuser/profuser/transforms/reward"
	"github.com/profuser/profuser/transforms/source"
)

// ingest reads the input files into prompts.
func (r *Run) ingest(ctx context.Context) error {
	if err := r.ingestFiles(ctx, "ingest", "ingest", wanted.Prompts, r.config.Prompts.MaxRejects, r.benchmarks); err != nil {
		return err
	}
	return r.benchmarks.Report(ctx, r.store, wanted.Prompts, r.say)
}

// ingestFiles reads files into a dataset of prompts.
func (r *Run) ingestFiles(ctx context.Context, step, label, name string, maxRejects float64, benchmarks source.Benchmarks) error {
	found, err := r.stand(ctx)
	if err != nil {
		return err
	}
	f := found.Of(name)
	w, err := changes.Prepare(ctx, changes.Findings{f}, found, changes.Options{Redo: r.again.Redo})
	if err != nil {
		return err
	}
	if w.Done {
		r.board.Before(label, progress.Work{Parts: int64(f.Committed.Parts()), Rows: f.Committed.Manifest.Rows})
		r.say("%-24s finished before, %d rows", label, f.Committed.Manifest.Rows)
		return f.Sweep(ctx)
	}
	r.found = nil
	h := f.Header
	h.Revision = w.Revision
	if err := dataset.Begin(ctx, r.store, name, h); err != nil {
		return err
	}
	r.board.Begin(label, progress.Work{})
	record := costs.Begin(step)
	p := r.config.Prompts
	err = r.submit(ctx, label, true, func(s beam.Scope) {
		source.Ingest(s, source.Step{
			Files: f.Files, Turns: p.Turns, PartRows: p.PartRows, Store: r.store.URL(), Output: name, MaxRejects: maxRejects, Benchmarks: benchmarks,
			Columns:  source.Columns{Messages: p.Columns.Messages, Reference: p.Columns.Reference, ExternalID: p.Columns.ExternalID, Tags: p.Columns.Tags},
			Footer:   dataset.Footer{ConfigDigest: h.ConfigDigest, CreatedBy: createdBy},
			Revision: w.Revision, Known: f.Known(), From: f.From(),
		})
	})
	if err != nil {
		return err
	}
	m, err := source.Commit(ctx, r.store, name, dataset.CommitOptions{MaxRejects: maxRejects, Revision: w.Revision, Reason: w.Reason})
	if err != nil {
		return err
	}
	r.board.End(label)
	r.say("%-24s %6d rows in %d parts%s  %s", label, m.Rows, len(m.Parts), rejectsText(m), name)
	return r.cost(record, m.Rows)
}

// generate lets every source answer every prompt.
func (r *Run) generate(ctx context.Context) (err error) {
	defer closing(&err, generate.Models.Close)
	g := r.config.Generate
	rows := r.rows(ctx, wanted.Prompts)
	for _, name := range r.competitors() {
		if brought, err := r.brought(ctx, name, wanted.Generations(name), "--step generate --source"); err != nil {
			return err
		} else if brought {
			continue
		}
		step := generate.Step{
			Source: tolerating(r.model(name), g.MaxRejects, rows*int64(g.Samples)), Prompts: wanted.Prompts, Output: wanted.Generations(name), Footer: r.footer(wanted.Generations(name)),
			Temperature: g.Temperature, TopP: g.TopP, MaxNewTokens: g.MaxNewTokens, Samples: g.Samples, Seed: r.config.Seed, Truncate: r.truncate(),
		}
		err := r.parts(ctx, "generate", job{
			label: "generate " + name, calls: step.Source.Concurrency, rowsEach: g.Samples, outputs: []string{step.Output}, maxRejects: g.MaxRejects,
			build: func(s beam.Scope, url string, open int, parts beam.PCollection) beam.PCollection {
				return generate.Generate(s, step, url, open, parts)
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// reward lets every reward model score every response.
func (r *Run) reward(ctx context.Context) (err error) {
	defer closing(&err, reward.Models.Close)
	var generations []string
	for _, name := range r.competitors() {
		generations = append(generations, wanted.Generations(name))
	}
	rows := r.rows(ctx, wanted.Prompts) * int64(len(generations)) * int64(r.config.Generate.Samples)
	for _, name := range r.config.Reward.Models {
		if brought, err := r.brought(ctx, name, wanted.Rewards(name), "--step reward --reward"); err != nil {
			return err
		} else if brought {
			continue
		}
		judge := tolerating(r.model(name), r.config.Reward.MaxRejects, rows)
		step := reward.Step{Judge: judge, Prompts: wanted.Prompts, Generations: generations, Output: wanted.Rewards(name), Footer: r.footer(wanted.Rewards(name))}
		err := r.parts(ctx, "reward", job{
			label: "reward " + name, calls: judge.Concurrency, rowsEach: len(generations) * r.config.Generate.Samples, outputs: []string{step.Output}, maxRejects: r.config.Reward.MaxRejects,
			build: func(s beam.Scope, url string, open int, parts beam.PCollection) beam.PCollection {
				return reward.Reward(s, step, url, open, parts)
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// crossEntropy teacher-forces every source on the references.
func (r *Run) crossEntropy(ctx context.Context) (err error) {
	defer closing(&err, crossentropy.Models.Close)
	for _, name := range r.atHand() {
		source := tolerating(r.model(name), r.config.CrossEntropy.MaxRejects, r.rows(ctx, wanted.Prompts))
		step := crossentropy.Step{Source: source, Prompts: wanted.Prompts, Output: wanted.CrossEntropy(name), Footer: r.footer(wanted.CrossEntropy(name)), Truncate: r.truncate()}
		err := r.parts(ctx, "crossentropy", job{
			label: "crossentropy " + name, calls: source.Concurrency, outputs: []string{step.Output}, maxRejects: r.config.CrossEntropy.MaxRejects,
			build: func(s beam.Scope, url string, open int, parts beam.PCollection) beam.PCollection {
				return crossentropy.Score(s, step, url, open, parts)
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}
