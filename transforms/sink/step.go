package sink

import (
	"context"
	"sync/atomic"
)

// Step is what one job does with one part. It is a plain struct of configuration: workers get it as JSON and find
// models and files by name and path.
type Step interface {
	// Name is the step's, as in messages and rejects.
	Name() string
	// Datasets names the datasets that the step writes, one part each.
	Datasets() []string
	// Make reads the inputs of one part and returns the part's file for each of Datasets, encoded. It counts rows and
	// rejects in tally as they are done. Equal inputs give equal bytes.
	Make(ctx context.Context, in *Inputs, part int, tally *Tally) ([][]byte, error)
}

// Tally counts what a step has done since the counts were last reported. Safe for concurrent use.
type Tally struct {
	rows, rejects atomic.Int64
}

// Row counts one row, rejected or not.
func (t *Tally) Row(rejected bool) {
	t.rows.Add(1)
	if rejected {
		t.rejects.Add(1)
	}
}

// Done says that a part's files are there.
type Done struct {
	// Step is the step's name.
	Step string
	// Number is the part's.
	Number int64
	// Skipped is true if the files were there before.
	Skipped bool
}
