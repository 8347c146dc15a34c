package sink

import (
	"context"

	"github.com/profuser/profuser/transforms/tally"
)

// Step is what one job does with one part. It is a plain struct of configuration: workers get it as JSON and find
// models and files by name and path.
type Step interface {
	// Name is the step's, as in messages and rejects.
	Name() string
	// Datasets names the datasets that the step writes, one part each.
	Datasets() []string
	// Make reads the inputs of one part and returns the part's file for each of Datasets, encoded. It counts rows,
	// rejects and calls in counts as they are done. Equal inputs give equal bytes.
	Make(ctx context.Context, in *Inputs, part int, counts *tally.Tally) ([][]byte, error)
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
