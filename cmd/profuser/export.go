package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/internal/export"
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
