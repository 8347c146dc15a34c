package sink

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/transforms/inflight"
)

// Namespace is the namespace of all counters; RowsCounter, RejectsCounter and PartsCounter are their names.
const (
	Namespace      = "profuser"
	RowsCounter    = "rows"
	RejectsCounter = "rejects"
	PartsCounter   = "parts"
)

var (
	rowsDone    = beam.NewCounter(Namespace, RowsCounter)
	rejectsDone = beam.NewCounter(Namespace, RejectsCounter)
	partsDone   = beam.NewCounter(Namespace, PartsCounter)
)

func init() {
	register.Emitter1[Done]()
}

// Register makes a step known to Beam. Each step's package calls it in init.
func Register[S Step]() {
	register.DoFn3x1[context.Context, Part, func(Done), error](&partFn[S]{})
}

// Write makes the missing parts: PCollection<Part> -> PCollection<Done>. url is the store's address; open caps the
// parts that one process holds in memory, 1 or more.
func Write[S Step](s beam.Scope, step S, url string, open int, parts beam.PCollection) beam.PCollection {
	s = s.Scope("sink.Write")
	return beam.ParDo(s, &partFn[S]{Step: step, Store: url, Open: open}, parts)
}

// partFn runs a step over parts, several at once.
type partFn[S Step] struct {
	Step  S
	Store string
	Open  int

	store  dataset.Store
	inputs *Inputs
	tally  *Tally
	window *inflight.Window[Done]
}

// StartBundle opens the window.
func (f *partFn[S]) StartBundle(ctx context.Context, _ func(Done)) error {
	if f.store == nil {
		store, err := dataset.OpenStore(ctx, f.Store)
		if err != nil {
			return Fault(err)
		}
		f.store, f.inputs = store, NewInputs(store)
	}
	f.tally = new(Tally)
	f.window = inflight.Start[Done](ctx, inflight.LimitOf("open parts", f.Open), func() {
		rowsDone.Inc(ctx, f.tally.rows.Swap(0))
		rejectsDone.Inc(ctx, f.tally.rejects.Swap(0))
	})
	return nil
}

// ProcessElement starts one part as soon as there is room.
func (f *partFn[S]) ProcessElement(ctx context.Context, p Part, emit func(Done)) error {
	return Fault(f.window.Go(func(ctx context.Context) (Done, error) {
		return f.part(ctx, int(p.Number), dataset.PartFile(int(p.Number), int(p.Revision)))
	}, f.out(ctx, emit)))
}

// FinishBundle waits for the parts that are open.
func (f *partFn[S]) FinishBundle(ctx context.Context, emit func(Done)) error {
	return Fault(f.window.Finish(f.out(ctx, emit)))
}

func (f *partFn[S]) out(ctx context.Context, emit func(Done)) func(Done) error {
	return func(d Done) error {
		partsDone.Inc(ctx, 1)
		emit(d)
		return nil
	}
}

// part makes the files of one part that are not there yet; file is their name in each dataset.
func (f *partFn[S]) part(ctx context.Context, n int, file string) (Done, error) {
	done := Done{Step: f.Step.Name(), Number: int64(n)}
	names := f.Step.Datasets()
	missing := make([]bool, len(names))
	done.Skipped = true
	for i, name := range names {
		there, err := f.store.Exists(ctx, name+"/"+file)
		if err != nil {
			return done, fmt.Errorf("%s part %d: %w", f.Step.Name(), n, err)
		}
		missing[i] = !there
		done.Skipped = done.Skipped && there
	}
	if done.Skipped {
		return done, nil
	}
	files, err := f.Step.Make(ctx, f.inputs, n, f.tally)
	if err != nil {
		return done, fmt.Errorf("%s part %d: %w", f.Step.Name(), n, err)
	}
	for i, name := range names {
		if !missing[i] {
			continue
		}
		if err := f.store.Create(ctx, name+"/"+file, files[i]); err != nil && !errors.Is(err, dataset.ErrExists) {
			return done, fmt.Errorf("%s part %d: %w", f.Step.Name(), n, err)
		}
	}
	return done, nil
}
