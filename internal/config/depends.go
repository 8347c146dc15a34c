package config

import (
	"maps"
	"reflect"
	"strings"
)

// Depends itemises what Digest(step) covers, the steps before it left out: keys of this file with their values as Print
// shows them. Keys with an empty text are left out. Two configurations differ in a step's digest only if they differ
// here, in this step or one before it. An unknown step gives nil.
func (c *Config) Depends(step string) map[string]string {
	step, model, _ := strings.Cut(step, "/")
	items := map[string]string{}
	add := func(key string, value any) { itemise(items, key, reflect.ValueOf(value)) }
	models := func(name string, names ...string) {
		for _, m := range c.identities(name, names) {
			add("models."+m.Name, m)
		}
	}
	in := c.Advantage.effective().Inference
	switch step {
	case "ingest":
		add("prompts.columns", c.Prompts.Columns)
		add("prompts.turns", c.Prompts.Turns)
		add("prompts.part_rows", c.Prompts.PartRows)
		if len(c.Prompts.Decontaminate) > 0 {
			add("prompts.decontaminate_words", c.Prompts.DecontaminateWords)
		}
	case "generate":
		add("generate.temperature", c.Generate.Temperature)
		add("generate.top_p", c.Generate.TopP)
		add("generate.max_new_tokens", c.Generate.MaxNewTokens)
		add("generate.samples", c.Generate.Samples)
		add("seed", c.Seed)
		add("truncate", c.Truncate)
		models(model, c.Competitors()...)
	case "reward":
		add("target.model", c.Target.Model)
		add("sources", c.Sources)
		models(model, c.Reward.Models...)
	case "crossentropy":
		add("truncate", c.Truncate)
		models(model, c.Competitors()...)
	case "crossentropy-responses":
		add("truncate", c.Truncate)
		models(c.Target.Model)
	case "judge":
		add("advantage.inference.judge", in.Judge)
		add("advantage.inference.criteria", in.Criteria)
		add("advantage.inference.filters", in.Filters)
		add("target", c.Target)
		add("sources", c.Sources)
		models(in.Judge)
	case "fuse":
		c.fuseDepends(add)
	case "train":
		c.trainDepends(add)
	default:
		if !c.evaluateDepends(add, models, step, model) {
			return nil
		}
	}
	return items
}

// evaluateDepends adds what the steps of evaluate cover.
func (c *Config) evaluateDepends(add func(key string, value any), models func(name string, names ...string), step, model string) bool {
	switch step {
	case "evaluate":
		add("evaluate.max_new_tokens", c.Evaluate.MaxNewTokens)
		if model == fused || model == "" {
			add("training", c.Digest("train")[:12])
		}
		if model != fused {
			models(model, c.Competitors()...)
		}
	case "evaluate-responses":
		add("evaluate.max_new_tokens", c.Evaluate.MaxNewTokens)
		models(c.Target.Model)
	case "evaluate-rewards":
		models(model, c.Reward.Models...)
	default:
		return false
	}
	return true
}

// fuseDepends adds what the step fuse covers.
func (c *Config) fuseDepends(add func(key string, value any)) {
	add("target", c.Target)
	add("sources", c.Sources)
	add("reward.models", c.Reward.Models)
	add("advantage", c.Advantage.effective())
	add("align", c.Align)
	add("fuse.keep", c.Fuse.Keep)
	add("fuse.target_wins", c.Fuse.TargetWins)
	if c.Fuse.Chunks {
		add("fuse.chunks", true)
	}
}

// trainDepends adds what the training covers.
func (c *Config) trainDepends(add func(key string, value any)) {
	add("seed", c.Seed)
	add("prompts.holdout", c.Prompts.Holdout)
	o := c.Objective.effective()
	o.Lambda = c.Objective.Lambda
	add("objective", o)
	add("curriculum", c.Curriculum.effective())
	t := c.Trainer
	add("trainer.batch_prompts", t.BatchPrompts)
	add("trainer.max_length", t.MaxLength)
	add("trainer.learning_rate", t.LearningRate)
	add("trainer.warmup", t.Warmup)
	add("trainer.weight_decay", t.WeightDecay)
	add("trainer.clip", t.Clip)
	if t.LoRA.Rank > 0 {
		add("trainer.lora", t.LoRA)
	}
	add("trainer.moments", t.Moments)
	add("trainer.precision", t.Precision)
	add("trainer.micro_positions", t.MicroPositions)
	add("trainer.packing", t.Packing)
}

// Training itemises everything that the trained model depends on: what its own step covers and all steps before it.
func (c *Config) Training() map[string]string {
	all := map[string]string{}
	steps := []string{"ingest", "generate", "reward", "crossentropy", "fuse", "train"}
	if c.Advantage.Inference.Method == "judge" {
		steps = append(steps, "judge")
	}
	for _, step := range steps {
		maps.Copy(all, c.Depends(step))
	}
	return all
}

// itemise adds a value, or those below it, by key.
func itemise(items map[string]string, key string, v reflect.Value) {
	switch {
	case v.Kind() == reflect.Pointer:
		if !v.IsNil() {
			itemise(items, key, v.Elem())
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if name, ok := v.Type().Field(i).Tag.Lookup("yaml"); ok && name != "name" {
				itemise(items, join(key, name), v.Field(i))
			}
		}
	case v.Kind() != reflect.String || v.Len() > 0:
		items[key] = flow(v)
	}
}
