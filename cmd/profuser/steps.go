package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/pipelines"
	"github.com/profuser/profuser/pipelines/changes"
	"github.com/profuser/profuser/pipelines/worker"
)

// flags are those that every command with a configuration has.
type flags struct {
	config, out string
	set         []string
	print       bool
}

// command makes a command that takes fusion.yaml as its argument or by --config.
func command(use, short, long string, work func(ctx context.Context, c *config.Config, out io.Writer) error) *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   use + " [fusion.yaml]",
		Short: short,
		Long:  long,
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				f.config = args[0]
			}
			c, err := config.Load(f.config, f.set)
			if err != nil {
				return err
			}
			if f.out != "" {
				c.Out = f.out
			}
			if f.print {
				return c.Print(cmd.OutOrStdout())
			}
			return work(cmd.Context(), c, cmd.OutOrStdout())
		},
	}
	c.Flags().SortFlags = false
	c.Flags().StringVar(&f.config, "config", "fusion.yaml", "the configuration, when it is not an argument")
	c.Flags().StringVar(&f.out, "out", "", "where to write instead of the configuration's out: a local folder, gs:// or s3://")
	c.Flags().StringArrayVar(&f.set, "set", nil, "key=value that replaces one of the configuration; may be repeated")
	c.Flags().BoolVar(&f.print, "print-config", false, "print the resolved configuration and do nothing else")
	return c
}

// jobCommand makes a command that runs jobs: flags of the runner replace keys of the configuration's section.
func jobCommand(use, short, long string, work func(ctx context.Context, c *config.Config, out io.Writer) error) *cobra.Command {
	var values [5]string
	var options []string
	var retries int
	names := [5]string{"runner", "endpoint", "environment", "environment-config", "worker-binary"}
	c := command(use, short, long, work)
	inner := c.RunE
	c.RunE = func(cmd *cobra.Command, args []string) error {
		set := func(key, value string) error {
			return cmd.Flags().Set("set", fmt.Sprintf("runner.%s=%q", key, value))
		}
		for i, key := range []string{"name", "endpoint", "environment", "environment_config", "worker_binary"} {
			if cmd.Flags().Changed(names[i]) {
				if key == "worker_binary" && values[i] != "" { // a flag's path is relative to the current folder
					values[i], _ = filepath.Abs(values[i]) // else the configuration says that it is not there
				}
				if err := set(key, values[i]); err != nil {
					return err
				}
			}
		}
		for _, option := range options {
			key, value, ok := strings.Cut(option, "=")
			if !ok || key == "" || strings.Contains(key, ".") {
				return usageError{fmt.Errorf("--runner-option %s: want NAME=VALUE", option)}
			}
			if err := set("options."+key, value); err != nil {
				return err
			}
		}
		if cmd.Flags().Changed("retries") {
			if err := cmd.Flags().Set("set", fmt.Sprint("runner.retries=", retries)); err != nil {
				return err
			}
		}
		return inner(cmd, args)
	}
	for i, text := range []string{
		"where jobs run: prism (this process), direct, portable, flink or dataflow; docs/runners.md tells more",
		"the job server of runner portable or flink, host:port",
		"who starts workers: LOOPBACK (this process), PROCESS, EXTERNAL or DOCKER",
		"the environment's own: a command, a worker pool's host:port or an image",
		"the program sent to workers instead of this one",
	} {
		c.Flags().StringVar(&values[i], names[i], "", text)
	}
	c.Flags().StringArrayVar(&options, "runner-option", nil, "NAME=VALUE, an option of the runner itself; may be repeated")
	c.Flags().IntVar(&retries, "retries", 0, "how often a step whose job failed is submitted again; finished parts are kept")
	return c
}

// newWorkerPool serves a pool of workers.
func newWorkerPool() *cobra.Command {
	var address string
	c := &cobra.Command{
		Use:   "worker-pool",
		Short: "Start workers for a runner that asks for them (--environment EXTERNAL), until interrupted",
		Long: "Serve Beam's external worker pool: a runner asks for a worker and gets a process of this program. The processes end with\n" +
			"their job, and all of them with the pool. Keys of endpoints, PROFUSER_API_KEY, belong into the environment of this command.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return worker.Serve(cmd.Context(), address, cmd.OutOrStdout())
		},
	}
	c.Flags().StringVar(&address, "address", "localhost:50000", "where to listen")
	return c
}

// explained says what each step does.
var explained = map[string]string{
	"ingest":                 "Read the prompt files: validate, normalise, give ids, drop duplicates, cut into parts (prompts/)",
	"generate":               "Let the target and every source answer every prompt (generations/<source>/)",
	"reward":                 "Let every reward model score every answer (rewards/<reward model>/)",
	"crossentropy":           "Teacher-force the target and every source on the references (crossentropy/<source>/)",
	"crossentropy-responses": "Let the target read every answer, for advantage.inference.method perplexity, for align.method transport, and nothing else (crossentropy-responses/<source>/)",
	"fuse":                   "Pick the winners and align their distributions to the target's tokens (selections/, fusion/)",
	"evaluate":               "Answer the held-out items with the target, the sources and, once trained, the fused model (evaluation/)",
}

// newStep is one step alone.
func newStep(name string) *cobra.Command {
	return newStepOf(name, func(ctx context.Context, c *config.Config, out io.Writer) (*pipelines.Run, string, error) {
		r, err := pipelines.New(ctx, c, out)
		return r, name, err
	})
}

// newStepOf is a command for a step; open prepares the run and says which step it is to make.
func newStepOf(name string, open func(ctx context.Context, c *config.Config, out io.Writer) (*pipelines.Run, string, error)) *cobra.Command {
	var refresh bool
	var again changes.Again
	var addr string
	c := jobCommand(name, explained[name], explained[name]+".\n\nFinished parts are kept: the same command goes on where an earlier one was stopped, and does nothing when all is done.",
		func(ctx context.Context, c *config.Config, out io.Writer) error {
			r, step, err := open(ctx, c, out)
			if err != nil {
				return err
			}
			r.MayRedo(again)
			if refresh {
				r.RefreshStatistics()
			}
			r.ServeMetrics(addr)
			return r.Do(ctx, step)
		})
	addMetrics(c, &addr)
	if name == "fuse" {
		addRefresh(c, &refresh)
	}
	addAgain(c, &again)
	return c
}

// addMetrics adds the flag of commands that run jobs.
func addMetrics(c *cobra.Command, addr *string) {
	c.Flags().StringVar(addr, "metrics-addr", "", "HOST:PORT to serve a status page (/), Prometheus metrics (/metrics) and /healthz at while the command works; port 0 takes a free one")
}

// addRefresh adds the flag of commands that fuse.
func addRefresh(c *cobra.Command, refresh *bool) {
	c.Flags().BoolVar(refresh, "refresh-stats", false, "make the statistics of scores (rewards/_STATS.json) and the fusion datasets, which depend on them, again")
}

// newRun is all steps of the data side.
func newRun() *cobra.Command {
	var refresh bool
	var again changes.Again
	var addr string
	c := jobCommand("run", "Make all steps from prompts to the fusion dataset, and evaluate the models before training",
		"Make the steps ingest, generate, reward, crossentropy (crossentropy-responses, if needed), fuse and evaluate, in this order. Everything is checked before\nthe first one starts. Finished work is kept: the same command goes on where an earlier one was stopped.",
		func(ctx context.Context, c *config.Config, out io.Writer) error {
			r, err := pipelines.New(ctx, c, out)
			if err != nil {
				return err
			}
			r.MayRedo(again)
			if refresh {
				r.RefreshStatistics()
			}
			r.ServeMetrics(addr)
			if err := r.Do(ctx, pipelines.Steps...); err != nil {
				return err
			}
			fmt.Fprintf(out, "\nThe fusion dataset is in %s/fusion. Next: profuser-trainer train, profuser evaluate, profuser report.\n", r.Store().URL())
			return nil
		})
	addMetrics(c, &addr)
	addRefresh(c, &refresh)
	addAgain(c, &again)
	return c
}

// addAgain adds the flags that say what may become of changed datasets.
func addAgain(c *cobra.Command, again *changes.Again) {
	c.Flags().BoolVar(&again.Redo, "redo-changed", false, "make changed datasets again, exactly those; the old ones stay until the new ones are complete")
	c.Flags().BoolVar(&again.Overwrite, "overwrite", false, "remove changed datasets first, and make them again")
	c.MarkFlagsMutuallyExclusive("redo-changed", "overwrite")
}

// newStatus shows how far everything is.
func newStatus() *cobra.Command {
	return command("status", "Show how far each dataset is: state, parts, rows, rejects, size, age",
		"Print a table of the datasets that the configuration makes, and why changed ones are changed. Models are not looked at,\nnothing is written, and a run may be going on: parts that are there count.\n\n"+
			"States: finished; unfinished (parts or the manifest are missing); changed (made with another configuration or other input\nfiles); stale (what it was made from was made again, or is to be); absent.",
		func(ctx context.Context, c *config.Config, out io.Writer) error {
			return changes.Status(ctx, c, out)
		})
}

// onSteps lets a command take names of steps beside the configuration.
func onSteps(c *cobra.Command, steps *[]string) *cobra.Command {
	c.Use = strings.Replace(c.Use, " [", " [STEP…] [", 1)
	c.Args = cobra.ArbitraryArgs
	run := c.RunE
	c.RunE = func(cmd *cobra.Command, args []string) error {
		var rest []string
		for _, a := range args {
			if slices.Contains(pipelines.Steps, a) {
				*steps = append(*steps, a)
			} else {
				rest = append(rest, a)
			}
		}
		if len(rest) > 1 {
			return usageError{fmt.Errorf("%s: want names of steps (%s) and at most one configuration, found %q", c.Name(), strings.Join(pipelines.Steps, ", "), rest)}
		}
		return run(cmd, rest)
	}
	return c
}

// newRetryRejected makes parts with rejects again.
func newRetryRejected() *cobra.Command {
	var steps []string
	return onSteps(command("retry-rejected", "Make the parts that contain rejects again, and what was made from them",
		"Make every part that contains rejects again, in the steps given or in all, and then what was made from these parts. The\nold parts stay until the new ones are complete. Rows that were answered before come from the response cache\n(models[].endpoint.cache), where there is one. Rejected input rows are mended in the input file instead.",
		func(ctx context.Context, c *config.Config, out io.Writer) error {
			r, err := pipelines.New(ctx, c, out)
			if err != nil {
				return err
			}
			return r.RetryRejected(ctx, steps)
		}), &steps)
}

// newClean removes the datasets of steps.
func newClean() *cobra.Command {
	var steps []string
	var yes bool
	c := onSteps(command("clean", "Remove the datasets of steps",
		"Remove the datasets of the steps given, or of all, after listing them and what is made from them. The response cache,\ntrained models, reports and input files stay. Asks on a terminal; elsewhere --yes is needed.",
		func(ctx context.Context, c *config.Config, out io.Writer) error {
			return changes.Clean(ctx, c, steps, out, func() (bool, error) {
				if yes {
					return true, nil
				}
				return confirmed(os.Stdin, out)
			})
		}), &steps)
	c.Flags().BoolVar(&yes, "yes", false, "remove without asking")
	return c
}

// confirmed asks on a terminal.
func confirmed(in *os.File, out io.Writer) (bool, error) {
	info, err := in.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false, errors.New("clean: nobody can be asked here; --yes removes them")
	}
	fmt.Fprint(out, "remove them? [y/N] ")
	var answer string
	if _, err := fmt.Fscanln(in, &answer); err != nil {
		return false, nil // an empty answer is a no
	}
	return strings.HasPrefix(strings.ToLower(answer), "y"), nil
}

// newInit writes a first configuration.
func newInit() *cobra.Command {
	return &cobra.Command{
		Use:   "init [fusion.yaml]",
		Short: "Write a commented configuration to start from",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "fusion.yaml"
			if len(args) == 1 {
				path = args[0]
			}
			if err := config.WriteInit(path); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "wrote %s; its comments say what each key means\n", path)
			return nil
		},
	}
}
