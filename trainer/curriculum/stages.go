package curriculum

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Stage is a stretch of training with fixed weights.
type Stage struct {
	// Name says what the stage is about: inference, training, both or references.
	Name string
	// Epochs is the number of passes over the prompts; 0 skips the stage.
	Epochs int
	// Inference is w_I, the weight of inference-mode examples in the loss, at least 0.
	Inference float64
	// Training is w_T, the weight of training-mode examples, at least 0.
	Training float64
	// TextOnly drops the teachers: β is 0.
	TextOnly bool
}

// Default kind and epochs are the paper's.
const Default = "progressive"

// kinds is the table; epochs are each kind's defaults.
var kinds = map[string][]Stage{
	"progressive":    {{"inference", 1, 1, 0, false}, {"training", 2, 0.1, 1, false}},
	"reverse":        {{"training", 1, 0, 1, false}, {"inference", 2, 1, 0.1, false}},
	"simultaneous":   {{"both", 3, 1, 1, false}},
	"inference_only": {{"inference", 3, 1, 0, false}},
	"training_only":  {{"training", 3, 0, 1, false}},
	"sft":            {{"references", 3, 0, 1, true}},
}

// Plan returns the stages of a kind. Epochs, when given, has one entry a stage and replaces the kind's own; kinds of one
// stage take the sum, so that a comparison need only change the kind.
func Plan(kind string, epochs []int) ([]Stage, error) {
	stages, ok := kinds[kind]
	if !ok {
		return nil, fmt.Errorf("curriculum.kind: %q; known are %s", kind, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
	}
	stages = slices.Clone(stages)
	switch {
	case len(epochs) == 0:
	case len(stages) == 1:
		stages[0].Epochs = 0
		for _, e := range epochs {
			stages[0].Epochs += e
		}
	case len(epochs) != len(stages):
		return nil, fmt.Errorf("curriculum.epochs: %d entries, %s has %d stages", len(epochs), kind, len(stages))
	default:
		for i, e := range epochs {
			stages[i].Epochs = e
		}
	}
	total := 0
	for _, s := range stages {
		if s.Epochs < 0 {
			return nil, fmt.Errorf("curriculum.epochs: %d, must not be negative", s.Epochs)
		}
		total += s.Epochs
	}
	if total == 0 {
		return nil, fmt.Errorf("curriculum.epochs: all are 0: nothing to train")
	}
	return stages, nil
}
