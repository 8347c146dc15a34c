package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/profuser/profuser/trainer/lora"
)

// newMergeAdapter adds an adapter to its base model.
func newMergeAdapter() *cobra.Command {
	var o lora.MergeOptions
	shardSize := "5GB"
	c := &cobra.Command{
		Use:   "merge-adapter --adapter DIR --out DIR [--base DIR]",
		Short: "Merge a low-rank adapter into its base model",
		Long: `Merge a LoRA adapter in PEFT's format (adapter_config.json, adapter_model.safetensors) into its base model: one that
profuser-trainer train wrote with trainer.lora.save: adapter, or another's. The result is a Hugging Face model directory with
the base's configuration, tokenizer and storage types. One tensor is in memory at a time; the folder appears whole or not at
all. Adapters that are more than products of two matrices (DoRA, biases, whole modules) are refused by name.`,
		Example: "  profuser-trainer merge-adapter --adapter out/demo/model --out out/merged",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if o.Adapter == "" {
				return usageError{fmt.Errorf("--adapter is missing: name the adapter's folder")}
			}
			if o.Out == "" {
				return usageError{fmt.Errorf("--out is missing: name the folder to make")}
			}
			if o.ShardBytes, err = parseSize(shardSize); err != nil {
				return usageError{fmt.Errorf("--shard-size %w", err)}
			}
			o.Log = c.OutOrStdout()
			return lora.Merge(o)
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&o.Adapter, "adapter", "", "the adapter's folder")
	f.StringVar(&o.Base, "base", "", "the base model's folder (default: the one that the adapter names)")
	f.StringVar(&o.Out, "out", "", "model directory to make; must not exist, or be empty")
	f.StringVar(&shardSize, "shard-size", shardSize, "largest file of weights, such as 500MB or 5GB")
	return c
}
