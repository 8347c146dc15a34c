package wanted

import (
	"slices"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/fusion/align"
	"github.com/profuser/profuser/internal/config"
)

// Names of datasets, and of files beside them.
const (
	// Prompts is what ingest makes.
	Prompts = "prompts"
	// Selections says who wins.
	Selections = "selections"
	// Items are the prompts of evaluate.
	Items = "evaluation/items"
	// Verdicts holds the comparisons of method judge.
	Verdicts = "verdicts"
	// Statistics is the file of the frozen statistics of scores.
	Statistics = "rewards/_STATS.json"
	// Fused is the trained model in evaluations; its directory is out/model.
	Fused = "fused"
)

// Generations is the dataset of a model's answers.
func Generations(model string) string { return "generations/" + model }

// CrossEntropy is the dataset of a model's readings of the references.
func CrossEntropy(model string) string { return "crossentropy/" + model }

// TargetReadings is the dataset of the target's readings of a model's answers.
func TargetReadings(model string) string { return "crossentropy-responses/" + model }

// Rewards is the dataset of a reward model's scores.
func Rewards(model string) string { return "rewards/" + model }

// Evaluation is the dataset of a model's answers to the held-out items.
func Evaluation(model string) string { return "evaluation/" + model }

// Fusion is the dataset of fusion examples of a mode.
func Fusion(mode string) string { return "fusion/" + mode }

// Reads says whether the target reads the responses: winners are picked by it, or distributions are transported to it.
func Reads(c *config.Config) bool {
	return c.Advantage.Inference.Method == advantage.Perplexity || c.Align.Method == align.MethodTransport
}

// Judges says whether a judge compares the responses.
func Judges(c *config.Config) bool { return c.Advantage.Inference.Method == advantage.Judge }

// Of is the table's entry of a dataset; a missing one is empty.
func Of(list []Dataset, name string) Dataset {
	if i := slices.IndexFunc(list, func(d Dataset) bool { return d.Name == name }); i >= 0 {
		return list[i]
	}
	return Dataset{}
}
