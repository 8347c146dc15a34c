package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/internal/inspect"
	"github.com/profuser/profuser/internal/report"
	"github.com/profuser/profuser/internal/report/compare"
	"github.com/profuser/profuser/internal/report/scores"
)

// newInspect shows datasets and files.
func newInspect() *cobra.Command {
	var rows int
	c := &cobra.Command{
		Use:   "inspect PATH",
		Short: "Show what a dataset or a Parquet file holds: schema, counts, sizes, metadata, first rows",
		Long: "PATH is a dataset's folder, a folder with datasets below it (a run's out: each in a few lines), or one .parquet file,\n" +
			"ours or somebody else's; local, gs:// or s3://.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if rows < 0 {
				return usageError{fmt.Errorf("flag --rows: %d must not be negative", rows)}
			}
			return inspect.Show(cmd.Context(), cmd.OutOrStdout(), args[0], rows)
		},
	}
	c.Flags().IntVar(&rows, "rows", 2, "how many rows to show")
	return c
}

// newValidate checks datasets and files.
func newValidate() *cobra.Command {
	var o inspect.Options
	c := &cobra.Command{
		Use:   "validate PATH",
		Short: "Check every invariant of a dataset or a Parquet file",
		Long: "PATH is a dataset's folder, a folder with datasets below it (a run's out), or one .parquet file of ours; local, gs:// or\n" +
			"s3://. Checked are manifest, headers and footers; each row's lists, ranges, sums and order; rows against the prompts of\n" +
			"the run; and with --tokenizer, that ids are in the vocabulary and tokens spell their texts. The first faults are printed,\n" +
			"one a line with file, row and column; then the exit status is 1.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Faults < 1 {
				return usageError{fmt.Errorf("flag --faults: %d must be positive", o.Faults)}
			}
			result, err := inspect.Validate(cmd.Context(), args[0], o)
			if err != nil {
				return err
			}
			for _, fault := range result.Faults {
				fmt.Fprintln(cmd.OutOrStdout(), fault)
			}
			if n := len(result.Faults); n > 0 {
				more := ""
				if result.More {
					more = " and more (--faults lists them)"
				}
				return fmt.Errorf("%s: %d faults%s in %d files", args[0], n, more, result.Files)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d files with %d rows are valid\n", args[0], result.Files, result.Rows)
			return err
		},
	}
	c.Flags().SortFlags = false
	c.Flags().BoolVar(&o.Checksums, "checksums", true, "compare files with the manifest's checksums, and parts' inputs with what is there now")
	c.Flags().StringArrayVar(&o.Tokenizers, "tokenizer", nil, "a model's directory or tokenizer.json; rows over its vocabulary are checked with it; may be repeated")
	c.Flags().IntVar(&o.Faults, "faults", 10, "how many faults to list")
	return c
}

// newReport writes the report.
func newReport() *cobra.Command {
	var rewards []string
	var methods, other string
	c := command("report", "Write report.html, its figures and summary.json, and print the final table",
		"Read everything under the out folder and write report.html (self-contained), report/ (every figure as SVG and CSV), summary.json\nand life-of-a-prompt.md there. Works before training too: the report says what is missing.",
		func(ctx context.Context, c *config.Config, out io.Writer) error {
			store, err := dataset.OpenStore(ctx, c.Out)
			if err != nil {
				return err
			}
			o, err := reportOptions(rewards, methods)
			if err != nil {
				return err
			}
			if other == "" {
				return report.Write(ctx, c, store, o, out)
			}
			runs, err := otherRun(ctx, c, store, other)
			if err != nil {
				return fmt.Errorf("--compare %s: %w", other, err)
			}
			if err := report.Write(ctx, c, store, o, out); err != nil {
				return err
			}
			return compare.Write(ctx, runs[0], runs[1], out)
		})
	c.Flags().StringArrayVar(&rewards, "rewards", nil, "NAME=FILE: draw another run's evaluation/rewards.json in figure 4, under that name; may be repeated")
	c.Flags().StringVar(&methods, "methods", "", "CSV `FILE` with the columns method, score and sd: benchmark scores of models trained with each advantage method, for figure 3")
	c.Flags().StringVar(&other, "compare", "", "`OTHER`: another run's out folder (local, gs:// or s3://) or configuration: also write report-compare.html and report-compare.json, which set this run against it")
	return c
}

// otherRun names this run and the one that --compare gives, by the last parts of their folders that differ.
func otherRun(ctx context.Context, c *config.Config, store dataset.Store, other string) (runs [2]compare.Run, err error) {
	out := other
	if ext := filepath.Ext(other); ext == ".yaml" || ext == ".yml" {
		theirs, err := config.Load(other, nil)
		if err != nil {
			return runs, err
		}
		out = theirs.Out
	}
	if filepath.Clean(out) == filepath.Clean(c.Out) {
		return runs, fmt.Errorf("both runs lie in %s: want another one's", out)
	}
	theirs, err := dataset.OpenStore(ctx, out)
	if err != nil {
		return runs, err
	}
	here, there := filepath.Base(c.Out), filepath.Base(out)
	if here == there {
		here, there = c.Out, out
	}
	return [2]compare.Run{{Name: here, Store: store}, {Name: there, Store: theirs}}, nil
}

// reportOptions reads the files that a report's flags name.
func reportOptions(rewards []string, methods string) (o report.Options, err error) {
	for _, r := range rewards {
		name, file, ok := strings.Cut(r, "=")
		if !ok || name == "" {
			return o, fmt.Errorf("--rewards %s: want NAME=FILE", r)
		}
		epochs, err := readFile(file, scores.Epochs)
		if err != nil {
			return o, fmt.Errorf("--rewards %s: %w", r, err)
		}
		o.Runs = append(o.Runs, scores.Run{Name: name, Epochs: epochs})
	}
	if methods != "" {
		if o.Methods, err = readFile(methods, scores.Methods); err != nil {
			return o, fmt.Errorf("--methods: %w", err)
		}
	}
	return o, nil
}

// readFile parses a file.
func readFile[T any](name string, parse func(r io.Reader, file string) ([]T, error)) ([]T, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parse(f, name)
}
