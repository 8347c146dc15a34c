package pipelines

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/pipelines/changes"
	"github.com/profuser/profuser/pipelines/wanted"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/crossentropy"
	"github.com/profuser/profuser/transforms/evaluate"
	"github.com/profuser/profuser/transforms/fuse"
	"github.com/profuser/profuser/transforms/generate"
	"github.com/profuser/profuser/transforms/source"
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
		Average:   r.average(), Measure: c.Advantage.CrossEntropy, Chunks: c.Fuse.Chunks, KeepAll: c.Fuse.Keep == "all", DropTargetWins: c.Fuse.TargetWins == "drop",
	}
	for _, name := range r.competitors() {
		source := fuse.Source{
			Model: r.model(name), Generations: wanted.Generations(name), Competes: name != c.Target.Model || c.Target.Compete,
		}
		if source.Model.AtHand() {
			source.CrossEntropy = wanted.CrossEntropy(name)
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
	if err := r.Items(ctx); err != nil {
		return err
	}
	defer closing(&err, generate.Models.Close, crossentropy.Models.Close)
	names := r.atHand()
	if _, trained := wanted.Trained(r.store); trained {
		names = append(names, wanted.Fused)
	} else if wanted.OnlyAdapter(r.store) {
		r.say("%-24s model/ is an adapter alone: merge it by profuser-trainer merge-adapter, or train with trainer.lora.save: merged", "evaluate "+wanted.Fused)
	}
	for _, name := range names {
		label, record := "evaluate "+name, "evaluate"
		if name == wanted.Fused {
			record = "evaluate-fused"
		}
		model := tolerating(r.model(name), e.MaxRejects, r.rows(ctx, wanted.Items))
		step := evaluate.Step{Model: model, Items: wanted.Items, Output: wanted.Evaluation(name), Footer: r.footer(wanted.Evaluation(name)), MaxNewTokens: e.MaxNewTokens}
		err := r.parts(ctx, record, job{
			label: label, calls: model.Concurrency, outputs: []string{step.Output}, maxRejects: e.MaxRejects,
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

// Items reads the held-out items, if they are not there.
func (r *Run) Items(ctx context.Context) error {
	return r.ingestFiles(ctx, "evaluate", "evaluate items", wanted.Items, 0, source.Benchmarks{})
}

// open opens a dataset that an earlier step commits.
func (r *Run) open(ctx context.Context, found changes.Findings, name string) (*dataset.Dataset, error) {
	if f := found.Of(name); f != nil && f.Committed != nil {
		return f.Committed, nil
	}
	d, err := dataset.Open(ctx, r.store, name)
	if err != nil {
		folder, _, _ := strings.Cut(name, "/")
		step := map[string]string{"prompts": "ingest", "generations": "generate", "rewards": "reward"}[folder]
		return nil, fmt.Errorf("%w; profuser %s makes it, profuser run all", err, cmp.Or(step, folder))
	}
	return d, nil
}

// rows is a committed dataset's number of rows, 0 if it is not there: the job that reads it will say so.
func (r *Run) rows(ctx context.Context, name string) int64 {
	found, err := r.stand(ctx, name)
	if err != nil || found.Of(name).Committed == nil {
		return 0
	}
	return found.Of(name).Committed.Manifest.Rows
}

// localPath is a key's file when the store is a local folder.
func (r *Run) localPath(key string) (string, bool) {
	if strings.Contains(r.store.URL(), "://") {
		return "", false
	}
	return filepath.Join(r.store.URL(), filepath.FromSlash(key)), true
}

// createdBy stands in every part.
const createdBy = "profuser"

func (r *Run) truncate() dist.Truncate {
	t := r.config.Truncate
	return dist.Truncate{Mass: t.Mass, TopK: t.TopK, MinProb: t.MinProb}
}

// footer is what the parts of a model's dataset say of themselves.
func (r *Run) footer(name string) dataset.Footer {
	h := wanted.Of(r.table(), name).Header
	f := dataset.Footer{ConfigDigest: h.ConfigDigest, SourceModel: h.SourceModel, ChatTemplate: h.ChatTemplate, SourceTokenizer: h.SourceTokenizer, CreatedBy: createdBy}
	if h.SourceTokenizer != "" {
		t := r.config.Truncate
		f.Truncate = fmt.Sprintf("mass=%g top_k=%d min_prob=%g", t.Mass, t.TopK, t.MinProb)
	}
	return f
}
