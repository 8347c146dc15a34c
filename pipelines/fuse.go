package pipelines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/internal/dataset"
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

// fuse picks winners and writes the fusion dataset.
func (r *Run) fuse(ctx context.Context) error {
	c := r.config
	target := r.checked[c.Target.Model]
	h := dataset.Header{ConfigDigest: r.digest("fuse", append(r.competitors(), c.Reward.Models...)...), TargetTokenizer: target.fingerprint, ChatTemplate: target.template}
	step := fuse.Step{
		Target: r.model(c.Target.Model), Context: target.context, Prompts: promptsName, Selections: selectionsName,
		Inference: fusionName(schemas.ModeInference), Training: fusionName(schemas.ModeTraining), Statistics: statisticsName,
		Footer:    dataset.Footer{ConfigDigest: h.ConfigDigest, TargetTokenizer: h.TargetTokenizer, ChatTemplate: h.ChatTemplate, CreatedBy: createdBy},
		Method:    r.method(),
		Alignment: r.alignment(h.ConfigDigest),
		Average:   r.average(), Measure: c.Advantage.CrossEntropy, KeepAll: c.Fuse.Keep == "all", DropTargetWins: c.Fuse.TargetWins == "drop",
	}
	var inputs []string
	for _, name := range r.competitors() {
		inputs = append(inputs, generationsName(name))
		source := fuse.Source{
			Model: r.model(name), Generations: generationsName(name),
			Competes: name != c.Target.Model || c.Target.Compete,
		}
		if source.Model.AtHand() {
			source.CrossEntropy = crossEntropyName(name)
			inputs = append(inputs, source.CrossEntropy)
		}
		if r.targetReads() {
			source.TargetReadings = targetReadingsName(name)
			inputs = append(inputs, source.TargetReadings)
		}
		step.Sources = append(step.Sources, source)
	}
	if c.Advantage.Inference.Method == advantage.Judge {
		step.Verdicts = verdictsName
		inputs = append(inputs, verdictsName)
	}
	for _, name := range c.Reward.Models {
		step.Rewards = append(step.Rewards, rewardsName(name))
	}
	inputs = append(inputs, step.Rewards...)
	selections := dataset.Header{Schema: schemas.SelectionSchema, ConfigDigest: h.ConfigDigest}
	outputs := []output{{selectionsName, selections}}
	h.Schema = schemas.FusionExampleSchema
	for _, mode := range modes {
		outputs = append(outputs, output{fusionName(mode), h})
	}
	if r.refresh {
		if err := r.removeStatistics(ctx, inputs); err != nil {
			return err
		}
	}
	before, err := r.beforeFuse(ctx, step)
	if err != nil {
		return err
	}
	return r.parts(ctx, "fuse", promptsName, job{
		label: "fuse", inputs: inputs, outputs: outputs, maxRejects: c.Fuse.MaxRejects, before: before,
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
	if err := r.ingestFiles(ctx, "evaluate", "evaluate items", itemsName, e.Files, 0, source.Benchmarks{}); err != nil {
		return err
	}
	defer closing(&err, generate.Models.Close, crossentropy.Models.Close)
	names := r.atHand()
	if path, ok := r.localPath("model"); ok {
		if _, err := os.Stat(filepath.Join(path, "config.json")); err == nil {
			if err := r.checkModel(ctx, fusedName, false); err != nil {
				return err
			}
			names = append(names, fusedName)
		}
	}
	for _, name := range names {
		h, f := r.describe(schemas.EvaluationSchema, "evaluate", name, false)
		label, record := "evaluate "+name, "evaluate"
		if name == fusedName {
			record = "evaluate-fused"
		}
		model := tolerating(r.model(name), e.MaxRejects, r.rows(ctx, itemsName))
		step := evaluate.Step{Model: model, Items: itemsName, Output: evaluationName(name), Footer: f, MaxNewTokens: e.MaxNewTokens}
		err := r.parts(ctx, record, itemsName, job{
			label: label, outputs: []output{{step.Output, h}}, maxRejects: e.MaxRejects,
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

// sameFiles refuses a dataset whose input files have changed.
func sameFiles(d *dataset.Dataset, files []string) error {
	if len(d.Manifest.Inputs) != len(files) {
		return fmt.Errorf("%s was made from %d files, the configuration names %d: remove the folder to make it again", d.Name(), len(d.Manifest.Inputs), len(files))
	}
	for i, f := range d.Manifest.Inputs {
		sum, err := digestFile(files[i])
		if err != nil {
			return err
		}
		if sum != f.SHA256 {
			return fmt.Errorf("%s has changed since %s was made from it: remove that folder (and what depends on it) to make it again", files[i], d.Name())
		}
	}
	return nil
}
