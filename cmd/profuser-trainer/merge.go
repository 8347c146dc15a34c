package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/profuser/profuser/trainer/merge"
	"github.com/profuser/profuser/trainer/merge/stream"
)

// newMerge merges models' weights.
func newMerge() *cobra.Command {
	var o stream.Options
	shardSize := "5GB"
	c := &cobra.Command{
		Use:   "merge --config merge.yaml --out DIR [--dry-run]",
		Short: "Merge models of one architecture: linear, SLERP, TIES, DARE and kin",
		Long: `Merge models of one architecture by arithmetic on their weights, without training. The merge file is mergekit's YAML;
what is not supported in it is refused by name (docs/merging.md). Methods:

` + methodList() + `
Weights are read piece by piece, so memory does not grow with the models. The result is a Hugging Face model directory with
the base's config.json and tokenizer, the merge file, and merge_report.jsonl: norms and sign agreement of every tensor. It
appears whole or not at all, and is the same for any number of threads.`,
		Example: "  profuser-trainer merge --config merge.yaml --out models/merged --dry-run\n  profuser-trainer merge --config merge.yaml --out models/merged",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if o.Config == "" {
				return usageError{fmt.Errorf("--config is missing: name a merge file")}
			}
			if o.Out == "" && !o.DryRun {
				return usageError{fmt.Errorf("--out is missing: name the folder to make")}
			}
			if o.ShardSize, err = parseSize(shardSize); err != nil {
				return usageError{fmt.Errorf("--shard-size %w", err)}
			}
			if o.Threads < 0 || o.Chunk < 0 {
				return usageError{fmt.Errorf("--threads and --chunk are numbers from 1 on, or 0 for the default")}
			}
			o.Log = c.OutOrStdout()
			return stream.Merge(c.Context(), o)
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&o.Config, "config", "", "merge file (YAML)")
	f.StringVar(&o.Out, "out", "", "model directory to make; must not exist, or be empty")
	f.BoolVar(&o.DryRun, "dry-run", false, "check everything, list the tensors and their sizes, write nothing")
	f.StringVar(&shardSize, "shard-size", shardSize, "largest file of weights, such as 500MB or 5GB")
	f.Uint64Var(&o.Seed, "seed", 0, "seed of the random masks of dare and della")
	f.IntVar(&o.Threads, "threads", 0, "pieces worked on at a time (0: one a processor)")
	f.IntVar(&o.Chunk, "chunk", 0, "elements read at a time (0: 65536)")
	return c
}

// methodList is a line for each method.
func methodList() string {
	var b strings.Builder
	for _, m := range merge.Methods() {
		fmt.Fprintf(&b, "  %-17s %s\n", m.Name, m.Summary)
	}
	return b.String()
}

// parseSize reads a size such as 500MB: a number and B, kB, MB, GB or TB, powers of 1000.
func parseSize(s string) (int64, error) {
	number := strings.TrimRight(strings.ToUpper(strings.TrimSpace(s)), "KMGTB")
	factor, ok := map[string]float64{"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[strings.ToUpper(strings.TrimSpace(s))[len(number):]]
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !ok || !(n > 0) || n*factor < 1 || n*factor > 1e18 {
		return 0, fmt.Errorf("is %q, want a size such as 500MB or 5GB", s)
	}
	return int64(n * factor), nil
}
