package main

import (
	"github.com/spf13/cobra"

	"github.com/profuser/profuser/trainer/optim"
	"github.com/profuser/profuser/trainer/pretrain"
)

// newPretrain is next-token training on conversations.
func newPretrain() *cobra.Command {
	o := pretrain.Options{Optimizer: optim.Default()}
	c := &cobra.Command{
		Use:   "pretrain --data FILE[,FILE…] --out DIR (--init DIR | --config FILE --tokenizer DIR)",
		Short: "Train a language model on conversations",
		Long: `Train a language model on conversations: JSON lines {"messages": [{"role", "content"}, …]} whose last message is
the assistant's. The loss is that answer's and its end-of-turn token's. A new model needs a config.json and a
directory with tokenizer files; --init starts from a model directory and keeps its tokenizer.

The result is a Hugging Face model directory. Without --steps or --tokens the training is one pass over the data.
The same command gives the same model.`,
		Example: "  profuser-trainer pretrain --data talk.jsonl --config config.json --tokenizer tokenizers/llama --tokens 2000000 --out models/base",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Log = c.OutOrStdout()
			return pretrain.Conversations(c.Context(), o)
		},
	}
	flags(c, &o)
	c.Flags().StringVar(&o.Config, "config", "", "config.json of a new model (LlamaForCausalLM or MptForCausalLM)")
	c.Flags().StringVar(&o.Tokenizer, "tokenizer", "", "directory with the tokenizer files of a new model")
	return c
}

// newReward is training on preference pairs.
func newReward() *cobra.Command {
	o := pretrain.Options{Optimizer: optim.Default()}
	c := &cobra.Command{
		Use:   "reward --data FILE[,FILE…] --out DIR --init DIR",
		Short: "Train a reward model on preference pairs",
		Long: `Train a reward model: JSON lines {"messages": […], "chosen": "…", "rejected": "…"}. The loss is Bradley-Terry,
-log sigmoid(score of chosen - score of rejected), on a scalar head at the last token, plus --language-model times the
next-token loss on the chosen answer. --init is the language model (or reward model) to start from.

The result is a LlamaForSequenceClassification directory with num_labels 1.`,
		Example: "  profuser-trainer reward --data pairs.jsonl --init models/base --tokens 800000 --language-model 0.5 --out models/judge",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Log = c.OutOrStdout()
			return pretrain.Reward(c.Context(), o)
		},
	}
	flags(c, &o)
	c.Flags().Float64Var(&o.LanguageModel, "language-model", 0, "weight of the next-token loss on the chosen answer (needs tied embeddings)")
	return c
}

// flags are those that both trainings have.
func flags(c *cobra.Command, o *pretrain.Options) {
	f := c.Flags()
	f.SortFlags = false
	f.StringSliceVar(&o.Data, "data", nil, "JSON-lines files, separated by commas")
	f.StringSliceVar(&o.HeldOut, "held-out", nil, "files of the same kind that are only read at the end; their loss is printed")
	f.StringVar(&o.Out, "out", "", "model directory to write")
	f.StringVar(&o.Init, "init", "", "model directory to start from")
	f.IntVar(&o.Steps, "steps", 0, "optimizer steps (0: by --tokens)")
	f.Int64Var(&o.Tokens, "tokens", 0, "tokens to train on, padding not counted (0: one pass over the data)")
	f.IntVar(&o.BatchTokens, "batch-tokens", 3072, "positions of a batch: rows times the length of their bucket")
	f.IntVar(&o.MaxLength, "max-length", 0, "longest sequence in tokens, longer texts are cut (0: the model's context)")
	f.Float64Var(&o.LearningRate, "learning-rate", 3e-3, "peak learning rate; a cosine takes it to a tenth")
	f.IntVar(&o.Warmup, "warmup", 40, "warm-up steps")
	f.Float64Var(&o.Optimizer.WeightDecay, "weight-decay", o.Optimizer.WeightDecay, "decay of matrices, times the learning rate")
	f.Float64Var(&o.Optimizer.Clip, "clip", o.Optimizer.Clip, "largest gradient norm (0: no clipping)")
	f.Int64Var(&o.Seed, "seed", 1, "seed of new weights and of the order of examples")
	f.StringVar(&o.DType, "dtype", "bfloat16", "storage type of the result: bfloat16, float32 or float16")
	f.StringVar(&o.Backend, "backend", "", "GoMLX backend (default go:ops_sequential)")
}
