package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/internal/export"
	"github.com/profuser/profuser/pipelines"
	"github.com/profuser/profuser/pipelines/imports"
)

// newExport writes a run's responses for other trainers.
func newExport() *cobra.Command {
	var o export.Options
	c := command("export --format FORMAT --output FILE", "Write the responses of a run for other trainers, as JSON lines or Parquet",
		"Read prompts, responses, rewards and selections under the out folder, and write one file:\n\n"+
			"  preference  pairs in TRL's conversational preference format: prompt, chosen (the winner), rejected (the lowest mean\n"+
			"              z-score), with score_chosen, score_rejected and margin\n"+
			"  sft         the winners: messages that end with the response\n"+
			"  fusesft     every candidate: messages, reward and weight, softmax(reward / temperature) over a prompt's responses\n\n"+
			"Responses that a filter dropped are in none of them.",
		func(ctx context.Context, c *config.Config, out io.Writer) error {
			if err := o.Validate(); err != nil {
				return usageError{err}
			}
			store, err := dataset.OpenStore(ctx, c.Out)
			if err != nil {
				return err
			}
			result, err := export.Write(ctx, c, store, o)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(out, "%s: %s\n", o.Output, result)
			return err
		})
	c.Flags().StringVar(&o.Format, "format", "", "preference, sft or fusesft")
	c.Flags().StringVar(&o.Output, "output", "", "the file to write, .jsonl or .parquet; it replaces an older one when it is whole")
	c.Flags().Float64Var(&o.MinMargin, "min-margin", 0, "preference: the least difference of the two scores, in standard deviations")
	c.Flags().Float64Var(&o.Temperature, "temperature", 1, "fusesft: of the weights")
	return c
}

// newImport brings what other tools made. Its arguments are the files; the configuration comes by --config.
func newImport() *cobra.Command {
	var step, source, judge string
	var files []string
	c := command("import", "Take responses or scores that other tools made, in place of generate or reward", `Read files of JSON lines, one response or score a line, and write generations/SOURCE or rewards/REWARD, so that
profuser run goes on with what remains. Prompts must be there (profuser ingest). A line names its prompt by "id" (the
prompt's, or the id that its input row had) or by the exact "messages".

  --step generate   {"id": …, "text": "the response"}; also sample, finish_reason, temperature, top_p, seed, and the lists
                    of a row of generations/ (token_ids and so on). Without these the source reads the response, if it is
                    at hand (path or endpoint); else the response teaches without distributions.
  --step reward     {"id": …, "source": "who wrote the response", "score": 1.5}; also sample.

docs/datasets.md tells more.`,
		func(ctx context.Context, c *config.Config, out io.Writer) error {
			switch {
			case step == "generate" && source == "":
				return errors.New("flag --source: is missing, want the name of the source that wrote the responses")
			case step == "reward" && judge == "":
				return errors.New("flag --reward: is missing, want the name of the reward model that gave the scores")
			case step != "generate" && step != "reward":
				return fmt.Errorf("flag --step: %q; want generate or reward", step)
			}
			r, err := pipelines.New(ctx, c, out)
			if err != nil {
				return err
			}
			if step == "generate" {
				err = imports.Responses(ctx, c, r, source, files)
			} else {
				err = imports.Scores(ctx, c, r, judge, files)
			}
			if err != nil {
				return fmt.Errorf("import: %w", err)
			}
			return nil
		})
	run := c.RunE
	c.Use = "import --step generate|reward [--source NAME | --reward NAME] FILE…"
	c.Args = cobra.MinimumNArgs(1)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		files = args
		return run(cmd, nil)
	}
	c.Flags().StringVar(&step, "step", "", "the step whose work the files hold: generate or reward")
	c.Flags().StringVar(&source, "source", "", "who wrote the responses: the target or one of sources")
	c.Flags().StringVar(&judge, "reward", "", "who gave the scores: one of reward.models")
	return c
}
