package pipelines

import (
	"context"
	"io"
	"maps"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/pipelines/wanted"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/source"
)

// Extension is a step beside Steps, of another package.
type Extension struct {
	// Name is the step's, Labels are what it calls itself in the view, in order.
	Name   string
	Labels []string
	// Checkpoints are folders of models that are asked as the target is, by name; Others names the other models that the
	// step asks.
	Checkpoints map[string]string
	Others      []string
	// Datasets lists what it makes, given what is known of the models.
	Datasets func(models map[string]wanted.Model) []wanted.Dataset
	// Work does it.
	Work func(ctx context.Context, r *Run) error
}

// NewExtended is New for a run of one more step, which alone is made: only what it needs is checked.
func NewExtended(ctx context.Context, c *config.Config, extra Extension, out io.Writer) (*Run, error) {
	return open(ctx, c, extra, out, (*Run).checkExtra)
}

// checkExtra looks at what the extra step needs: the files of items, its models.
func (r *Run) checkExtra(ctx context.Context) error {
	for _, file := range r.config.Evaluate.Files {
		if err := source.CheckInput(ctx, file); err != nil {
			return err
		}
	}
	for _, name := range slices.Concat(slices.Sorted(maps.Keys(r.extra.Checkpoints)), r.extra.Others) {
		if err := r.checkModel(ctx, name, slices.Contains(r.config.Reward.Models, name)); err != nil {
			return err
		}
	}
	return nil
}

// Work is a dataset to be filled in a model's place.
type Work struct {
	Model           inflight.Model
	Prompts, Output string
	Footer          dataset.Footer
	Truncate        dist.Truncate
}

// InPlaceOf describes the dataset that a step (generate or reward) would let a model write.
func (r *Run) InPlaceOf(step, model string) Work {
	w := Work{Model: r.model(model), Prompts: wanted.Prompts, Output: wanted.Generations(model), Truncate: r.truncate()}
	if step == "reward" {
		w.Output = wanted.Rewards(model)
	}
	w.Footer = r.footer(w.Output)
	return w
}

// Make runs a step of another's, whose calls to w.Model are in flight together, over the parts of its prompts; at most a share
// or a number of maxRejects may fail. w.Output and its sources are in the table.
func (r *Run) Make(ctx context.Context, step, label string, w Work, maxRejects float64, build func(s beam.Scope, url string, open int, parts beam.PCollection) beam.PCollection) error {
	return r.parts(ctx, step, job{label: label, calls: w.Model.Concurrency, outputs: []string{w.Output}, maxRejects: maxRejects, build: build})
}

// Asking describes the dataset that a model writes about the prompts of another one, of which maxRejects may fail.
func (r *Run) Asking(ctx context.Context, model, prompts, output string, maxRejects float64) Work {
	return Work{Model: tolerating(r.model(model), maxRejects, r.rows(ctx, prompts)), Prompts: prompts, Output: output, Footer: r.footer(output)}
}

// Fill runs a step of another's over the parts of the prompts.
func (r *Run) Fill(ctx context.Context, w Work, maxRejects float64, build func(s beam.Scope, url string, open int, parts beam.PCollection) beam.PCollection) (err error) {
	label := "import " + w.Model.Name
	hide, err := r.show(ctx, []string{label})
	if err != nil {
		return err
	}
	defer closing(&err, hide)
	return r.parts(ctx, "import", job{label: label, outputs: []string{w.Output}, maxRejects: maxRejects, build: build})
}
