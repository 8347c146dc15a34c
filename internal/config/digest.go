package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"

	"github.com/profuser/profuser/fusion/verdict"
	"github.com/profuser/profuser/trainer/curriculum"
)

// Digest returns a stable hash of exactly the keys that a step's rows depend on, those of the steps before it included:
//
//	ingest, generate/<model>, reward/<model>, crossentropy/<model>, crossentropy-responses, judge, fuse, train, evaluate/<model>,
//	evaluate-responses, evaluate-rewards/<model>
//
// Without /<model>, a step's digest covers all its models; evaluate/fused stands for the trained model. What a step
// only tolerates (max_rejects), where things lie (out, a moved project) and how it is run (runner) do not count. The
// contents of files (prompts, models) are not in it: the caller adds their digests. An unknown step gives "".
func (c *Config) Digest(step string) string {
	step, model, _ := strings.Cut(step, "/")
	depends, ok := c.depends(step, model)
	if !ok {
		return ""
	}
	data, err := json.Marshal(depends)
	if err != nil {
		return "" // maps, texts and finite numbers only
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// depends lists what a step depends on.
func (c *Config) depends(step, model string) (map[string]any, bool) {
	d := map[string]any{"version": c.Version, "step": step}
	switch step {
	case "ingest":
		d["prompts"] = c.Prompts.effective()
	case "generate":
		g := c.Generate
		d["before"] = c.Digest("ingest")
		d["generate"] = []any{g.Temperature, g.TopP, g.MaxNewTokens, g.Samples, c.Seed}
		d["truncate"] = c.Truncate
		d["models"] = c.identities(model, c.Competitors())
	case "reward":
		d["before"] = c.Digest("generate")
		d["models"] = c.identities(model, c.Reward.Models)
	case "crossentropy":
		d["before"] = c.Digest("ingest")
		d["truncate"] = c.Truncate
		d["models"] = c.identities(model, c.Competitors())
	case "crossentropy-responses":
		d["before"] = c.Digest("generate")
		d["truncate"] = c.Truncate
		d["models"] = c.identities(c.Target.Model, nil)
	case "judge":
		in := c.Advantage.effective().Inference
		d["before"] = c.Digest("generate")
		d["models"] = c.identities(in.Judge, nil)
		d["question"] = verdict.CompareQuestion(in.Criteria, nil, "", "")
		d["judge"] = []any{in.Filters, c.Target.Compete}
	case "fuse":
		d["before"] = []string{c.Digest("reward"), c.Digest("crossentropy")}
		d["target"] = c.Target
		d["sources"] = c.Sources
		d["advantage"] = c.Advantage.effective()
		if c.Advantage.Inference.Method == "judge" {
			d["judge"] = c.Digest("judge")
		}
		d["align"] = c.Align
		d["fuse"] = c.Fuse.effective()
	case "train":
		d["before"] = c.Digest("fuse")
		d["holdout"] = c.Prompts.Holdout
		d["objective"] = c.Objective.effective()
		d["curriculum"] = c.Curriculum.effective()
		d["trainer"] = append([]any{c.Seed}, c.Trainer.effective()...)
	case "evaluate":
		d["max_new_tokens"] = c.Evaluate.MaxNewTokens
		if model == fused || model == "" {
			d["fused"] = c.Digest("train")
		}
		if model != fused {
			d["models"] = c.identities(model, c.Competitors())
		}
	default:
		return d, c.checkpointsDepend(d, step, model)
	}
	return d, true
}

// checkpointsDepend lists what the steps of evaluate --reward depend on: a checkpoint is asked as the target is.
func (c *Config) checkpointsDepend(d map[string]any, step, model string) bool {
	switch step {
	case "evaluate-responses":
		d["max_new_tokens"] = c.Evaluate.MaxNewTokens
		d["models"] = c.identities(c.Target.Model, nil)
	case "evaluate-rewards":
		d["models"] = c.identities(model, c.Reward.Models)
	default:
		return false
	}
	return true
}

// effective is what the prompts depend on, without what has no effect.
func (p Prompts) effective() []any {
	all := []any{p.Columns, p.Turns, p.PartRows}
	if len(p.Decontaminate) > 0 {
		all = append(all, p.DecontaminateWords)
	}
	return all
}

// effective is the section without what has no effect.
func (a Advantage) effective() Advantage {
	if a.Inference.Method != "single" {
		a.Inference.Single = ""
	}
	if a.Inference.Method != "judge" {
		a.Inference.Judge, a.Inference.Criteria = "", ""
	}
	if len(a.Inference.Filters.Scripts) == 0 {
		a.Inference.Filters.MinScript = 0
	}
	return a
}

// effective is what examples depend on.
func (f Fuse) effective() []string {
	all := []string{f.Keep, f.TargetWins}
	if f.Chunks {
		all = append(all, "chunks")
	}
	return all
}

// effective is the section without what has no effect.
func (o Objective) effective() Objective {
	if o.ExampleWeights == "equal" {
		o.ExampleWeights, o.RewardTemperature = "", 0
	}
	if o.Lambda == None {
		o.Lambda = 0 // left out; a lambda of 0 shows as a beta of none
	}
	if o.Kind == distributions {
		o.Kind, o.ChunkTemperature = "", 0
	} else {
		o.Rest, o.Temperature, o.StatusWeights = "", 0, StatusWeights{}
	}
	if o.StatusWeights == (StatusWeights{1, 1, 1, 1}) {
		o.StatusWeights = StatusWeights{}
	}
	return o
}

// effective is what the result depends on, without what has its default or no effect.
func (t Trainer) effective() []any {
	all := []any{t.BatchPrompts, t.MaxLength, t.LearningRate, t.Warmup, t.WeightDecay, t.Clip}
	if t.LoRA.Rank > 0 {
		all = append(all, "lora", t.LoRA)
	}
	if t.Moments != "float32" {
		all = append(all, "moments", t.Moments)
	}
	if t.Precision != "float32" {
		all = append(all, "precision", t.Precision)
	}
	if t.MicroPositions != 4096 { // another order of sums
		all = append(all, "micro_positions", t.MicroPositions)
	}
	if t.Packing { // other sums, other roundings
		all = append(all, "packing")
	}
	return all
}

// effective is the section without what has no effect.
func (c Curriculum) effective() Curriculum {
	if c.Kind != curriculum.Adaptive {
		c.Adaptive = Adaptive{}
	}
	return c
}

// fused is the trained model's name in evaluations.
const fused = "fused"

// identities describes one model, or all of names where model is "": its entry, with the path relative to the
// configuration file, so that a project can move.
func (c *Config) identities(model string, names []string) []Model {
	if model != "" {
		names = []string{model}
	}
	var entries []Model
	for _, m := range c.Models {
		if !slices.Contains(names, m.Name) {
			continue
		}
		for _, path := range []*string{&m.Path, &m.Tokenizer} {
			if relative, err := filepath.Rel(c.dir, *path); err == nil && *path != "" {
				*path = filepath.ToSlash(relative)
			}
		}
		if m.Endpoint != nil { // where and how fast a model answers does not decide what it answers
			e := Endpoint{Model: m.Endpoint.Model, Kind: m.Endpoint.Kind, Reward: m.Endpoint.Reward}
			if e.Reward == "judge" {
				e.Criteria = m.Endpoint.Criteria
			}
			m.Endpoint = &e
		}
		entries = append(entries, m)
	}
	slices.SortFunc(entries, func(a, b Model) int { return slices.Index(names, a.Name) - slices.Index(names, b.Name) })
	return entries
}
