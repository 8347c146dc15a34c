package pipelines

import (
	"context"
	"fmt"
	"slices"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/models/serving"
	"github.com/profuser/profuser/pipelines/changes"
	"github.com/profuser/profuser/pipelines/opening"
	"github.com/profuser/profuser/pipelines/runner"
	"github.com/profuser/profuser/pipelines/wanted"
	"github.com/profuser/profuser/transforms/source"
)

// checkedModel is what the steps need to know of a model before they run it.
type checkedModel struct {
	wanted.Model
	context int
}

// check looks at everything that the run needs: input files, model directories, configurations, tokenizers, templates.
func (r *Run) check(ctx context.Context) error {
	for _, file := range slices.Concat(r.config.Prompts.Files, r.config.Evaluate.Files) {
		if err := source.CheckInput(ctx, file); err != nil {
			return err
		}
	}
	var err error
	if r.benchmarks, err = source.NewBenchmarks(ctx, r.config.Prompts.Decontaminate, r.config.Prompts.DecontaminateWords); err != nil {
		return err
	}
	for _, name := range r.competitors() {
		if err := r.checkModel(ctx, name, false); err != nil {
			return err
		}
	}
	for _, name := range r.config.Reward.Models {
		if err := r.checkModel(ctx, name, true); err != nil {
			return err
		}
	}
	return r.checkJudge(ctx)
}

// CheckModel says what is wrong with one model of a configuration: its files, or its server and whether that has the model
// of the tokenizer and can do what a run will ask.
func CheckModel(ctx context.Context, c *config.Config, name string) error {
	r := &Run{config: c, checked: map[string]checkedModel{}}
	return r.checkModel(ctx, name, slices.Contains(c.Reward.Models, name))
}

// CheckRunner says whether the runner answers, and can reach what it must.
func CheckRunner(ctx context.Context, c *config.Config) error {
	if err := checkPlaces(c); err != nil {
		return err
	}
	_, err := runner.Open(ctx, runnerOptions(c))
	return err
}

// checkModel reads a model's small files, checks that it has the head that its role needs, and takes the digest of all.
func (r *Run) checkModel(ctx context.Context, name string, reward bool) error {
	if _, ok := r.checked[name]; ok || !r.model(name).AtHand() {
		return nil
	}
	m := r.model(name)
	if m.Endpoint.URLs != "" {
		return r.checkServed(ctx, m, serving.Need{Generate: !reward, Score: !reward, Reward: reward, TopK: r.config.Truncate.TopK})
	}
	c, format, err := engine.Check(m.Dir, opening.FormatOptions(m))
	if err != nil {
		return fmt.Errorf("model %s: %w", name, err)
	}
	switch {
	case reward && !c.Reward():
		return fmt.Errorf("model %s: %s is a %s, reward.models need a scalar head such as LlamaForSequenceClassification's", name, m.Dir, c.Architecture)
	case !reward && c.Reward():
		return fmt.Errorf("model %s: %s is a %s, a target or source must be a causal language model", name, m.Dir, c.Architecture)
	}
	digest, err := wanted.DigestModel(m.Dir)
	if err != nil {
		return fmt.Errorf("model %s: %w", name, err)
	}
	length := c.Context()
	if n := int(r.entry(name).Context); n > 0 {
		length = min(length, n)
	}
	r.checked[name] = checkedModel{wanted.Model{Fingerprint: format.Tokenizer().Fingerprint(), Template: format.Digest(), Digest: digest}, length}
	return nil
}

// table lists the datasets of the configuration.
func (r *Run) table() []wanted.Dataset {
	models := map[string]wanted.Model{}
	for name, m := range r.checked {
		models[name] = m.Model
	}
	_, trained := wanted.Trained(r.store)
	table := wanted.Table(r.config, models, r.benchmarks.Digest, trained)
	if r.extra.Datasets != nil {
		table = append(table, r.extra.Datasets(models)...)
	}
	return table
}

// stand is how datasets stand to what is wanted: all, or those of the names and what they are made from, whose input
// files are then not looked at again.
func (r *Run) stand(ctx context.Context, names ...string) (changes.Findings, error) {
	if r.found != nil {
		return r.found, nil
	}
	table := r.table()
	if len(names) == 0 {
		found, err := changes.Examine(ctx, r.store, table)
		r.found = found
		return found, err
	}
	keep := slices.Clone(names)
	for _, name := range names {
		keep = append(keep, wanted.Of(table, name).Sources...)
	}
	table = slices.DeleteFunc(table, func(d wanted.Dataset) bool { return !slices.Contains(keep, d.Name) })
	for i := range table {
		table[i].Files = nil
	}
	return changes.Examine(ctx, r.store, table)
}

// decide looks at everything that the steps need, before any work.
func (r *Run) decide(ctx context.Context, steps []string) error {
	if err := dataset.Tidy(r.store); err != nil {
		return err
	}
	if _, trained := wanted.Trained(r.store); trained && slices.Contains(steps, "evaluate") {
		if err := r.checkModel(ctx, wanted.Fused, false); err != nil {
			return err
		}
	}
	found, err := r.stand(ctx)
	if err != nil {
		return err
	}
	except := ""
	if r.refresh {
		except = "fuse" // it is removed when its turn comes
	}
	remove, err := found.Allow(r.out, r.store.URL(), steps, r.again, except)
	if err != nil || len(remove) == 0 {
		return err
	}
	r.found = nil
	return changes.Clear(ctx, r.store, remove)
}
