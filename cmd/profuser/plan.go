package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/pipelines/plan"
	"github.com/profuser/profuser/pipelines/survey"
)

// tolerance is how far a plan's numbers may be off, as a share, when it is compared with a run.
const tolerance = 0.2

// planning is what profuser plan is told besides the configuration.
type planning struct {
	sample, probe int
	offline, json bool
	compare       string
	shown         io.Writer // what a probe shows
}

// newPlan estimates a run.
func newPlan() *cobra.Command {
	p := planning{sample: -1}
	c := command("plan", "Say what a run will take before it is paid for: rows, requests, tokens, bytes, hours, cost",
		"Count the tokens of a sample of the prompts with every model's tokenizer, and print for every step rows, requests, tokens, bytes on\n"+
			"disk and through the shuffle, GPU hours, time and cost, with everything that the numbers rest on: the section plan of the\n"+
			"configuration (--set plan.response_tokens=400), or what earlier results under out, or a probe, have measured. Then check every\n"+
			"precondition: files, models, servers, places to write. Exit status 1 if one fails.",
		func(ctx context.Context, c *config.Config, out io.Writer) error { return p.run(ctx, c, out) })
	work := c.RunE
	c.RunE = func(cmd *cobra.Command, args []string) error {
		p.shown = cmd.ErrOrStderr()
		return work(cmd, args)
	}
	c.Flags().IntVar(&p.sample, "sample", -1, "prompts to read for their numbers of tokens, drawn evenly; 0 reads all (default: plan.sample)")
	c.Flags().IntVar(&p.probe, "probe", 0, "answer so many prompts first, in a folder that is removed, and use what they measure; 128 or more fill an endpoint")
	c.Flags().BoolVar(&p.offline, "offline", false, "ask no server and no bucket: their checks are skipped, and the table says so")
	c.Flags().BoolVar(&p.json, "json", false, "print JSON")
	c.Flags().StringVar(&p.compare, "compare", "", "the out folder of a finished run: print the plan beside what it has, and fail where they differ by more than 20 %")
	return c
}

func (p planning) run(ctx context.Context, c *config.Config, out io.Writer) error {
	if p.sample >= 0 {
		c.Plan.Sample = p.sample
	}
	switch {
	case p.probe < 0:
		return usageError{fmt.Errorf("--probe is %d, want the number of prompts to answer", p.probe)}
	case p.probe > 0 && p.offline:
		return usageError{fmt.Errorf("--probe asks the models' servers, which --offline forbids: want one of the two")}
	}
	found, err := survey.Look(ctx, c)
	if err != nil {
		return err
	}
	var measured plan.Measured
	switch {
	case p.probe > 0:
		measured, err = survey.Probe(ctx, c, p.probe, p.shown)
	case !p.offline || survey.IsLocal(c.Out):
		measured, err = survey.Measure(ctx, c, c.Out, survey.PartsRead)
	}
	if err != nil {
		return err
	}
	made := plan.Make(c, found, measured)
	if p.compare != "" {
		truth, err := survey.Measure(ctx, c, p.compare, 0)
		if err != nil {
			return err
		}
		return plan.WriteComparison(out, plan.Compare(made, truth), tolerance)
	}
	made.Checks = survey.Checks(ctx, c, p.offline)
	if p.json {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(made)
	} else {
		err = made.Write(out)
	}
	if err != nil {
		return err
	}
	if n := made.Faults(); n > 0 {
		return fmt.Errorf("%d of %d preconditions are not met", n, len(made.Checks))
	}
	return nil
}
