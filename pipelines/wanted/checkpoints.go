package wanted

import (
	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/schemas"
)

// Steps whose datasets stand beside those of Table: what a checkpoint answers to the held-out items, and what reward models
// say of the answers.
const (
	ItemResponsesStep = "evaluate-responses"
	ItemRewardsStep   = "evaluate-rewards"
)

// ItemResponses is the dataset of a checkpoint's answers to the held-out items.
func ItemResponses(checkpoint string) string { return "evaluation-responses/" + checkpoint }

// ItemRewards is the dataset of a reward model's scores of a checkpoint's answers.
func ItemRewards(checkpoint, judge string) string {
	return "evaluation-rewards/" + checkpoint + "/" + judge
}

// Checkpoints lists the datasets of checkpoints and reward models, of the step of a name, each after what it is made from.
func Checkpoints(c *config.Config, models map[string]Model, step string, checkpoints, judges []string) []Dataset {
	t := &table{c: c, models: models}
	for _, name := range checkpoints {
		h := t.header(schemas.GenerationSchema, ItemResponsesStep, name, true)
		t.add(step, ItemResponses(name), h, Items)
	}
	for _, judge := range judges {
		for _, name := range checkpoints {
			t.add(step, ItemRewards(name, judge), t.header(schemas.RewardSchema, ItemRewardsStep, judge, false), Items, ItemResponses(name))
		}
	}
	return t.list
}
