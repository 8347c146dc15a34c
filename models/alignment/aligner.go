package alignment

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/profuser/profuser/fusion/align"
	"github.com/profuser/profuser/fusion/vocabulary"
	"github.com/profuser/profuser/models/vocabularies"
)

// Options say how rows are aligned.
type Options struct {
	// Method and Fallback are align.method and align.fallback.
	Method, Fallback string
	// TopK is how many entries of a position are written besides the text's token; 0: all.
	TopK int
	// Raw copies entries as they are given, row j of the input being row j of the rule; comparison methods only.
	Raw bool
	// Maps keeps vocabulary maps.
	Maps vocabularies.Store
	// Counts are what method statistics maps by.
	Counts *vocabulary.Counts
}

// Aligner aligns rows from one source to one target. It may be used by many goroutines.
type Aligner struct {
	Options
	source, target *Side
	method         align.Aligner
	comparison     *align.Comparison // nil for exact
}

// NewAligner prepares a method.
func NewAligner(source, target *Side, o Options) (*Aligner, error) {
	a := &Aligner{Options: o, source: source, target: target}
	if o.Method == align.MethodExact {
		if o.Raw {
			return nil, errors.New("raw values: method exact multiplies probabilities, so they cannot be any numbers; choose a comparison method")
		}
		a.method = align.NewExact(source, source.Stops, source.Fingerprint(), target, target.EndOfTurn(), target.Fingerprint())
		return a, nil
	}
	method, ok := align.MapOf(o.Method)
	if !ok {
		return nil, fmt.Errorf("method %q: want exact, exact_match, min_edit_distance, statistics or transport", o.Method)
	}
	m, err := o.Maps.Map(method, source.Tokenizer, target.Tokenizer, o.Counts)
	if err != nil {
		return nil, err
	}
	a.comparison, err = align.NewComparison(o.Method, o.Fallback, source, target, m)
	a.method = a.comparison
	return a, err
}

// Align checks a row and aligns it.
func (a *Aligner) Align(r *Row) (*Result, error) {
	if a.Raw {
		return a.raw(r)
	}
	p, aligned, err := a.align(r)
	if err != nil {
		return nil, err
	}
	d := aligned.Dist.Top(a.TopK, p.target.IDs)
	return &Result{TargetIDs: some(p.target.IDs), Counts: some(d.Counts), IDs: some(d.IDs), LogProbs: some(d.LogProbs), Status: some(aligned.Status)}, nil
}

func (a *Aligner) align(r *Row) (*parsed, align.Aligned, error) {
	p, err := a.parse(r)
	if err != nil {
		return nil, align.Aligned{}, err
	}
	aligned, err := a.method.AlignBeside(p.text, p.source, p.d, p.ranks, p.target, p.own)
	return p, aligned, err
}

// raw applies a comparison method's rule as it is published.
func (a *Aligner) raw(r *Row) (*Result, error) {
	source, target, values, err := a.rawRows(r)
	if err != nil {
		return nil, err
	}
	rows, err := a.comparison.Rows(source, target)
	if err != nil {
		return nil, err
	}
	out := &Result{TargetIDs: some(target.IDs), Counts: []int32{}, IDs: []int32{}, Status: some(rows.Status)}
	numbers := []json.Number{}
	start := int32(0)
	for _, count := range rows.Counts {
		kept := count
		if a.TopK > 0 {
			kept = min(count, int32(a.TopK))
		}
		for at := start; at < start+kept; at++ {
			number := json.Number("1.0")
			if from := rows.From[at]; from >= 0 {
				number = values[from]
			} else if mass := rows.Mass[at]; mass != 1 {
				b, err := json.Marshal(mass)
				if err != nil {
					return nil, err
				}
				number = json.Number(b)
			}
			out.IDs, numbers = append(out.IDs, rows.IDs[at]), append(numbers, number)
		}
		out.Counts = append(out.Counts, kept)
		start += count
	}
	out.LogProbs = numbers
	return out, nil
}

// rawRows checks the lists of a row whose values are any numbers.
func (a *Aligner) rawRows(r *Row) (source, target align.Input, values []json.Number, err error) {
	fail := func(err error) (align.Input, align.Input, []json.Number, error) {
		return align.Input{}, align.Input{}, nil, err
	}
	if err := r.lists(); err != nil {
		return fail(err)
	}
	if err := json.Unmarshal(r.LogProbs, &values); err != nil {
		return fail(field("logprobs", err))
	}
	if len(values) != len(r.IDs) {
		return fail(fmt.Errorf("logprobs: %d for %d ids: want as many", len(values), len(r.IDs)))
	}
	source = align.Input{IDs: r.SourceIDs, Counts: r.Counts, Entries: r.IDs}
	target = align.Input{IDs: r.TargetIDs}
	if target.IDs == nil {
		if r.Text == nil {
			return fail(errors.New("target_ids: is missing, and there is no text to make them from"))
		}
		target.IDs = a.target.EncodeMidText([]byte(*r.Text))
		if end := a.target.EndOfTurn(); a.source.closed(r.SourceIDs) && end >= 0 {
			target.IDs = append(target.IDs, end)
		}
	}
	if err := errors.Join(a.source.known("source_ids", r.SourceIDs), a.target.known("target_ids", target.IDs)); err != nil {
		return fail(err)
	}
	if err := inRange("ids", r.IDs, a.source.Vocab); err != nil {
		return fail(err)
	}
	if a.Method == align.MethodTransport {
		target.Counts, target.Entries = r.TargetCounts, r.TargetTopIDs
		if err := errors.Join(r.own(len(target.IDs), &target.Values), inRange("target_top_ids", r.TargetTopIDs, a.target.Vocab)); err != nil {
			return fail(err)
		}
		if source.Values, err = floats(values); err != nil {
			return fail(err)
		}
	}
	return source, target, values, nil
}

func inRange(list string, ids []int32, size int) error {
	if i := slices.IndexFunc(ids, func(id int32) bool { return id < 0 || int(id) >= size }); i >= 0 {
		return fmt.Errorf("%s[%d]: is %d, want 0 to %d", list, i, ids[i], size-1)
	}
	return nil
}

func floats(numbers []json.Number) ([]float64, error) {
	out := make([]float64, len(numbers))
	for i, n := range numbers {
		x, err := n.Float64()
		if err != nil {
			return nil, fmt.Errorf("logprobs[%d]: %w", i, err)
		}
		out[i] = x
	}
	return out, nil
}

// some makes a list that JSON writes as [] and not as null.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// Draw checks a row, aligns it, and draws the two tokenisations as rulers with the status of each position below; width is
// the longest line, 0: no limit.
func (a *Aligner) Draw(r *Row, width int) (string, error) {
	if a.Raw {
		return "", errors.New("rulers need the text's own tokens and not raw values")
	}
	p, aligned, err := a.align(r)
	if err != nil {
		return "", err
	}
	return align.Draw(p.text, width,
		align.Ruler{Name: "source", Starts: p.source.Starts, Closed: p.source.Closed},
		align.Ruler{Name: "target", Starts: p.target.Starts, Closed: p.target.Closed, Marks: align.StatusMarks(aligned.Status)}), nil
}

// Counter counts what the warping of rows lays beside each other, for method statistics.
type Counter struct {
	aligner *Aligner
	warper  *align.Warper
	counts  *vocabulary.Counts
}

// NewCounter begins a corpus.
func NewCounter(source, target *Side, raw bool, counts *vocabulary.Counts) *Counter {
	return &Counter{
		aligner: &Aligner{Options: Options{Method: align.MethodStatistics, Raw: raw}, source: source, target: target},
		warper:  align.NewWarper(align.MethodStatistics, vocabulary.NewStrings(source), vocabulary.NewStrings(target)),
		counts:  counts,
	}
}

// Add counts the pairs of a row; a row that Align would refuse is an error and counts nothing.
func (c *Counter) Add(r *Row) error {
	if c.aligner.Raw {
		source, target, _, err := c.aligner.rawRows(r)
		if err == nil {
			c.warper.CoAligned(source.IDs, target.IDs, c.counts)
		}
		return err
	}
	p, err := c.aligner.parse(r)
	if err == nil {
		c.warper.CoAligned(p.source.IDs, p.target.IDs, c.counts)
	}
	return err
}
