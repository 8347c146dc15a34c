package config

// Objective is the section of the same name.
type Objective struct {
	// Weight of the divergence beside the cross-entropy.
	Beta float64 `yaml:"beta" default:"0.1" allow:"[0, inf)"`
	// Divergence from teacher to student; kl is forward.
	Divergence string `yaml:"divergence" default:"kl" allow:"kl"`
	// What happens to the mass that is not stored: one bucket on both sides.
	Rest string `yaml:"rest" default:"bucket" allow:"bucket"`
	// Temperature of both sides.
	Temperature float64 `yaml:"temperature" default:"1" allow:"(0, inf)"`
	// What a batch's sums are divided by.
	Normalize string `yaml:"normalize" default:"example" allow:"example"`
	// equal: the selected example of a prompt counts. reward: all its responses do, weighted by softmax(reward / reward_temperature) (FuseRL's FuseSFT; needs fuse.keep all).
	ExampleWeights string `yaml:"example_weights" default:"equal" allow:"equal | reward" json:",omitempty"`
	// Temperature of example_weights reward; small values favour the best response.
	RewardTemperature float64 `yaml:"reward_temperature" default:"1" allow:"(0, inf)" json:",omitempty"`
}

// Curriculum is the section of the same name.
type Curriculum struct {
	// progressive: first inference-mode examples, then training-mode examples with a tenth of the others.
	Kind string `yaml:"kind" default:"progressive" allow:"progressive"`
	// Passes over the prompts in each stage.
	Epochs []int `yaml:"epochs" default:"[1, 2]" allow:"[0, 1000]"`
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
	// Memory that a training may take, in bytes: the accelerator's, or the machine's with the Go backend. 0 is what the machine has (its control group's limit, else /proc/meminfo); of an accelerator it is then not checked.
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
