package sink

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/tally"
)

// Namespace is the namespace of all counters; package tally names them.
const Namespace = "profuser"

var counters sync.Map // name -> beam.Counter

// Report adds what a tally has to Beam's counters. Only a bundle's own goroutine may call it.
func Report(ctx context.Context, counts *tally.Tally) {
	counts.Drain(func(name string, n int64) {
		c, ok := counters.Load(name)
		if !ok {
			c, _ = counters.LoadOrStore(name, beam.NewCounter(Namespace, name))
		}
		c.(beam.Counter).Inc(ctx, n)
	})
}

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
	counts *tally.Tally
	window *inflight.Window[Done]
	begun  int64 // parts of this bundle
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
	f.counts, f.begun = new(tally.Tally), 0
	f.window = inflight.Start[Done](ctx, inflight.LimitOf(fmt.Sprint("open parts ", f.Open), f.Open), func() { Report(ctx, f.counts) })
	return nil
}

// ProcessElement starts one part as soon as there is room. If the whole job is in this bundle, it waits here for the last
// parts: while FinishBundle waits, the SDK does not report counters.
func (f *partFn[S]) ProcessElement(ctx context.Context, p Part, emit func(Done)) error {
	out := f.out(ctx, emit)
	err := f.window.Go(func(ctx context.Context) (Done, error) {
		return f.part(ctx, int(p.Number), dataset.PartFile(int(p.Number), int(p.Revision)))
	}, out)
	if f.begun++; err == nil && f.begun == p.Of {
		err = f.window.Wait(out)
	}
	return Fault(err)
}

// FinishBundle waits for the parts that are open.
func (f *partFn[S]) FinishBundle(ctx context.Context, emit func(Done)) error {
	return Fault(f.window.Finish(f.out(ctx, emit)))
}

func (f *partFn[S]) out(ctx context.Context, emit func(Done)) func(Done) error {
	return func(d Done) error {
		f.counts.Part()
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
	files, err := f.Step.Make(ctx, f.inputs, n, f.counts)
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
