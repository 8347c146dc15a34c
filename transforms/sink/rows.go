package sink

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
)

// Inputs holds the committed datasets that a step reads, each opened once. Safe for concurrent use.
type Inputs struct {
	store  dataset.Store
	mu     sync.Mutex
	opened map[string]*dataset.Dataset
}

// NewInputs returns the datasets of a store.
func NewInputs(store dataset.Store) *Inputs {
	return &Inputs{store: store, opened: map[string]*dataset.Dataset{}}
}

func (in *Inputs) open(ctx context.Context, name string) (*dataset.Dataset, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if d, ok := in.opened[name]; ok {
		return d, nil
	}
	d, err := dataset.Open(ctx, in.store, name)
	if err == nil {
		in.opened[name] = d
	}
	return d, err
}

// Store returns the store of the datasets.
func (in *Inputs) Store() dataset.Store { return in.store }

// Read reads one part of a committed dataset, and names it as the input of the part that is made from it.
func Read[T any](ctx context.Context, in *Inputs, name string, part int) ([]T, dataset.Input, error) {
	d, err := in.open(ctx, name)
	if err != nil {
		return nil, dataset.Input{}, err
	}
	rows, _, err := dataset.Rows[T](ctx, d, part)
	if err != nil {
		return nil, dataset.Input{}, err
	}
	return rows, d.Input(part), nil
}

// Responses reads one part of several datasets of generations: the responses by prompt id, in the order of the datasets,
// then of samples.
func Responses(ctx context.Context, in *Inputs, names []string, part int) (map[string][]*schemas.Generation, []dataset.Input, error) {
	responses := map[string][]*schemas.Generation{}
	var inputs []dataset.Input
	for _, name := range names {
		generations, input, err := Read[schemas.Generation](ctx, in, name, part)
		if err != nil {
			return nil, nil, err
		}
		inputs = append(inputs, input)
		for k := range generations {
			g := &generations[k]
			responses[g.ID] = append(responses[g.ID], g)
		}
	}
	return responses, inputs, nil
}

// Encode makes the one file of a part from what became of its records: rows and rejects in order, nil where there is none.
// f is what the step's parts say of themselves.
func Encode[T any](f dataset.Footer, part int, inputs []dataset.Input, rows []*T, rejects []*schemas.Rejected) ([][]byte, error) {
	f.Part, f.Inputs, f.Rejects = part, inputs, present(rejects)
	data, err := dataset.EncodePart(present(rows), f)
	return [][]byte{data}, err
}

// present returns what the non-nil pointers point to, in order.
func present[T any](rows []*T) []T {
	present := make([]T, 0, len(rows))
	for _, row := range rows {
		if row != nil {
			present = append(present, *row)
		}
	}
	return present
}

// Failed is the record of a row whose call to a model ended with an error of that row alone, one with a method
// Reject() (code string, attempts int) such as models/serving's. It is nil for every other error: the step must end.
func Failed(step, id, source string, err error) *schemas.Rejected {
	var row interface {
		error
		Reject() (code string, attempts int)
	}
	if !errors.As(err, &row) {
		return nil
	}
	code, attempts := row.Reject()
	r := Reject(step, id, source, code, "%v", err)
	r.Attempts = int32(attempts)
	return r
}

// Reject is the record of a row that a step could not process.
func Reject(step, id, source, code, format string, args ...any) *schemas.Rejected {
	return &schemas.Rejected{
		ID: id, Source: source, Step: step, Code: code, Message: schemas.ShortMessage(fmt.Sprintf(format, args...)), Attempts: 1,
	}
}
