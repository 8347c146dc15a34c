package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/profuser/profuser/fusion/harness"
	"github.com/profuser/profuser/models/processor"
	"github.com/profuser/profuser/pipelines/exam"
)

// newEvaluate is the step evaluate of a configuration, or with --task a public benchmark of one model.
func newEvaluate() *cobra.Command {
	c := newStep("evaluate")
	step := c.RunE
	before := map[string]bool{}
	c.Flags().VisitAll(func(f *pflag.Flag) { before[f.Name] = true })
	var o exam.Options
	c.Long = "Answer the held-out items of a configuration (evaluate.files) with the target, the sources and, once trained, the fused\n" +
		"model. Finished parts are kept: the same command goes on where an earlier one was stopped.\n\n" +
		"With --task and a model instead of a configuration: score the model on a public benchmark, from files in the\n" +
		"published formats, with the conventions of lm-evaluation-harness " + harness.Version + ". Written are summary.json, summary.md, items.parquet\n" +
		"and with --jsonl items.jsonl in the folder --out; docs/benchmarks.md tells more.\n\n" +
		"  profuser evaluate --task arc_challenge --model DIR --items test.parquet --fewshot-file train.parquet --out DIR\n" +
		"  profuser evaluate --task truthfulqa_mc2 --endpoint URL --tokenizer DIR --items truthfulqa.csv --out DIR"
	c.RunE = func(cmd *cobra.Command, args []string) error {
		var own, others []string
		cmd.Flags().Visit(func(f *pflag.Flag) {
			switch {
			case !before[f.Name]:
				own = append(own, "--"+f.Name)
			case f.Name != "out" && f.Name != "endpoint":
				others = append(others, "--"+f.Name)
			}
		})
		switch {
		case len(own) == 0:
			return step(cmd, args)
		case o.Task == "":
			return usageError{fmt.Errorf("flag --task: is missing, which %s go with", strings.Join(own, ", "))}
		case len(args) > 0 || len(others) > 0:
			return usageError{fmt.Errorf("--task takes no configuration and none of its flags, found %q", slices.Concat(args, others))}
		}
		o.Out, _ = cmd.Flags().GetString("out")
		o.Endpoint, _ = cmd.Flags().GetString("endpoint")
		if err := o.Check(); err != nil {
			return usageError{err}
		}
		return exam.Run(cmd.Context(), o, cmd.OutOrStdout())
	}
	f := c.Flags()
	f.Lookup("endpoint").Usage += "; with --task: base addresses of the servers that run the model, between commas"
	f.StringVar(&o.Task, "task", "", "a public benchmark: arc_challenge, gsm8k, hellaswag, mmlu, truthfulqa_mc1, truthfulqa_mc2 or winogrande")
	f.StringVar(&o.Model, "model", "", "with --task: the model's directory")
	f.StringVar(&o.Tokenizer, "tokenizer", "", "with --endpoint: the directory of the tokenizer")
	f.StringVar(&o.ServedModel, "served-model", "", "with --endpoint: the model's name on the server (default: the only one)")
	f.StringVar(&o.Items, "items", "", "the benchmark's file: .jsonl, .parquet or .csv")
	f.StringVar(&o.FewShot, "fewshot-file", "", "the file of the examples before each item: the train split, MMLU's dev split")
	f.IntVar(&o.Shots, "shots", -1, "how many examples (default: the task's own)")
	f.StringVar(&o.Sampling, "fewshot-sampling", harness.FirstN, "which examples: first_n, or harness, which draws for each item as lm_eval does")
	f.StringVar(&o.Subject, "subject", "", "of mmlu: keep this subject, and give it to items without one")
	f.IntVar(&o.Limit, "limit", 0, "only so many items (of each subject), the first ones; 0 is all")
	f.BoolVar(&o.ChatTemplate, "apply-chat-template", false, "render examples and item as a conversation with the model's chat template")
	f.IntVar(&o.MaxNewTokens, "max-new-tokens", harness.MaxNewTokens, "the longest written answer (gsm8k) in tokens")
	f.IntVar(&o.Concurrency, "concurrency", 32, "requests in flight at each address of --endpoint")
	f.Float64Var(&o.MaxRejects, "max-rejects", 0, "items that may stay without a score: below 1 a share, from 1 on a number")
	f.StringVar(&o.Backend, "backend", processor.Default, "what computes a model of a directory: "+processor.Default+", or xla:/path/to/plugin.so")
	f.BoolVar(&o.JSONL, "jsonl", false, "write items.jsonl too")
	return c
}
