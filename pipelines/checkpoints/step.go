package checkpoints

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/pipelines"
	"github.com/profuser/profuser/pipelines/wanted"
	"github.com/profuser/profuser/transforms/generate"
	"github.com/profuser/profuser/transforms/reward"
)

// Step is the step's name.
const Step = "evaluate-reward"

// nothing is stored of distributions beside the tokens' own.
var nothing = dist.Truncate{Mass: 1, TopK: 1}

// step is the work of one call.
type step struct {
	config *config.Config
	list   []checkpoint
	judges []string
	// name is what the results are called: evaluation/<name>.json and .md.
	name string
	out  io.Writer
}

// Open prepares a run whose step Step answers and scores: all checkpoints of the configuration's out, or the model in a
// folder alone, if model is not "". Nothing is written yet.
func Open(ctx context.Context, c *config.Config, model string, out io.Writer) (*pipelines.Run, error) {
	s := &step{config: c, name: "rewards", out: out}
	if len(c.Evaluate.Files) == 0 {
		return nil, errors.New("evaluate --reward: evaluate.files is empty, want files of prompts to answer")
	}
	for _, name := range c.Reward.Models {
		if m, _ := c.Model(name); m.Imported {
			return nil, fmt.Errorf("evaluate --reward: reward model %s is imported and cannot score new answers: leave it out by --set reward.models=[…]", name)
		}
		s.judges = append(s.judges, name)
	}
	var err error
	if model != "" {
		var one checkpoint
		one, err = folder(model)
		s.list, s.name = []checkpoint{one}, "rewards-"+one.name
	} else {
		s.list, err = find(c, local(c.Out))
	}
	if err != nil {
		return nil, err
	}
	for _, one := range s.list[1:] {
		if _, ok := c.Model(one.name); ok {
			return nil, fmt.Errorf("evaluate --reward: a model of the configuration is called %s, which is the name of a checkpoint here: give it another", one.name)
		}
	}
	return pipelines.NewExtended(ctx, c, s.extension(), out)
}

// local is a folder on this machine, or "".
func local(out string) string {
	if strings.Contains(out, "://") {
		return ""
	}
	return filepath.Clean(out)
}

// extension is the step as a run takes it.
func (s *step) extension() pipelines.Extension {
	e := pipelines.Extension{Name: Step, Labels: []string{"evaluate items"}, Checkpoints: map[string]string{}, Others: s.judges, Work: s.work}
	for _, c := range s.list {
		e.Labels = append(e.Labels, answering(c.name))
		if c.name == s.config.Target.Model {
			e.Others = append(e.Others, c.name)
		} else {
			e.Checkpoints[c.name] = c.dir
		}
	}
	for _, judge := range s.judges {
		for _, c := range s.list {
			e.Labels = append(e.Labels, scoring(c.name, judge))
		}
	}
	e.Datasets = func(models map[string]wanted.Model) []wanted.Dataset {
		return wanted.Checkpoints(s.config, models, Step, names(s.list), s.judges)
	}
	return e
}

// names are the checkpoints'.
func names(list []checkpoint) (names []string) {
	for _, c := range list {
		names = append(names, c.name)
	}
	return names
}

func answering(checkpoint string) string { return "answers of " + checkpoint }

func scoring(checkpoint, judge string) string { return judge + " on " + checkpoint }

// work answers, scores and writes the results.
func (s *step) work(ctx context.Context, r *pipelines.Run) (err error) {
	if wanted.OnlyAdapter(r.Store()) {
		r.Say("%-24s model/ is an adapter alone, and so are the epochs' models, which are left out: merge them by profuser-trainer merge-adapter and give --model, or train with trainer.lora.save: merged", Step)
	}
	if err := r.Items(ctx); err != nil {
		return err
	}
	for _, c := range s.list {
		if err := s.answer(ctx, r, c); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	defer func() { err = errors.Join(err, reward.Models.Close()) }()
	for _, judge := range s.judges {
		for _, c := range s.list {
			if err := s.score(ctx, r, c, judge); err != nil {
				return fmt.Errorf("%s on %s: %w", judge, c.name, err)
			}
		}
	}
	return s.write(ctx, r.Store())
}

// answer lets a checkpoint answer the items, greedily.
func (s *step) answer(ctx context.Context, r *pipelines.Run, c checkpoint) (err error) {
	defer func() { err = errors.Join(err, generate.Models.Close()) }() // one model at a time
	e := s.config.Evaluate
	w := r.Asking(ctx, c.name, wanted.Items, wanted.ItemResponses(c.name), e.MaxRejects)
	w.Footer.Truncate = fmt.Sprintf("mass=%g top_k=%d min_prob=%g", nothing.Mass, nothing.TopK, nothing.MinProb)
	step := generate.Step{
		Source: w.Model, Prompts: w.Prompts, Output: w.Output, Footer: w.Footer,
		TopP: 1, MaxNewTokens: e.MaxNewTokens, Samples: 1, Seed: s.config.Seed, Truncate: nothing,
	}
	return r.Make(ctx, Step, answering(c.name), w, e.MaxRejects, func(s beam.Scope, url string, open int, parts beam.PCollection) beam.PCollection {
		return generate.Generate(s, step, url, open, parts)
	})
}

// score lets a reward model score a checkpoint's answers.
func (s *step) score(ctx context.Context, r *pipelines.Run, c checkpoint, judge string) error {
	rejects := s.config.Reward.MaxRejects
	w := r.Asking(ctx, judge, wanted.Items, wanted.ItemRewards(c.name, judge), rejects)
	step := reward.Step{Judge: w.Model, Prompts: w.Prompts, Generations: []string{wanted.ItemResponses(c.name)}, Output: w.Output, Footer: w.Footer}
	return r.Make(ctx, Step, scoring(c.name, judge), w, rejects, func(s beam.Scope, url string, open int, parts beam.PCollection) beam.PCollection {
		return reward.Reward(s, step, url, open, parts)
	})
}
