package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/profuser/profuser/fusion/align"
	"github.com/profuser/profuser/fusion/vocabulary"
	"github.com/profuser/profuser/models/alignment"
	"github.com/profuser/profuser/models/vocabularies"
)

// pairFlags choose a source and a target.
type pairFlags struct {
	source, target         string
	sourceEnd, targetEnd   []string
	method, counts, folder string
}

func (f *pairFlags) add(c *cobra.Command, methods string) {
	c.Flags().SortFlags = false
	c.Flags().StringVar(&f.source, "source", "", "the source: a model's directory, or a tokenizer.json (required)")
	c.Flags().StringVar(&f.target, "target", "", "the target: a model's directory, or a tokenizer.json (required)")
	c.Flags().StringVar(&f.method, "method", align.MethodExact, methods)
	c.Flags().StringVar(&f.counts, "counts", "", "method statistics: a file of co-alignment counts, as vocabulary --save-counts or a fusion run writes")
	c.Flags().StringVar(&f.folder, "cache", vocabularies.DefaultDir(), `where vocabulary maps are kept; "": nowhere`)
}

// open loads both sides.
func (f *pairFlags) open(cmd *cobra.Command) (source, target *alignment.Side, maps vocabularies.Store, err error) {
	maps = vocabularies.Store{Dir: f.folder, Warn: func(message string) { fmt.Fprintln(cmd.ErrOrStderr(), "profuser: warning:", message) }}
	if f.source == "" || f.target == "" {
		return nil, nil, maps, usageError{errors.New("--source and --target: each must name a model's directory, or a tokenizer.json")}
	}
	if source, err = alignment.OpenSide(f.source, f.sourceEnd); err == nil {
		target, err = alignment.OpenSide(f.target, f.targetEnd)
	}
	return source, target, maps, err
}

// readCounts reads what --counts names, nil without it.
func (f *pairFlags) readCounts() (*vocabulary.Counts, error) {
	if f.counts == "" {
		return nil, nil
	}
	data, err := os.ReadFile(f.counts)
	if err != nil {
		return nil, fmt.Errorf("reading co-alignment counts: %w", err)
	}
	counts := new(vocabulary.Counts)
	if err := counts.UnmarshalBinary(data); err != nil {
		return nil, fmt.Errorf("reading %s: %w; vocabulary --texts FILE --save-counts FILE writes new ones", f.counts, err)
	}
	return counts, nil
}

// newAlign moves distributions from a source's tokens to a target's.
func newAlign() *cobra.Command {
	var f pairFlags
	var o alignment.Options
	var pretty bool
	c := &cobra.Command{
		Use:   "align --target DIR|FILE --source DIR|FILE [--method METHOD]",
		Short: "Move a source's distributions to the target's tokens, a text a line of JSON",
		Long: `Read lines of JSON on standard input, a text with the source's tokens and distributions:

  {"text": …, "source_ids": […], "counts": […], "ids": […], "logprobs": […], "text_rank": […], "target_ids": […]}

counts cuts ids and logprobs into the entries of each of source_ids, the most probable first, the text's token among them.
text_rank is the place of the text's token there, -1 if it is from outside the top-k; without it all are inside. Without
target_ids the target tokenises the text in mid-text. The bytes of source_ids are the text, possibly with leading bytes of
a template. Written are lines in the same order:

  {"target_ids": […], "counts": […], "ids": […], "logprobs": […], "status": […]}

A status is 0 none, 1 exact, 2 boundary, 3 inner, 4 one-hot. Method transport needs the target's own distributions besides:
"target_counts", "target_top_ids", "target_logprobs". Method statistics reads all lines, counts which tokens lie beside each
other, and then aligns, or takes --counts.

A line that is malformed is told on standard error, with its number and the reason, and not written; the others are. The
exit status is 1 then.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Method = f.method
			if err := checkAlign(o, pretty); err != nil {
				return err
			}
			return runAlign(cmd, &f, o, pretty)
		},
	}
	f.add(c, "exact, or exact_match, min_edit_distance, statistics, transport")
	c.Flags().StringVar(&o.Fallback, "fallback", align.FallbackNone, "what the comparison methods give a position that copies nothing: none, next or current")
	c.Flags().IntVar(&o.TopK, "top-k", 0, "write at most so many entries of a position, and the text's token; 0: all")
	c.Flags().StringArrayVar(&f.targetEnd, "target-end", nil, "the token or id that ends the target's turn (default what its tokenizer_config.json says)")
	c.Flags().StringArrayVar(&f.sourceEnd, "source-end", nil, "the token or id that ends the source's turn; more of them may follow")
	c.Flags().BoolVar(&o.Raw, "raw-values", false, "comparison methods: copy entries as they are, any numbers in any order, row j in being row j of the rule; a one-hot is 1.0")
	c.Flags().BoolVar(&pretty, "pretty", false, "draw the tokens of both sides as rulers: = exact, < boundary, + inner, ? none, 1 one-hot")
	return c
}

// checkAlign finds faults in the command line.
func checkAlign(o alignment.Options, pretty bool) error {
	switch _, known := align.MapOf(o.Method); {
	case !known:
		return usageError{fmt.Errorf("--method %q: want exact, exact_match, min_edit_distance, statistics or transport", o.Method)}
	case o.Fallback != align.FallbackNone && o.Fallback != align.FallbackNext && o.Fallback != align.FallbackCurrent:
		return usageError{fmt.Errorf("--fallback %q: want none, next or current", o.Fallback)}
	case o.TopK < 0:
		return usageError{fmt.Errorf("--top-k %d: must not be negative", o.TopK)}
	case o.Raw && o.Method == align.MethodExact:
		return usageError{errors.New("--raw-values: method exact multiplies probabilities; choose a comparison method")}
	case o.Raw && pretty:
		return usageError{errors.New("--pretty draws texts, which --raw-values does not need; choose one of them")}
	}
	return nil
}

func runAlign(cmd *cobra.Command, f *pairFlags, o alignment.Options, pretty bool) error {
	source, target, maps, err := f.open(cmd)
	if err != nil {
		return err
	}
	o.Maps = maps
	if o.Counts, err = f.readCounts(); err != nil {
		return err
	}
	if o.Method == align.MethodStatistics && o.Counts == nil {
		var read bytes.Buffer
		o.Counts = new(vocabulary.Counts)
		if err := countRows(io.TeeReader(cmd.InOrStdin(), &read), alignment.NewCounter(source, target, o.Raw, o.Counts)); err != nil {
			return err
		}
		cmd.SetIn(&read)
	}
	a, err := alignment.NewAligner(source, target, o)
	if err != nil {
		return err
	}
	width, _ := terminal()
	first := true
	return eachRow(cmd, func(line []byte, out io.Writer) error {
		var row alignment.Row
		if err := json.Unmarshal(line, &row); err != nil {
			return err
		}
		if !pretty {
			result, err := a.Align(&row)
			if err != nil {
				return err
			}
			return writeJSON(out, result)
		}
		drawn, err := a.Draw(&row, width)
		if err != nil {
			return err
		}
		if !first {
			drawn = "\n" + drawn
		}
		first = false
		_, err = io.WriteString(out, drawn)
		return err
	})
}

// countRows counts the rows that are right; the others are told when they are aligned.
func countRows(in io.Reader, counter *alignment.Counter) error {
	return lines("standard input", in, func(_ int, line []byte) error {
		var row alignment.Row
		if json.Unmarshal(line, &row) == nil {
			_ = counter.Add(&row)
		}
		return nil
	})
}

// newVocabulary shows how a source's vocabulary is mapped to a target's.
func newVocabulary() *cobra.Command {
	var f pairFlags
	var texts, save string
	c := &cobra.Command{
		Use:   "vocabulary --source DIR|FILE --target DIR|FILE [--method METHOD]",
		Short: "Show how a source's vocabulary is mapped to the target's: coverage, worst entries, samples",
		Long: `Build the map of a method, or read it from the cache, and write what it covers, the entries that fit worst, and samples.
The cost of an entry is, by method: exact, its target tokens less one; exact_match 0; min_edit_distance (transport's map too)
the edit distance; statistics d · sigmoid(count).

Method statistics maps by a corpus: --texts names a file of lines {"text": …}, which both tokenizers read, or --counts what
was counted before.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			method, known := align.MapOf(f.method)
			if !known {
				return usageError{fmt.Errorf("--method %q: want exact, exact_match, min_edit_distance, statistics or transport", f.method)}
			}
			if method == vocabulary.MethodStatistics && (f.counts == "") == (texts == "") {
				return usageError{errors.New("--method statistics: name a corpus by --texts, or its counts by --counts")}
			}
			source, target, maps, err := f.open(cmd)
			if err != nil {
				return err
			}
			counts, err := f.readCounts()
			if err == nil && texts != "" {
				counts, err = countTexts(texts, source, target)
			}
			if err == nil && save != "" {
				err = saveCounts(save, counts)
			}
			if err != nil {
				return err
			}
			m, err := maps.Map(method, source.Tokenizer, target.Tokenizer, counts)
			if err != nil {
				return err
			}
			return alignment.Inspect(cmd.OutOrStdout(), m, source, target)
		},
	}
	f.add(c, "exact, or exact_match, min_edit_distance, statistics, transport")
	c.Flags().StringVar(&texts, "texts", "", `method statistics: a file of lines {"text": …} to count in`)
	c.Flags().StringVar(&save, "save-counts", "", "method statistics: a file for the counts")
	return c
}

// countTexts counts which tokens of a file's texts lie beside each other.
func countTexts(file string, source, target *alignment.Side) (*vocabulary.Counts, error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading texts: %w", err)
	}
	defer in.Close()
	counts := new(vocabulary.Counts)
	warper := align.NewWarper(align.MethodStatistics, vocabulary.NewStrings(source), vocabulary.NewStrings(target))
	err = lines(file, in, func(n int, line []byte) error {
		var row struct {
			Text *string `json:"text"`
		}
		err := json.Unmarshal(line, &row)
		if err == nil && row.Text == nil {
			err = errors.New("text: is missing")
		}
		if err != nil {
			return fmt.Errorf("%s, line %d: %w", file, n, explain(err))
		}
		warper.CoAligned(source.EncodeMidText([]byte(*row.Text)), target.EncodeMidText([]byte(*row.Text)), counts)
		return nil
	})
	return counts, err
}

func saveCounts(file string, counts *vocabulary.Counts) error {
	if counts == nil {
		return usageError{errors.New("--save-counts: nothing was counted; it belongs to --method statistics")}
	}
	b, err := counts.MarshalBinary()
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o644)
}
