package sink

import (
	"context"
	"errors"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/profuser/profuser/internal/dataset"
)

func init() {
	register.DoFn3x1[context.Context, string, func(*Done) bool, error](&commitFn{})
	register.Function1x2(keyByStep)
	register.Iter1[Done]()
}

// Commit writes the manifests of datasets when all parts are done: PCollection<Done> -> nothing. More rejects than
// options allow are no error here: rejected/ is derived and no manifest is written, which tells the job's caller, who
// calls dataset.Commit to learn why.
func Commit(s beam.Scope, url string, datasets []string, options dataset.CommitOptions, done beam.PCollection) {
	s = s.Scope("sink.Commit")
	grouped := beam.GroupByKey(s, beam.ParDo(s, keyByStep, done))
	beam.ParDo0(s, &commitFn{Store: url, Datasets: datasets, Options: options}, grouped)
}

func keyByStep(d Done) (string, Done) { return d.Step, d }

// commitFn runs once, after the last part.
type commitFn struct {
	Store    string
	Datasets []string
	Options  dataset.CommitOptions
}

// ProcessElement commits each dataset.
func (f *commitFn) ProcessElement(ctx context.Context, _ string, done func(*Done) bool) error {
	var d Done
	for done(&d) {
		continue // the parts are counted where they lie
	}
	store, err := dataset.OpenStore(ctx, f.Store)
	if err != nil {
		return Fault(err)
	}
	for _, name := range f.Datasets {
		var over *dataset.RejectsError
		_, err := dataset.Commit(ctx, store, name, f.Options)
		if err != nil && !errors.As(err, &over) {
			return Fault(err)
		}
	}
	return nil
}
