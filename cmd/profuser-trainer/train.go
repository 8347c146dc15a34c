package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/trainer/card"
	"github.com/profuser/profuser/trainer/curriculum"
	"github.com/profuser/profuser/trainer/fusing"
	"github.com/profuser/profuser/trainer/lora"
	"github.com/profuser/profuser/trainer/objective"
	"github.com/profuser/profuser/trainer/optim"
)

// trainFlags are the flags of train.
type trainFlags struct {
	config, data, out, resume string
	set                       []string
	checkpointSteps           int
	stopAfter                 int
	force                     bool
}

// newTrain is the training of the target on a fusion dataset.
func newTrain() *cobra.Command {
	var f trainFlags
	c := &cobra.Command{
		Use:   "train [fusion.yaml]",
		Short: "Train the target on a fusion dataset",
		Long: `Train the target of fusion.yaml on the datasets fusion/inference and fusion/training in its out folder (profuser fuse
writes them), by the sections objective, curriculum and trainer. --data reads them from elsewhere, a bucket for one, part
by part while the training runs. Results in the out folder:

  model/                        the fused model, a Hugging Face directory
  trainer/metrics.jsonl         one line a step; held-out losses at the start, at each epoch's end, each trainer.evaluate_steps
  trainer/samples.jsonl         answers to held-out prompts at the same moments (trainer.samples)
  trainer/tensorboard/          the same numbers for TensorBoard
  trainer/epochs/N/             the model after each epoch (trainer.keep_epochs)
  trainer/best/step-N/          the models of the lowest held-out losses (trainer.keep_best)
  trainer/checkpoints/step-N/   weights, moments and state to go on from
  steps/train.json              time and memory

Stopped or killed, the same command goes on from the newest whole checkpoint with the same numbers; a finished training
is skipped. A training of another configuration, model or dataset in the same folder is refused: --resume never removes
it and starts over.`,
		Example: "  profuser-trainer train fusion.yaml\n  profuser-trainer train fusion.yaml --set preset=simul --out out/simul\n  profuser-trainer train fusion.yaml --set trainer.learning_rate=3e-4 --out out/slow",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				f.config = args[0]
			}
			return train(c.Context(), f, c.OutOrStdout())
		},
	}
	c.Flags().SortFlags = false
	c.Flags().StringVar(&f.config, "config", "fusion.yaml", "the configuration, when it is not an argument")
	c.Flags().StringVar(&f.data, "data", "", "folder or bucket (gs://, s3://) that the fusion datasets are read from, instead of out")
	c.Flags().StringVar(&f.out, "out", "", "local out folder instead of the configuration's")
	c.Flags().StringArrayVar(&f.set, "set", nil, "key=value that replaces one of the configuration; may be repeated")
	c.Flags().StringVar(&f.resume, "resume", "auto", "auto: go on from the newest checkpoint; never: remove earlier results and start over")
	c.Flags().IntVar(&f.checkpointSteps, "checkpoint-steps", 0, "steps between checkpoints (0: one a minute); epochs end with one anyway")
	c.Flags().BoolVar(&f.force, "force", false, "train although the memory estimate says that it will not fit")
	c.Flags().IntVar(&f.stopAfter, "stop-after", 0, "stop after so many steps, with a checkpoint (0: at the end)")
	return c
}

// train runs one training and writes its step file.
func train(ctx context.Context, f trainFlags, log io.Writer) error {
	if f.resume != "auto" && f.resume != "never" {
		return usageError{fmt.Errorf("flag --resume: %q; auto and never are known", f.resume)}
	}
	c, err := config.Load(f.config, f.set)
	if err != nil {
		return err
	}
	if f.out != "" {
		c.Out = f.out
	}
	if strings.Contains(c.Out, "://") {
		return fmt.Errorf("out is %[1]s: the trainer writes model and checkpoints to a local folder: give --data %[1]s --out FOLDER", c.Out)
	}
	o, err := trainOptions(ctx, c, f, log)
	if err != nil {
		return err
	}
	started := time.Now()
	result, err := fusing.Run(ctx, o)
	if err != nil || result.Skipped {
		return err
	}
	return writeStep(filepath.Join(c.Out, "steps", "train.json"), step{Step: "train", Seconds: result.Seconds, Rows: result.Rows, Started: started.UTC().Format(time.RFC3339)})
}

// trainOptions takes the configuration's values over.
func trainOptions(ctx context.Context, c *config.Config, f trainFlags, log io.Writer) (fusing.Options, error) {
	target, ok := c.Model(c.Target.Model)
	if !ok {
		return fusing.Options{}, errors.New("target.model: names no model")
	}
	dir := cmp.Or(target.Path, target.Tokenizer) // a served target's tokenizer may lie beside its weights
	if _, err := os.Stat(filepath.Join(dir, "config.json")); err != nil {
		return fusing.Options{}, fmt.Errorf("target.model: only a model whose weights are here can be trained, and %q has no config.json: give %s a path, or beside its endpoint a tokenizer whose folder is the model's", dir, target.Name)
	}
	stages, err := c.Curriculum.Plan()
	if err != nil {
		return fusing.Options{}, err
	}
	store, err := dataset.OpenStore(ctx, cmp.Or(f.data, c.Out))
	if err != nil {
		return fusing.Options{}, err
	}
	optimizer := optim.Default()
	optimizer.WeightDecay, optimizer.Clip, optimizer.Moments = c.Trainer.WeightDecay, c.Trainer.Clip, c.Trainer.Moments
	var lambda *float64
	if l := float64(c.Objective.Lambda); c.Objective.Lambda != config.None {
		lambda = &l
	}
	status := c.Objective.StatusWeights
	teaching := objective.Teaching{Kind: c.Objective.Kind, Divergence: c.Objective.Divergence, Rest: c.Objective.Rest, Temperature: c.Objective.Temperature}
	if teaching.Kind == objective.ALM {
		teaching.Temperature = c.Objective.ChunkTemperature
	}
	return fusing.Options{
		Store: store, Out: c.Out, Target: dir,
		Format:       chat.Options{ChatTemplate: target.ChatTemplate, EndOfTurn: target.EndOfTurn, BOS: target.BOS},
		ConfigDigest: c.Digest("train"), Settings: c.Training(), About: about(c), Fused: c.Depends("fuse"), Seed: c.Seed, Holdout: c.Prompts.Holdout,
		Beta: max(0, float64(c.Objective.Beta)), Lambda: lambda, Normalize: c.Objective.Normalize, Stages: stages,
		StatusWeights:  fusing.StatusWeights{schemas.StatusExact: status.Exact, schemas.StatusBoundary: status.Boundary, schemas.StatusInner: status.Inner, schemas.StatusOneHot: status.OneHot},
		Adaptive:       curriculum.Settings(c.Curriculum.Adaptive),
		ExampleWeights: c.Objective.ExampleWeights, RewardTemperature: c.Objective.RewardTemperature,
		Teaching:     teaching,
		BatchPrompts: c.Trainer.BatchPrompts, MaxLength: c.Trainer.MaxLength, Packing: c.Trainer.Packing, LearningRate: c.Trainer.LearningRate, Warmup: c.Trainer.Warmup,
		Precision: c.Trainer.Precision, Recompute: c.Trainer.GradientCheckpointing, Devices: c.Trainer.Devices,
		LoRA: adapters(c.Trainer.LoRA), SaveAdapter: c.Trainer.LoRA.Save == "adapter", ShardBytes: int64(c.Trainer.ShardBytes), KeepBest: c.Trainer.KeepBest,
		Optimizer: optimizer, Backend: c.Trainer.Backend, KeepLast: c.Trainer.KeepLast, KeepEpochs: c.Trainer.KeepEpochs, MaxBadSteps: c.Trainer.MaxBadSteps,
		EvaluateSteps: c.Trainer.EvaluateSteps, EvaluatePrompts: c.Trainer.EvaluatePrompts, Samples: c.Trainer.Samples, SampleTokens: c.Evaluate.MaxNewTokens, PeakFlops: c.Trainer.PeakFlops,
		CheckpointSteps: f.checkpointSteps, StopAfter: f.stopAfter, Force: f.force, DeviceMemory: int64(c.Trainer.DeviceMemory), MicroPositions: c.Trainer.MicroPositions, Fresh: f.resume == "never", Log: log,
	}, nil
}

// adapters are the options of trainer.lora, nil where all weights are trained.
func adapters(l config.LoRA) *lora.Options {
	if l.Rank == 0 {
		return nil
	}
	return &lora.Options{Rank: l.Rank, Alpha: l.Alpha, Targets: l.Targets}
}

// about lists the models that have a part in the result.
func about(c *config.Config) card.About {
	a := card.About{Target: c.Target.Model}
	add := func(role string, names ...string) {
		for _, name := range names {
			m, _ := c.Model(name)
			is := filepath.Base(m.Path)
			if m.Endpoint != nil {
				is = m.Endpoint.Model + " (served)"
			} else if m.Imported {
				is = "imported"
			}
			a.Models = append(a.Models, card.Model{Name: name, Role: role, Is: is})
		}
	}
	add("target", c.Target.Model)
	add("source", c.Sources...)
	add("reward model", c.Reward.Models...)
	return a
}
