package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/profuser/profuser/fusion/harness"
	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/models/probe"
	"github.com/profuser/profuser/models/processor"
	"github.com/profuser/profuser/pipelines"
	"github.com/profuser/profuser/pipelines/checkpoints"
	"github.com/profuser/profuser/pipelines/exam"
)

// modelFlags choose one model, for commands without a configuration.
type modelFlags struct {
	dir     string
	options engine.Options
}

func (f *modelFlags) add(c *cobra.Command) {
	c.Flags().SortFlags = false
	c.Flags().StringVar(&f.dir, "model", "", "the model's directory: config.json, tokenizer.json, weights")
	c.Flags().StringVar(&f.options.Format.ChatTemplate, "chat-template", "auto", "the model's own template, or chatml, llama-2, vicuna")
	c.Flags().StringVar(&f.options.Format.EndOfTurn, "end-of-turn", "auto", "the token that ends an answer")
	c.Flags().StringVar(&f.options.Backend, "backend", processor.Default, "what computes: "+processor.Default+", or xla:/path/to/plugin.so in a binary of make build-xla")
}

// use opens the model for work and closes it after.
func (f *modelFlags) use(work func(e *engine.Engine) error) (err error) {
	if f.dir == "" {
		return usageError{errors.New("flag --model: a model's directory is needed")}
	}
	e, err := engine.Open(f.dir, f.options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	return work(e)
}

// newScore lets a model read texts.
func newScore() *cobra.Command {
	var f modelFlags
	var o probe.Options
	c := &cobra.Command{
		Use:   "score --model DIR [rows.jsonl]",
		Short: "Say what a model thinks of every token of given texts, as JSON lines",
		Long: "Read JSON lines from a file or standard input, and write one for each.\n\n" +
			"  {\"ids\": […]}, {\"text\": …}       tokens, or a text that becomes tokens without special ones; the second and later\n" +
			"                                  ones are judged\n" +
			"  {\"messages\": …, \"response\": …}  an answer in a conversation, its end-of-turn judged too\n\n" +
			"Written are ids, token_logprobs, top_ids and top_logprobs (the most probable tokens of each distribution that the\n" +
			"log-probs were read from; for ids and text also of the one after the last token), nats, bytes and nats_per_byte.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.TopK < 0 {
				return usageError{fmt.Errorf("flag --top-k: %d must not be negative", o.TopK)}
			}
			return f.use(func(e *engine.Engine) (err error) {
				var in io.Reader = cmd.InOrStdin()
				if len(args) == 1 && args[0] != "-" {
					file, err := os.Open(args[0])
					if err != nil {
						return fmt.Errorf("reading rows to score: %w", err)
					}
					defer file.Close()
					in = file
				}
				return probe.ScoreLines(cmd.Context(), e, in, cmd.OutOrStdout(), o)
			})
		},
	}
	f.add(c)
	c.Flags().IntVar(&o.TopK, "top-k", 5, "how many of the most probable tokens to list at each place")
	c.Flags().BoolVar(&o.Logits, "logits", false, "also list the raw logits of every distribution")
	return c
}

// newSample lets a model continue a text.
func newSample() *cobra.Command {
	var f modelFlags
	var q probe.Question
	f.options.BatchRows = 1
	var asJSON bool
	c := &cobra.Command{
		Use:   "sample --model DIR --prompt TEXT",
		Short: "Let a model continue a text, or answer it",
		Long:  "Continue a text at temperature 1, or greedily. With --chat the text is what a user says.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if q.Prompt == "" {
				return usageError{errors.New("flag --prompt: a text is needed")}
			}
			if q.MaxTokens < 1 {
				return usageError{fmt.Errorf("flag --max-tokens: %d must be positive", q.MaxTokens)}
			}
			return f.use(func(e *engine.Engine) error {
				s, err := probe.Continue(cmd.Context(), e, q)
				if err != nil {
					return err
				}
				if asJSON {
					w := json.NewEncoder(cmd.OutOrStdout())
					w.SetEscapeHTML(false)
					return w.Encode(s)
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), s.Text)
				return err
			})
		},
	}
	f.add(c)
	c.Flags().StringVar(&q.Prompt, "prompt", "", "the text")
	c.Flags().BoolVar(&q.Chat, "chat", false, "render the text as a user's turn")
	c.Flags().BoolVar(&q.Greedy, "greedy", false, "take the most probable token at every step")
	c.Flags().Int64Var(&q.Seed, "seed", 0, "of the draws")
	c.Flags().IntVar(&q.MaxTokens, "max-tokens", 64, "the longest continuation in tokens")
	c.Flags().BoolVar(&asJSON, "json", false, "write {\"prompt_ids\", \"ids\", \"text\"} instead of the text")
	return c
}

// newEvaluate is the step evaluate of a configuration, with --reward what reward models say of its checkpoints, or with --task
// a public benchmark of one model.
func newEvaluate() *cobra.Command {
	var o exam.Options
	var rewarded bool
	c := newStepOf("evaluate", func(ctx context.Context, c *config.Config, out io.Writer) (*pipelines.Run, string, error) {
		if rewarded {
			r, err := checkpoints.Open(ctx, c, o.Model, out)
			return r, checkpoints.Step, err
		}
		r, err := pipelines.New(ctx, c, out)
		return r, "evaluate", err
	})
	c.Flags().BoolVar(&rewarded, "reward", false, "let reward.models score the answers of the target, of each epoch's model (trainer.keep_epochs) and of the final one")
	step := c.RunE
	before := map[string]bool{}
	c.Flags().VisitAll(func(f *pflag.Flag) { before[f.Name] = true })
	c.Long = "Answer the held-out items of a configuration (evaluate.files) with the target, the sources and, once trained, the fused\n" +
		"model. Finished parts are kept: the same command goes on where an earlier one was stopped.\n\n" +
		"With --reward: let the target, the model of each epoch and the final model answer the items (any prompts), and the reward\n" +
		"models score the answers. Written are evaluation/rewards.json and rewards.md: mean and standard deviation by epoch. With\n" +
		"--model DIR too: of this model alone, which may be of any run. What is there already is not made again.\n\n" +
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
		case len(own) == 0, rewarded && slices.Equal(own, []string{"--model"}):
			return step(cmd, args)
		case rewarded:
			return usageError{fmt.Errorf("--reward: takes --model of the flags of a single model, found %s", strings.Join(own, ", "))}
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
	addExam(c, &o)
	return c
}

// addExam adds the flags of a single model and of a public benchmark.
func addExam(c *cobra.Command, o *exam.Options) {
	f := c.Flags()
	f.Lookup("endpoint").Usage += "; with --task: base addresses of the servers that run the model, between commas"
	f.StringVar(&o.Task, "task", "", "a public benchmark: arc_challenge, gsm8k, hellaswag, mmlu, truthfulqa_mc1, truthfulqa_mc2 or winogrande")
	f.StringVar(&o.Model, "model", "", "with --task or --reward: the model's directory")
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
	f.IntVar(&o.Concurrency, "concurrency", 64, "items in flight at each address of --endpoint, each a request with all its continuations where the server takes a list")
	f.Float64Var(&o.MaxRejects, "max-rejects", 0, "items that may stay without a score: below 1 a share, from 1 on a number")
	f.StringVar(&o.Backend, "backend", processor.Default, "what computes a model of a directory: "+processor.Default+", or xla:/path/to/plugin.so")
	f.BoolVar(&o.JSONL, "jsonl", false, "write items.jsonl too")
}
