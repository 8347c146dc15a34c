package changes

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/pipelines/wanted"
	"github.com/profuser/profuser/transforms/source"
)

// Kind is how a dataset stands to what is wanted.
type Kind string

// Kinds.
const (
	// Absent: nothing is there.
	Absent Kind = "absent"
	// Unfinished: parts are missing, or the manifest.
	Unfinished Kind = "unfinished"
	// Finished: all is there.
	Finished Kind = "finished"
	// Changed: it was made, or begun, with another configuration, other models or other input files.
	Changed Kind = "changed"
	// Stale: what it was made from is made again, or was.
	Stale Kind = "stale"
)

// Finding is one dataset as wanted and as it is there.
type Finding struct {
	wanted.Dataset
	dataset.State
	Kind Kind
	// Reasons say why it is changed or stale.
	Reasons []string
	// Parts is how many parts it must have, 0 where that is not known yet; Done how many are there and fit.
	Parts, Done int
	// Stale lists the committed parts whose inputs were made again.
	Stale []int
	// Growth is how the input files compare with those recorded, for a dataset made from files.
	Growth source.Growth

	listed []dataset.InputFile // as recorded
	// begun compares with a revision that has no manifest yet; goesOn says that nothing changed since it began.
	begun  source.Growth
	goesOn bool
}

// Findings are the datasets of a table, in its order.
type Findings []*Finding

// Of is the finding about a dataset, nil if the table does not have it.
func (f Findings) Of(name string) *Finding {
	if i := slices.IndexFunc(f, func(x *Finding) bool { return x.Dataset.Name == name }); i >= 0 {
		return f[i]
	}
	return nil
}

// Examine looks at the datasets of a table.
func Examine(ctx context.Context, store dataset.Store, table []wanted.Dataset) (Findings, error) {
	found := make(Findings, len(table))
	faults := make([]error, len(table))
	var group sync.WaitGroup
	for i, d := range table {
		found[i] = &Finding{Dataset: d}
		group.Go(func() { faults[i] = found[i].look(ctx, store) })
	}
	group.Wait()
	for i, err := range faults {
		if err != nil {
			return nil, fmt.Errorf("looking at dataset %s: %w", table[i].Name, err)
		}
	}
	for _, f := range found {
		if err := f.judge(ctx, found); err != nil {
			return nil, fmt.Errorf("looking at dataset %s: %w", f.Dataset.Name, err)
		}
	}
	return found, nil
}

// look finds out what is there, input files included.
func (f *Finding) look(ctx context.Context, store dataset.Store) (err error) {
	if f.State, err = dataset.Look(ctx, store, f.Dataset.Name); err != nil || len(f.Files) == 0 {
		return err
	}
	compare := func(revision int) (g source.Growth, err error) {
		if f.listed, _, err = source.Files(ctx, store, f.Dataset.Name, max(1, revision)); err != nil {
			return g, err
		}
		return source.Compare(ctx, f.listed, f.Files)
	}
	if f.Newest != nil && f.fits(*f.Newest) && (f.Committed == nil || f.Newest.Revision > f.Committed.Header.Revision) {
		if f.begun, err = compare(f.Newest.Revision); err != nil {
			return err
		}
		f.goesOn = len(f.begun.Changes) == 0
		f.Growth = f.begun
	}
	if f.Committed != nil && f.fits(f.Committed.Header) {
		f.Growth, err = compare(f.Committed.Header.Revision)
	}
	return err
}

// Known are the pieces of the input files that have parts in the revision that is to be made, by file.
func (f *Finding) Known() [][]dataset.InputFile {
	switch {
	case f.Kind != Changed:
		return f.Growth.Known
	case f.goesOn:
		return f.begun.Known
	}
	return nil
}

// fits says whether rows made under a header are the wanted ones. Where models were not looked at, the items decide.
func (f *Finding) fits(h dataset.Header) bool {
	if f.Header.ConfigDigest != "" {
		field, _, _ := h.Differs(f.Header)
		return field == ""
	}
	return len(itemsThatDiffer(h.Depends, f.Header.Depends, false)) == 0
}
