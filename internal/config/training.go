package config

import (
	"fmt"

	"github.com/profuser/profuser/trainer/curriculum"
)

// Objective is the section of the same name.
type Objective struct {
	// fusion: distributions over the next token, position by position. alm: the likelihoods of the chunks that both tokenisations share (likelihood matching, arXiv 2503.20083), for tokens that rarely coincide; needs fuse.chunks.
	Kind string `yaml:"kind" default:"fusion" allow:"fusion | alm" json:",omitempty"`
	// Weight of the divergence beside the cross-entropy: L = L_SFT + β·L_KL.
	Beta Coefficient `yaml:"beta" default:"0.1" allow:"[0, inf)"`
	// Alternative to beta: L = λ·L_SFT + (1-λ)·L_KL. Setting it takes beta's default away.
	Lambda Coefficient `yaml:"lambda" default:"none" allow:"[0, 1]" json:",omitempty"`
	// Divergence from teacher p to student q. kl is forward, Σ p·log(p/q). reverse_kl is Σ q·log(q/p). jsd is the mean of both to their middle. ce is -Σ p·log q.
	Divergence string `yaml:"divergence" default:"kl" allow:"kl | reverse_kl | jsd | ce"`
	// What happens to the mass that is not stored. bucket: one more outcome, on both sides. renormalize: it is dropped and the rest scaled up (FuseLLM's way).
	Rest string `yaml:"rest" default:"bucket" allow:"bucket | renormalize"`
	// Temperature of both sides, of kind fusion.
	Temperature float64 `yaml:"temperature" default:"1" allow:"(0, inf)"`
	// Temperature of both sides' chunks, of kind alm; the larger, the more the nats count instead of the probabilities.
	ChunkTemperature float64 `yaml:"chunk_temperature" default:"100" allow:"(0, inf)" json:",omitempty"`
	// What a batch's sums are divided by. example: each example's mean counts alike. token: each token of a mode does.
	Normalize string `yaml:"normalize" default:"example" allow:"example | token"`
	// equal: the selected example of a prompt counts. reward: all its responses do, weighted by softmax(reward / reward_temperature) (FuseRL's FuseSFT; needs fuse.keep all).
	ExampleWeights string `yaml:"example_weights" default:"equal" allow:"equal | reward" json:",omitempty"`
	// Temperature of example_weights reward; small values favour the best response.
	RewardTemperature float64 `yaml:"reward_temperature" default:"1" allow:"(0, inf)" json:",omitempty"`
	// What positions weigh in the divergence, by how they got their distribution.
	StatusWeights StatusWeights `yaml:"status_weights" json:",omitzero"`
}

// StatusWeights is the section objective.status_weights.
type StatusWeights struct {
	// Source and target token cover the same bytes.
	Exact float64 `yaml:"exact" default:"1" allow:"[0, inf)"`
	// They start at the same byte and end at different ones.
	Boundary float64 `yaml:"boundary" default:"1" allow:"[0, inf)"`
	// The target token starts inside a source token.
	Inner float64 `yaml:"inner" default:"1" allow:"[0, inf)"`
	// The text's token with probability one (align.fallback).
	OneHot float64 `yaml:"one_hot" default:"1" allow:"[0, inf)"`
}

// Coefficient is a number of at least 0, or None.
type Coefficient float64

// None is a Coefficient that is not used.
const None Coefficient = -1

// Values of objective.kind.
const (
	distributions = "fusion"
	likelihoods   = "alm"
)

// Curriculum is the section of the same name.
type Curriculum struct {
	// progressive: first inference-mode examples, then training-mode examples with a tenth of the others. reverse: the other way round. simultaneous: both at once. inference_only, training_only: one mode. sft: the references without teachers. stages: those of the key stages. adaptive: from the first stage of progressive to its second as the held-out loss stalls (docs/training.md).
	Kind string `yaml:"kind" default:"progressive" allow:"progressive | reverse | simultaneous | inference_only | training_only | sft | stages | adaptive"`
	// Passes over the prompts in each stage; kinds of one stage take the sum. An empty list is the kind's own: [1, 2] or [3].
	Epochs []int `yaml:"epochs" default:"[]" allow:"[0, 1000]"`
	// The stages of kind stages, one after another.
	Stages []Stage `yaml:"stages" default:"[]" json:",omitempty"`
	// How kind adaptive moves its weights.
	Adaptive Adaptive `yaml:"adaptive" json:",omitzero"`
}

// Stage is one entry of curriculum.stages.
type Stage struct {
	// Name in metrics and report.
	Name string `yaml:"name" required:"true"`
	// Passes over the prompts; or give steps.
	Epochs int `yaml:"epochs" default:"0" allow:"[0, 1000]"`
	// Optimizer steps, instead of epochs.
	Steps int `yaml:"steps" default:"0" allow:"[0, inf)"`
	// What each mode's examples weigh in the loss.
	Weights StageWeights `yaml:"weights"`
	// Peak learning rate in this stage; 0 takes trainer.learning_rate. The schedule spans all stages.
	LearningRate float64 `yaml:"learning_rate" default:"0" allow:"[0, 1]"`
}

// StageWeights is the section weights of a stage.
type StageWeights struct {
	// Weight of inference-mode examples.
	Inference float64 `yaml:"inference" default:"0" allow:"[0, inf)"`
	// Weight of training-mode examples.
	Training float64 `yaml:"training" default:"0" allow:"[0, inf)"`
}

// Adaptive is the section curriculum.adaptive.
type Adaptive struct {
	// How often in the training the weights may move, at most, at equal distances.
	Decisions int `yaml:"decisions" default:"20" allow:"[1, inf)"`
	// Largest shift at one decision; 1 goes from the first stage's weights to the second's at once.
	Step float64 `yaml:"step" default:"0.25" allow:"(0, 1]"`
	// Relative fall of the held-out loss from decision to decision at which the weights stay.
	Enough float64 `yaml:"enough" default:"0.02" allow:"(0, 1)"`
}

// Trainer is the section of the same name.
type Trainer struct {
	// Engine of the graphs: the Go backend, one operation after another; examples of a batch run side by side.
	Backend string `yaml:"backend" default:"go:ops_sequential" allow:"go:ops_sequential | xla:/…"`
	// Type of the products, forward and backward; weights, sums and the optimizer stay float32. bfloat16 needs an XLA backend.
	Precision string `yaml:"precision" default:"float32" allow:"float32 | bfloat16"`
	// Whether the backward pass computes each block anew from its input: less memory, about a third more work.
	GradientCheckpointing bool `yaml:"gradient_checkpointing" default:"false"`
	// Devices of an XLA backend that compute; each holds all weights, and micro-batches are dealt out to them.
	Devices int `yaml:"devices" default:"1" allow:"[1, 1024]"`
	// Prompts in a batch.
	BatchPrompts int `yaml:"batch_prompts" default:"128" allow:"[1, inf)"`
	// Longest example in tokens; texts are cut on the right, prompts never.
	MaxLength int `yaml:"max_length" default:"2048" allow:"[16, inf)"`
	// Whether several examples share a row, each attending to itself only; losses and gradients are the same.
	Packing bool `yaml:"packing" default:"false"`
	// Peak learning rate of AdamW; it falls to a tenth on a cosine.
	LearningRate float64 `yaml:"learning_rate" default:"1e-5" allow:"(0, 1]"`
	// Share of the steps in which the learning rate rises.
	Warmup float64 `yaml:"warmup" default:"0.008" allow:"[0, 1)"`
	// Weight decay, not on norms and biases.
	WeightDecay float64 `yaml:"weight_decay" default:"0.1" allow:"[0, 1]"`
	// Largest norm of the gradient.
	Clip float64 `yaml:"clip" default:"1" allow:"(0, inf)"`
	// Checkpoints kept.
	KeepLast int `yaml:"keep_last" default:"2" allow:"[1, inf)"`
	// Whether the model of each epoch is kept.
	KeepEpochs bool `yaml:"keep_epochs" default:"true"`
	// Steps with an infinite loss before the run stops.
	MaxBadSteps int `yaml:"max_bad_steps" default:"3" allow:"[1, inf)"`
	// Steps between readings of the held-out prompts' losses, beside those at epochs' ends; 0 is none.
	EvaluateSteps int `yaml:"evaluate_steps" default:"0" allow:"[0, inf)"`
	// Held-out prompts whose losses are read at most: those with the smallest hashes.
	EvaluatePrompts int `yaml:"evaluate_prompts" default:"1000" allow:"[1, inf)"`
	// Held-out prompts that the model answers whenever those losses are read, into trainer/samples.jsonl, with evaluate.max_new_tokens.
	Samples int `yaml:"samples" default:"0" allow:"[0, 1000]"`
	// Floating-point operations a second that the processor, or all devices together, can do, for the utilisation; 0 measures products of matrices for half a second at the start.
	PeakFlops float64 `yaml:"peak_flops" default:"0" allow:"[0, inf)"`
	// Low-rank adapters in place of full fine-tuning.
	LoRA LoRA `yaml:"lora"`
	// Type of the optimizer's moments; bfloat16 takes half the memory, rounded to nearest.
	Moments string `yaml:"moments" default:"float32" allow:"float32 | bfloat16"`
	// Largest number of positions (rows times length) of a micro-batch; a batch's gradients are summed over its micro-batches. Smaller ones take less memory.
	MicroPositions int `yaml:"micro_positions" default:"4096" allow:"[1, inf)"`
	// Models kept under trainer/best: those with the lowest loss on the held-out prompts. 0 keeps none.
	KeepBest int `yaml:"keep_best" default:"0" allow:"[0, inf)"`
	// Largest file of weights of a model that is written, in bytes; a larger model is cut into shards.
	ShardBytes int `yaml:"shard_bytes" default:"5000000000" allow:"[1, inf)"`
	// Memory that a training may take, in bytes: the accelerator's, or the machine's with the Go backend. 0 is what the machine has (its control group's limit, /proc/meminfo), or what nvidia-smi says of the accelerator.
	DeviceMemory int `yaml:"device_memory" default:"0" allow:"[0, inf)"`
}

// LoRA is the section trainer.lora.
type LoRA struct {
	// Rank of the adapters; 0 trains all weights instead.
	Rank int `yaml:"rank" default:"0" allow:"[0, 4096]"`
	// Scale of the adapters: alpha/rank times their product is added to a matrix.
	Alpha float64 `yaml:"alpha" default:"16" allow:"(0, inf)"`
	// The matrices that get an adapter: names of modules (q_proj, v_proj, …; Wqkv, …), or all-linear, every matrix but embedding and head.
	Targets []string `yaml:"targets" default:"[all-linear]"`
	// What the trained model's folder holds. merged: the whole model. adapter: the adapter alone, in PEFT's format.
	Save string `yaml:"save" default:"merged" allow:"merged | adapter"`
}

// Plan lists the stages.
func (c Curriculum) Plan() ([]curriculum.Stage, error) {
	if c.Kind != curriculum.Free {
		return curriculum.Plan(c.Kind, c.Epochs)
	}
	var stages []curriculum.Stage
	for i, s := range c.Stages {
		stage := curriculum.Stage{Name: s.Name, Epochs: s.Epochs, Steps: s.Steps, Inference: s.Weights.Inference, Training: s.Weights.Training, LearningRate: s.LearningRate}
		if err := stage.Check(); err != nil {
			return nil, fmt.Errorf("curriculum.stages[%d] %w", i, err)
		}
		stages = append(stages, stage)
	}
	return stages, nil
}

// objective resolves beta and lambda, of which the one that is said with more force stays, and checks what no key can alone.
func (d checker) objective() {
	o := &d.c.Objective
	const beta, lambda = "objective.beta", "objective.lambda"
	switch {
	case o.Lambda == None && o.Beta == None:
		d.fault(beta, "is none and so is lambda, want a number for one of the two")
	case o.Lambda == None || o.Beta == None:
	case d.force(beta) < d.force(lambda):
		o.Beta = None
	case d.force(beta) > d.force(lambda):
		o.Lambda = None
	default:
		d.fault(lambda, "is %g beside a beta of %g, want one of the two", o.Lambda, o.Beta)
	}
	if o.Kind == likelihoods && !d.c.Fuse.Chunks {
		d.fault("objective.kind", "is alm, which needs fuse.chunks true, want fusion, or fuse.chunks true")
	}
	if o.Kind == likelihoods && d.c.Advantage.Training.Method == "average" {
		d.fault("objective.kind", "is alm, and advantage.training.method average, whose mixtures have no chunks, want fusion, or min_ce")
	}
	if o.StatusWeights == (StatusWeights{}) {
		d.fault("objective.status_weights", "are all 0, want one above 0; for training without teachers take curriculum.kind sft, or beta 0")
	}
}

// curriculum checks the stages and fills in the kind's own epochs.
func (d checker) curriculum() {
	c := &d.c.Curriculum
	free := c.Kind == curriculum.Free
	switch {
	case free && len(c.Stages) == 0:
		d.fault("curriculum.stages", "is empty, want the stages of kind stages")
	case free && len(c.Epochs) > 0 && d.force("curriculum.epochs") >= d.force("curriculum.kind"):
		d.fault("curriculum.epochs", "stands beside kind stages, want none: each stage has epochs or steps")
	case !free && len(c.Stages) > 0:
		d.fault("curriculum.stages", "stands beside kind %s, want kind stages", c.Kind)
	case free:
		c.Epochs = nil
		for i, s := range c.Stages {
			stage := curriculum.Stage{Epochs: s.Epochs, Steps: s.Steps, Inference: s.Weights.Inference, Training: s.Weights.Training}
			if err := stage.Check(); err != nil {
				d.fault(fmt.Sprintf("curriculum.stages[%d]", i), "%v", err)
			}
		}
	default:
		own, err := curriculum.Plan(c.Kind, nil)
		if err != nil {
			return // the decoder has said so
		}
		if n := len(c.Epochs); n > 0 && len(own) > 1 && n != len(own) {
			d.fault("curriculum.epochs", "has %d entries, want %d: one for each stage of %s", n, len(own), c.Kind)
			return
		}
		stages, err := curriculum.Plan(c.Kind, c.Epochs)
		if err != nil {
			d.fault("curriculum.epochs", "are all 0, want one above 0")
			return
		}
		c.Epochs = nil
		for _, s := range stages {
			c.Epochs = append(c.Epochs, s.Epochs)
		}
	}
}
