package curriculum

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Stage is a stretch of training with fixed weights, or with weights that Shift moves.
type Stage struct {
	// Name says what the stage is about: inference, training, both, references, adaptive, or what the user calls it.
	Name string
	// Epochs is the number of passes over the prompts; a stage without Steps skips at 0.
	Epochs int
	// Steps, if above 0, is the number of optimizer steps instead: passes follow each other, the last one may end early.
	Steps int
	// Inference is w_I, the weight of inference-mode examples in the loss, at least 0.
	Inference float64
	// Training is w_T, the weight of training-mode examples, at least 0.
	Training float64
	// TextOnly drops the teachers: the loss is the text's cross-entropy.
	TextOnly bool
	// LearningRate, if above 0, is the peak of the schedule in this stage; 0 leaves the training's own.
	LearningRate float64
	// Adaptive stages have the weights of a Shift; Inference and Training say that both modes are trained on.
	Adaptive bool
}

// Kinds of curricula that are more than a row of stages.
const (
	// Default is the paper's.
	Default = "progressive"
	// Free has the user's own stages.
	Free = "stages"
	// Adaptive moves its weights by the losses on held-out prompts.
	Adaptive = "adaptive"
)

// kinds is the table; epochs are each kind's defaults.
var kinds = map[string][]Stage{
	Default:          {{Name: "inference", Epochs: 1, Inference: 1}, {Name: "training", Epochs: 2, Inference: 0.1, Training: 1}},
	"reverse":        {{Name: "training", Epochs: 1, Training: 1}, {Name: "inference", Epochs: 2, Inference: 1, Training: 0.1}},
	"simultaneous":   {{Name: "both", Epochs: 3, Inference: 1, Training: 1}},
	"inference_only": {{Name: "inference", Epochs: 3, Inference: 1}},
	"training_only":  {{Name: "training", Epochs: 3, Training: 1}},
	"sft":            {{Name: "references", Epochs: 3, Training: 1, TextOnly: true}},
	Adaptive:         {{Name: Adaptive, Epochs: 3, Inference: 1, Training: 1, Adaptive: true}},
}

// Kinds lists all kinds, those of the table and Free.
func Kinds() []string { return append(slices.Sorted(maps.Keys(kinds)), Free) }

// Plan returns the stages of a kind. Epochs, when given, has one entry a stage and replaces the kind's own; kinds of one
// stage take the sum, so that a comparison need only change the kind. Kind Free has no stages here: see Check.
func Plan(kind string, epochs []int) ([]Stage, error) {
	stages, ok := kinds[kind]
	if !ok {
		return nil, fmt.Errorf("curriculum.kind: %q; known are %s", kind, strings.Join(Kinds(), ", "))
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
	for _, s := range stages {
		if s.Epochs < 0 {
			return nil, fmt.Errorf("curriculum.epochs: %d, must not be negative", s.Epochs)
		}
	}
	if !slices.ContainsFunc(stages, Stage.Runs) {
		return nil, fmt.Errorf("curriculum.epochs: all are 0: nothing to train")
	}
	return stages, nil
}

// Runs says whether a stage has anything to do.
func (s Stage) Runs() bool { return s.Epochs > 0 || s.Steps > 0 }

// Check says what is wrong with a user's own stage: it has epochs or steps, not both, and a mode that weighs something.
func (s Stage) Check() error {
	switch {
	case s.Epochs > 0 && s.Steps > 0:
		return fmt.Errorf("has %d epochs and %d steps, want one of the two", s.Epochs, s.Steps)
	case !s.Runs():
		return fmt.Errorf("has neither epochs nor steps, want one of the two above 0")
	case s.Inference <= 0 && s.Training <= 0:
		return fmt.Errorf("weighs neither mode, want weights.inference or weights.training above 0")
	}
	return nil
}
