package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/profuser/profuser/internal/inspect"
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
