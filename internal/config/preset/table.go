package preset

import "slices"

// Key is one key of fusion.yaml with its value in YAML.
type Key struct{ Path, Value string }

// Preset is a method by name.
type Preset struct {
	// Name is what the key preset takes.
	Name string
	// Meaning says in a sentence what the method is, and Source where it is from.
	Meaning, Source string
	// Keys are what it sets.
	Keys []Key
}

// None is the name of no preset.
const None = "none"

// fusion are the keys that the variants of our method share, their curriculum apart.
func fusion(kind string) []Key {
	return []Key{
		{"advantage.cross_entropy", "per_byte"},
		{"advantage.inference.method", "vote"},
		{"advantage.training.method", "min_ce"},
		{"align.method", "exact"},
		{"align.fallback", "none"},
		{"objective.divergence", "kl"},
		{"objective.rest", "bucket"},
		{"objective.normalize", "example"},
		{"curriculum.kind", kind},
	}
}

// fuseLLM are FuseLLM's alignment and objective with a method of training mode, and the weights of averages.
func fuseLLM(method, weights string) []Key {
	return []Key{
		{"advantage.cross_entropy", "per_token"},
		{"advantage.training.method", method},
		{"advantage.training.weights", weights},
		{"align.method", "min_edit_distance"},
		{"align.fallback", "current"},
		{"objective.lambda", "0.9"},
		{"objective.divergence", "ce"},
		{"objective.rest", "renormalize"},
		{"objective.temperature", "1"},
		{"objective.normalize", "example"},
		{"curriculum.kind", "training_only"},
	}
}

const (
	paper     = "ProFuser paper"
	fuseLLMAt = "FuseLLM, arXiv 2401.10491"
)

// table holds the presets.
var table = []Preset{
	{"profuser", "The paper's method: first inference-mode examples, then training-mode ones with a tenth of the others.", paper, fusion("progressive")},
	{"simul", "SimulFuse: both modes at once, with equal weights.", paper, fusion("simultaneous")},
	{"reverse", "ReverseFuse: first training mode, then inference mode.", paper, fusion("reverse")},
	{"infer_only", "InferFuse: inference mode alone.", paper, fusion("inference_only")},
	{"train_only", "TrainFuse: training mode alone.", paper, fusion("training_only")},
	{"adaptive", "The paper's two stages with weights that follow the held-out loss.", "ours", fusion("adaptive")},
	{"sft", "Fine-tuning on the references, without teachers.", paper, fusion("sft")},
	{"fusellm", "FuseLLM with Min-CE: references, minimal edit distance, cross-entropy to the stored probabilities. The loss is averaged by example, not by packed block as in FuseLLM's own code.", fuseLLMAt, fuseLLM("min_ce", "ce")},
	{"fusellm_avg", "FuseLLM with Avg-CE: as fusellm, over the sources' distributions averaged by their cross-entropies.", fuseLLMAt, fuseLLM("average", "reward")},
}

// All lists the presets.
func All() []Preset { return slices.Clone(table) }

// Find gives a preset by name.
func Find(name string) (Preset, bool) {
	i := slices.IndexFunc(table, func(p Preset) bool { return p.Name == name })
	if i < 0 {
		return Preset{}, false
	}
	return table[i], true
}
