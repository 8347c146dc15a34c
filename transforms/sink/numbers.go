package sink

import (
	"context"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

// Part is one part's number: the element of every job.
type Part struct {
	// Number is the part's, from 0.
	Number int64
	// Revision is the one that its files belong to; 0 and 1 are the first.
	Revision int64
	// Of is how many parts the job makes.
	Of int64
}

// Range is the part numbers from From to To-1.
type Range struct{ From, To int }

// Ranges packs sorted part numbers, so that a job of many parts has a small graph.
func Ranges(numbers []int) []Range {
	var ranges []Range
	for _, n := range slices.Sorted(slices.Values(numbers)) {
		if last := len(ranges) - 1; last >= 0 && ranges[last].To == n {
			ranges[last].To++
		} else {
			ranges = append(ranges, Range{n, n + 1})
		}
	}
	return ranges
}

func init() {
	register.DoFn3x0[context.Context, []byte, func(Part)](&numbersFn{})
	register.Emitter1[Part]()
}

// Numbers -> PCollection<Part>: each part number once, spread over the workers; revision is the one that the parts' files
// belong to, 1 for datasets made for the first time.
func Numbers(s beam.Scope, numbers []int, revision int) beam.PCollection {
	s = s.Scope("sink.Numbers")
	return beam.Reshuffle(s, beam.ParDo(s, &numbersFn{Ranges: Ranges(numbers), Revision: int64(revision)}, beam.Impulse(s)))
}

// numbersFn emits the numbers on the worker: a graph that lists them would be large.
type numbersFn struct {
	Ranges   []Range
	Revision int64
}

// ProcessElement emits every number.
func (f *numbersFn) ProcessElement(_ context.Context, _ []byte, emit func(Part)) {
	var all int64
	for _, r := range f.Ranges {
		all += int64(r.To - r.From)
	}
	for _, r := range f.Ranges {
		for n := r.From; n < r.To; n++ {
			emit(Part{Number: int64(n), Revision: f.Revision, Of: all})
		}
	}
}
