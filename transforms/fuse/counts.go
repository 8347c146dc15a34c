package fuse

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/profuser/profuser/fusion/align"
	"github.com/profuser/profuser/fusion/vocabulary"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/sink"
)

func init() {
	register.DoFn3x1[context.Context, sink.Part, func(string, []byte), error](&countsFn{})
	register.Emitter2[string, []byte]()
	register.Combiner1[[]byte](&mergeCountsFn{})
	register.DoFn3x1[context.Context, string, []byte, error](&keepCountsFn{})
}

// Counts counts over all responses and references which target token lies beside which token of each source, and freezes
// the counts in a file for each source in the folder of step.Alignment, created only if absent: PCollection<sink.Part> ->
// nothing. Method statistics maps vocabularies by them.
func Counts(s beam.Scope, step Step, url string, parts beam.PCollection) {
	s = s.Scope("fuse.Counts")
	counted := beam.ParDo(s, &countsFn{Step: step, Store: url}, parts) // PCollection<KV<source, counts>>
	beam.ParDo0(s, &keepCountsFn{Step: step, Store: url}, beam.CombinePerKey(s, &mergeCountsFn{}, counted))
}

// countsFn counts in one part.
type countsFn struct {
	Step  Step
	Store string

	inputs *sink.Inputs
}

// ProcessElement emits the counts of each source in one part.
func (f *countsFn) ProcessElement(ctx context.Context, p sink.Part, emit func(string, []byte)) error {
	if f.inputs == nil {
		store, err := dataset.OpenStore(ctx, f.Store)
		if err != nil {
			return sink.Fault(err)
		}
		f.inputs = sink.NewInputs(store)
	}
	counts, err := f.Step.counts(ctx, f.inputs, int(p.Number))
	if err != nil {
		return sink.Fault(fmt.Errorf("co-alignment counts of part %d: %w", p.Number, err))
	}
	for k, c := range counts {
		if c == nil {
			continue
		}
		b, err := c.MarshalBinary()
		if err != nil {
			return sink.Fault(err)
		}
		emit(f.Step.Sources[k].Model.Name, b)
	}
	return nil
}

// counts counts for each source (nil for one that is not at hand) in its own responses and in the references that it read. A text that the target cannot
// render counts nothing; alignment rejects it.
func (s Step) counts(ctx context.Context, in *sink.Inputs, n int) ([]*vocabulary.Counts, error) {
	prompts, _, err := sink.Read[schemas.Prompt](ctx, in, s.Prompts, n)
	if err != nil {
		return nil, err
	}
	target, err := format(s.Target)
	if err != nil {
		return nil, err
	}
	var out []*vocabulary.Counts
	for _, source := range s.Sources {
		if !source.Model.AtHand() {
			out = append(out, nil)
			continue
		}
		f, err := format(source.Model)
		if err != nil {
			return nil, err
		}
		responses, _, err := generations(ctx, in, source.Generations, n)
		if err != nil {
			return nil, err
		}
		rows, _, err := sink.Read[schemas.TeacherForcing](ctx, in, source.CrossEntropy, n)
		if err != nil {
			return nil, err
		}
		readings := byPrompt(rows)
		warper := align.NewWarper(align.MethodStatistics, vocabulary.NewStrings(f.Tokenizer()), vocabulary.NewStrings(target.Tokenizer()))
		counts, size := &vocabulary.Counts{}, int32(f.Tokenizer().Size())
		add := func(p *schemas.Prompt, text string, closed bool, ids []int32) {
			encoded, err := target.Encode(p.Messages, text, closed)
			if err != nil || slices.ContainsFunc(ids, func(id int32) bool { return id < 0 || id >= size }) {
				return
			}
			warper.CoAligned(ids, encoded.TextIDs, counts)
		}
		for i := range prompts {
			p := &prompts[i]
			for _, g := range responses[p.ID] {
				add(p, g.Text, g.FinishReason == schemas.FinishStop, g.TokenIDs)
			}
			if r := readings[p.ID]; r != nil && p.Reference != nil {
				add(p, *p.Reference, true, r.TokenIDs)
			}
		}
		out = append(out, counts)
	}
	return out, nil
}

// mergeCountsFn adds counts; whole numbers, so that the order does not matter.
type mergeCountsFn struct{}

// MergeAccumulators adds two sums.
func (*mergeCountsFn) MergeAccumulators(a, b []byte) ([]byte, error) {
	if len(a) == 0 {
		return b, nil
	} else if len(b) == 0 {
		return a, nil
	}
	var x, y vocabulary.Counts
	if err := errors.Join(x.UnmarshalBinary(a), y.UnmarshalBinary(b)); err != nil {
		return nil, err
	}
	x.Merge(&y)
	return x.MarshalBinary()
}

// keepCountsFn writes a source's counts once.
type keepCountsFn struct {
	Step  Step
	Store string
}

// ProcessElement creates the file, only if absent.
func (f *keepCountsFn) ProcessElement(ctx context.Context, source string, counts []byte) error {
	store, err := dataset.OpenStore(ctx, f.Store)
	if err != nil {
		return sink.Fault(err)
	}
	key := f.Step.Alignment.countsKey(source)
	if err := store.Create(ctx, key, counts); err != nil && !errors.Is(err, dataset.ErrExists) {
		return sink.Fault(fmt.Errorf("writing %s: %w", key, err))
	}
	return nil
}
