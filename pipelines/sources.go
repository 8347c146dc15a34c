package pipelines

import (
	"context"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/pipelines/costs"
	"github.com/profuser/profuser/pipelines/progress"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/crossentropy"
	"github.com/profuser/profuser/transforms/generate"
	"github.com/profuser/profuser/transforms/reward"
	"github.com/profuser/profuser/transforms/source"
)

// createdBy stands in every part.
const createdBy = "profuser"

func (r *Run) truncate() dist.Truncate {
	t := r.config.Truncate
	return dist.Truncate{Mass: t.Mass, TopK: t.TopK, MinProb: t.MinProb}
}

// describe gives the header of a model's dataset and the footer of its parts.
func (r *Run) describe(schema, step, model string, distributions bool) (dataset.Header, dataset.Footer) {
	c := r.checked[model]
	h := dataset.Header{Schema: schema, ConfigDigest: r.digest(step+"/"+model, model), SourceModel: model, ChatTemplate: c.template}
	f := dataset.Footer{ConfigDigest: h.ConfigDigest, SourceModel: model, ChatTemplate: c.template, CreatedBy: createdBy}
	if distributions {
		t := r.config.Truncate
		h.SourceTokenizer, f.SourceTokenizer = c.fingerprint, c.fingerprint
		f.Truncate = fmt.Sprintf("mass=%g top_k=%d min_prob=%g", t.Mass, t.TopK, t.MinProb)
	}
	return h, f
}

// ingest reads the input files into prompts.
func (r *Run) ingest(ctx context.Context) error {
	p := r.config.Prompts
	benchmarks, err := source.NewBenchmarks(ctx, p.Decontaminate, p.DecontaminateWords)
	if err != nil {
		return err
	}
	if err := r.ingestFiles(ctx, "ingest", "ingest", promptsName, p.Files, p.MaxRejects, benchmarks); err != nil {
		return err
	}
	lines, err := benchmarks.Report(ctx, r.store, promptsName)
	for _, line := range lines {
		r.say("%-24s %s", "", line)
	}
	return err
}

// ingestFiles reads files into a dataset of prompts.
func (r *Run) ingestFiles(ctx context.Context, step, label, name string, files []string, maxRejects float64, benchmarks source.Benchmarks) error {
	p := r.config.Prompts
	h := dataset.Header{Schema: schemas.PromptSchema, ConfigDigest: benchmarks.Over(r.digest("ingest"))}
	if err := dataset.Begin(ctx, r.store, name, h); err != nil {
		return err
	}
	if d, err := dataset.Open(ctx, r.store, name); err == nil {
		if err := sameFiles(d, files); err != nil {
			return err
		}
		r.board.Before(label, progress.Work{Parts: int64(d.Parts()), Rows: d.Manifest.Rows})
		r.say("%-24s finished before, %d rows", label, d.Manifest.Rows)
		return nil
	}
	r.board.Begin(label, progress.Work{})
	record := costs.Begin(step)
	err := r.submit(ctx, label, true, func(s beam.Scope) {
		source.Ingest(s, source.Step{
			Files: files, Turns: p.Turns, PartRows: p.PartRows, Store: r.store.URL(), Output: name, MaxRejects: maxRejects, Benchmarks: benchmarks,
			Columns: source.Columns{Messages: p.Columns.Messages, Reference: p.Columns.Reference, ExternalID: p.Columns.ExternalID, Tags: p.Columns.Tags},
			Footer:  dataset.Footer{ConfigDigest: h.ConfigDigest, CreatedBy: createdBy},
		})
	})
	if err != nil {
		return err
	}
	m, err := source.Commit(ctx, r.store, name, maxRejects)
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
	rows := r.rows(ctx, promptsName)
	for _, name := range r.competitors() {
		h, f := r.describe(schemas.GenerationSchema, "generate", name, true)
		if brought, err := r.brought(ctx, name, output{generationsName(name), h}, "--step generate --source"); err != nil {
			return err
		} else if brought {
			continue
		}
		step := generate.Step{
			Source: tolerating(r.model(name), g.MaxRejects, rows*int64(g.Samples)), Prompts: promptsName, Output: generationsName(name), Footer: f,
			Temperature: g.Temperature, TopP: g.TopP, MaxNewTokens: g.MaxNewTokens, Samples: g.Samples, Seed: r.config.Seed, Truncate: r.truncate(),
		}
		err := r.parts(ctx, "generate", promptsName, job{
			label: "generate " + name, rowsEach: g.Samples, outputs: []output{{step.Output, h}}, maxRejects: g.MaxRejects,
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
		generations = append(generations, generationsName(name))
	}
	rows := r.rows(ctx, promptsName) * int64(len(generations)) * int64(r.config.Generate.Samples)
	for _, name := range r.config.Reward.Models {
		h, f := r.describe(schemas.RewardSchema, "reward", name, false)
		if brought, err := r.brought(ctx, name, output{rewardsName(name), h}, "--step reward --reward"); err != nil {
			return err
		} else if brought {
			continue
		}
		judge := tolerating(r.model(name), r.config.Reward.MaxRejects, rows)
		step := reward.Step{Judge: judge, Prompts: promptsName, Generations: generations, Output: rewardsName(name), Footer: f}
		err := r.parts(ctx, "reward", promptsName, job{
			label: "reward " + name, rowsEach: len(generations) * r.config.Generate.Samples, inputs: generations, outputs: []output{{step.Output, h}}, maxRejects: r.config.Reward.MaxRejects,
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
		h, f := r.describe(schemas.TeacherForcingSchema, "crossentropy", name, true)
		source := tolerating(r.model(name), r.config.CrossEntropy.MaxRejects, r.rows(ctx, promptsName))
		step := crossentropy.Step{Source: source, Prompts: promptsName, Output: crossEntropyName(name), Footer: f, Truncate: r.truncate()}
		err := r.parts(ctx, "crossentropy", promptsName, job{
			label: "crossentropy " + name, outputs: []output{{step.Output, h}}, maxRejects: r.config.CrossEntropy.MaxRejects,
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
