package fusing

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/trainer/card"
	"github.com/profuser/profuser/trainer/curriculum"
	"github.com/profuser/profuser/trainer/lora"
	"github.com/profuser/profuser/trainer/objective"
	"github.com/profuser/profuser/trainer/optim"
)

// Options say what is trained on what. Fields without a default are required.
type Options struct {
	// Store holds the datasets.
	Store dataset.Store
	// Out is the local folder for model/ and trainer/.
	Out string
	// Target is the directory of the model to train.
	Target string
	// Format is how the target's chat format is read; it must be the one that the dataset was made with.
	Format chat.Options
	// ConfigDigest stands for the configuration that the training depends on.
	ConfigDigest string
	// Settings are the keys that it stands for, with their values, to say what differs.
	Settings map[string]string
	// About is what the model card says of the models.
	About card.About
	// Fused are the keys of the step fuse with their values, which the datasets must have been made with; nil checks nothing.
	Fused map[string]string
	// Seed of the order of prompts, and of an adapter's first values.
	Seed int64
	// Holdout is the share of prompts that is held out, in [0, 1).
	Holdout float64
	// Beta weighs the divergence beside the cross-entropy, at least 0: L = L_SFT + β·L_KL.
	Beta float64
	// Lambda, if set, is used instead of Beta, in [0, 1]: L = λ·L_SFT + (1-λ)·L_KL.
	Lambda *float64
	// StatusWeights weigh positions in the divergence. Default Unweighted.
	StatusWeights StatusWeights
	// Teaching is the divergence.
	Teaching objective.Teaching
	// Normalize is PerExample or PerToken.
	Normalize string
	// ExampleWeights is Selected (the default, "") or ByReward; RewardTemperature is that of ByReward, positive.
	ExampleWeights    string
	RewardTemperature float64
	// Stages of the training.
	Stages []curriculum.Stage
	// Adaptive holds the constants of an adaptive stage.
	Adaptive curriculum.Settings
	// BatchPrompts is the number of prompts of a batch, positive.
	BatchPrompts int
	// MaxLength is the longest example in tokens; the model's context bounds it too.
	MaxLength int
	// EvaluateSteps is the number of steps between readings of the held-out prompts, beside those at epochs' ends; 0: none.
	EvaluateSteps int
	// Samples is the number of held-out prompts that are answered whenever their losses are read.
	// SampleTokens is the length at which an answer is cut; positive where there are samples.
	Samples, SampleTokens int
	// PeakFlops is what the backend can do, in operations a second; 0 measures it, below 0 nothing is said of it.
	PeakFlops float64
	// EvaluatePrompts is the most held-out prompts whose losses are read. Default 1000.
	EvaluatePrompts int
	// MicroPositions bounds rows times length of a micro-batch. Default 4096.
	MicroPositions int
	// Packing puts several examples into a row; each attends to itself only.
	Packing bool
	// LearningRate is the peak, positive.
	LearningRate float64
	// Warmup is the share of the steps in which the rate rises, in [0, 1).
	Warmup float64
	// Optimizer holds AdamW's constants.
	Optimizer optim.AdamW
	// Backend is GoMLX's configuration string. Default go:ops_sequential.
	Backend string
	// Precision of the products, loop.Float32 (the default, "") or loop.BFloat16.
	Precision string
	// Recompute is gradient checkpointing: blocks are computed anew in the backward pass.
	Recompute bool
	// Devices of the backend that compute. Default 1.
	Devices int
	// LoRA trains adapters in place of all weights; nil trains these.
	LoRA *lora.Options
	// SaveAdapter makes model folders hold the adapter alone.
	SaveAdapter bool
	// ShardBytes is the largest file of weights of a model. Default 5 GB.
	ShardBytes int64
	// KeepBest is how many models of the lowest held-out losses are kept under trainer/best.
	KeepBest int
	// KeepLast is the number of checkpoints kept, at least 1.
	KeepLast int
	// KeepEpochs keeps a model directory for each epoch, trainer/epochs/N.
	KeepEpochs bool
	// MaxBadSteps is how many steps with an infinite loss or gradient end the run.
	MaxBadSteps int
	// CheckpointSteps is the number of steps between checkpoints; 0 means one a minute, beside those at epochs' ends.
	CheckpointSteps int
	// DeviceMemory is the accelerator's memory in bytes, with the Go backend what the process may take; 0 is not known.
	DeviceMemory int64
	// Force trains although the memory will not suffice.
	Force bool
	// Fresh starts over: checkpoints, metrics and a finished model are removed.
	Fresh bool
	// StopAfter ends the run after so many steps with a checkpoint, as a signal would; 0 never does. For tests.
	StopAfter int
	// Log receives progress and warnings.
	Log io.Writer
}

// StatusWeights say by status what a position weighs in the divergence, at least 0; none has no teacher and always 0.
type StatusWeights [schemas.StatusOneHot + 1]float64

// Unweighted lets all positions with a teacher count alike.
var Unweighted = StatusWeights{schemas.StatusExact: 1, schemas.StatusBoundary: 1, schemas.StatusInner: 1, schemas.StatusOneHot: 1}

// blend weighs the two parts of the loss in a stage.
func (o *Options) blend(s curriculum.Stage) objective.Blend {
	switch {
	case s.TextOnly:
		return objective.Blend{Text: 1}
	case o.Lambda != nil:
		return objective.ByLambda(*o.Lambda)
	}
	return objective.ByBeta(o.Beta)
}

// How the losses of a mode are divided.
const (
	// PerExample averages over each example's positions, then over examples.
	PerExample = "example"
	// PerToken averages over all positions of the mode in the batch.
	PerToken = "token"
)

// Which of a prompt's examples count, and how much.
const (
	// Selected takes the selected example of each mode.
	Selected = "equal"
	// ByReward takes all responses with a reward, weighted by softmax(reward / temperature): FuseRL's FuseSFT.
	ByReward = "reward"
)

// defaultMicroPositions is what measures fastest on the Go backend.
const defaultMicroPositions = 4096

// defaultEvaluatePrompts bounds the time and memory that held-out prompts take.
const defaultEvaluatePrompts = 1000

// leastText is the number of text tokens that a cut example must keep.
const leastText = 16

// validate names the first field that cannot be.
func (o *Options) validate() error {
	if err := o.Teaching.Validate(); err != nil {
		return err
	}
	switch {
	case o.Normalize != PerExample && o.Normalize != PerToken:
		return fmt.Errorf("objective.normalize: %q; example and token are known", o.Normalize)
	case o.ExampleWeights != "" && o.ExampleWeights != Selected && o.ExampleWeights != ByReward:
		return fmt.Errorf("objective.example_weights: %q; equal and reward are known", o.ExampleWeights)
	case o.ExampleWeights == ByReward && !(o.RewardTemperature > 0):
		return fmt.Errorf("objective.reward_temperature: %g, must be positive", o.RewardTemperature)
	case !(o.Beta >= 0):
		return fmt.Errorf("objective.beta: %g, must not be negative", o.Beta)
	case o.Lambda != nil && !(*o.Lambda >= 0 && *o.Lambda <= 1):
		return fmt.Errorf("objective.lambda: %g, must be in [0, 1]", *o.Lambda)
	case !(o.Holdout >= 0 && o.Holdout < 1):
		return fmt.Errorf("prompts.holdout: %g, must be in [0, 1)", o.Holdout)
	case o.BatchPrompts < 1:
		return fmt.Errorf("trainer.batch_prompts: %d, must be positive", o.BatchPrompts)
	case o.MaxLength < leastText:
		return fmt.Errorf("trainer.max_length: %d, must be at least %d", o.MaxLength, leastText)
	case !(o.LearningRate > 0):
		return fmt.Errorf("trainer.learning_rate: %g, must be positive", o.LearningRate)
	case !(o.Warmup >= 0 && o.Warmup < 1):
		return fmt.Errorf("trainer.warmup: %g, must be in [0, 1)", o.Warmup)
	case o.KeepLast < 1:
		return fmt.Errorf("trainer.keep_last: %d, must be at least 1", o.KeepLast)
	case o.MaxBadSteps < 1:
		return fmt.Errorf("trainer.max_bad_steps: %d, must be at least 1", o.MaxBadSteps)
	case o.KeepBest > 0 && o.Holdout == 0:
		return fmt.Errorf("trainer.keep_best: %d, but prompts.holdout is 0: there is no loss to go by", o.KeepBest)
	case o.Samples > 0 && o.Holdout == 0:
		return fmt.Errorf("trainer.samples: %d, but no prompt is held out: raise prompts.holdout", o.Samples)
	case o.LoRA == nil && o.SaveAdapter:
		return errors.New("trainer.lora.save: adapter, but trainer.lora.rank is 0: there is no adapter")
	case len(o.Stages) == 0:
		return errors.New("curriculum: no stages")
	case slices.ContainsFunc(o.Stages, func(s curriculum.Stage) bool { return s.Adaptive }):
		if err := o.Adaptive.Validate(); err != nil {
			return err
		}
	}
	if o.StatusWeights == (StatusWeights{}) {
		o.StatusWeights = Unweighted
	}
	if o.EvaluatePrompts == 0 {
		o.EvaluatePrompts = defaultEvaluatePrompts
	}
	if o.LoRA != nil {
		if err := o.LoRA.Validate(); err != nil {
			return fmt.Errorf("trainer.lora.%w", err)
		}
	}
	if o.MicroPositions == 0 {
		o.MicroPositions = defaultMicroPositions
	}
	o.Devices = max(o.Devices, 1)
	return nil
}
