package pipelines

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/pipelines/wanted"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/crossentropy"
	"github.com/profuser/profuser/transforms/evaluate"
	"github.com/profuser/profuser/transforms/fuse"
	"github.com/profuser/profuser/transforms/generate"
)

// closing joins an error of closing models to a step's.
func closing(err *error, closers ...func() error) {
	for _, c := range closers {
		*err = errors.Join(*err, c())
	}
}

// fused are the datasets that the step fuse writes.
var fused = []string{wanted.Selections, wanted.Fusion(schemas.ModeInference), wanted.Fusion(schemas.ModeTraining)}

// fuse picks winners and writes the fusion dataset.
func (r *Run) fuse(ctx context.Context) error {
	c := r.config
	h := wanted.Of(r.table(), wanted.Fusion(schemas.ModeInference)).Header
	step := fuse.Step{
		Target: r.model(c.Target.Model), Context: r.checked[c.Target.Model].context, Prompts: wanted.Prompts, Selections: wanted.Selections,
		Inference: wanted.Fusion(schemas.ModeInference), Training: wanted.Fusion(schemas.ModeTraining), Statistics: wanted.Statistics,
		Footer:    dataset.Footer{ConfigDigest: h.ConfigDigest, TargetTokenizer: h.TargetTokenizer, ChatTemplate: h.ChatTemplate, CreatedBy: createdBy},
		Method:    r.method(),
		Alignment: r.alignment(h.ConfigDigest),
		Average:   r.average(), Measure: c.Advantage.CrossEntropy, KeepAll: c.Fuse.Keep == "all", DropTargetWins: c.Fuse.TargetWins == "drop",
	}
	for _, name := range r.competitors() {
		source := fuse.Source{
			Model: r.model(name), Generations: wanted.Generations(name), CrossEntropy: wanted.CrossEntropy(name),
			Competes: name != c.Target.Model || c.Target.Compete,
		}
		if wanted.Reads(c) {
			source.TargetReadings = wanted.TargetReadings(name)
		}
		step.Sources = append(step.Sources, source)
	}
	if wanted.Judges(c) {
		step.Verdicts = wanted.Verdicts
	}
	for _, name := range c.Reward.Models {
		step.Rewards = append(step.Rewards, wanted.Rewards(name))
	}
	if r.refresh {
		if err := r.removeStatistics(ctx); err != nil {
			return err
		}
	}
	return r.parts(ctx, "fuse", job{
		label: "fuse", outputs: fused, maxRejects: c.Fuse.MaxRejects,
		before: func(ctx context.Context) (func(beam.Scope, string, beam.PCollection), error) {
			return r.beforeFuse(ctx, step)
		},
		// All examples are made again: so are the statistics of scores, which otherwise stay as they were frozen.
		anew: func(ctx context.Context) error { return r.store.Remove(ctx, wanted.Statistics) },
		build: func(s beam.Scope, url string, open int, parts beam.PCollection) beam.PCollection {
			return fuse.Fuse(s, step, url, open, parts)
		},
	})
}

// evaluate lets the target, the sources and, once it is there, the trained model answer the held-out items.
func (r *Run) evaluate(ctx context.Context) (err error) {
	e := r.config.Evaluate
	if len(e.Files) == 0 {
		r.say("%-24s no evaluate.files in the configuration", "evaluate")
		return nil
	}
	if err := r.ingestFiles(ctx, "evaluate", "evaluate items", wanted.Items, 0); err != nil {
		return err
	}
	defer closing(&err, generate.Models.Close, crossentropy.Models.Close)
	names := r.competitors()
	if _, trained := wanted.Trained(r.store); trained {
		names = append(names, wanted.Fused)
	}
	for _, name := range names {
		label, record := "evaluate "+name, "evaluate"
		if name == wanted.Fused {
			record = "evaluate-fused"
		}
		model := tolerating(r.model(name), e.MaxRejects, r.rows(ctx, wanted.Items))
		step := evaluate.Step{Model: model, Items: wanted.Items, Output: wanted.Evaluation(name), Footer: r.footer(wanted.Evaluation(name)), MaxNewTokens: e.MaxNewTokens}
		err := r.parts(ctx, record, job{
			label: label, outputs: []string{step.Output}, maxRejects: e.MaxRejects,
			build: func(s beam.Scope, url string, open int, parts beam.PCollection) beam.PCollection {
				return evaluate.Evaluate(s, step, url, open, parts)
			},
		})
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
