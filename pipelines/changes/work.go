package changes

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
)

// Options say what may be made again.
type Options struct {
	// Redo allows datasets that are changed or stale to be made again, beside what is there, which stays until then.
	Redo bool
	// Retry makes parts with rejects again.
	Retry bool
}

// Work is what a step does for the datasets that it writes together.
type Work struct {
	// Revision is the one that is made.
	Revision int
	// Parts are to be made, of Total.
	Parts []int
	Total int
	// Anew says that a revision after the first begins in which every part is made.
	Anew bool
	// Done says that there is nothing to do, not even to commit.
	Done bool
	// Reason says why parts are made again, for the manifest.
	Reason string
}

// Prepare decides what to do for datasets that one step writes together. Parts that a killed run left behind are kept if
// they were made from what is committed now, and dropped else.
func Prepare(ctx context.Context, outs Findings, found Findings, o Options) (Work, error) {
	w := Work{Done: true, Anew: true}
	for _, f := range outs {
		if (f.Kind == Changed || f.Kind == Stale) && !o.Redo {
			return w, fmt.Errorf("%s is %s: %s: put it back, choose another --out, or make it again with --redo-changed", f.Dataset.Name, f.Kind, f.Reasons[0])
		}
		revision, done := f.revision(o)
		w.Revision, w.Done, w.Total = max(w.Revision, revision), w.Done && done, f.Parts
	}
	lacking := map[int]bool{}
	for _, f := range outs {
		begun := f.Newest != nil && max(1, f.Newest.Revision) >= w.Revision
		again := f.again(o)
		w.Anew = w.Anew && w.Revision > 1 && !begun && len(again) == f.Parts
		if len(again) > 0 {
			w.Reason = reason(f, o)
		}
		if w.Done {
			continue
		}
		if begun && len(f.Sources) > 0 {
			if err := f.dropForeign(ctx, found, w.Revision, o); err != nil {
				return w, err
			}
		}
		for _, k := range numbers(f.Parts) {
			if !f.Has(k, w.Revision) && (slices.Contains(again, k) || !f.keeps(k)) {
				lacking[k] = true
			}
		}
	}
	w.Parts = slices.Sorted(maps.Keys(lacking))
	return w, nil
}

// reason is why parts of a dataset are made again.
func reason(f *Finding, o Options) string {
	switch {
	case len(f.Reasons) > 0:
		return f.Reasons[0]
	case o.Retry:
		return "retry-rejected"
	}
	return ""
}

// keeps says whether the committed file of part k can stay in the next manifest.
func (f *Finding) keeps(k int) bool {
	return f.Committed != nil && f.fits(f.Committed.Header) && f.Whole(k)
}

// again lists the parts that are there and have to be made again.
func (f *Finding) again(o Options) []int {
	switch {
	case f.Kind == Changed:
		return numbers(f.Parts)
	case f.Committed == nil:
		return nil
	}
	again := map[int]bool{}
	for _, k := range f.Stale {
		again[k] = k < f.Parts
	}
	for k, part := range f.Committed.Manifest.Parts {
		if o.Retry && part.Rejects > 0 && k < f.Parts {
			again[k] = true
		}
	}
	maps.DeleteFunc(again, func(_ int, is bool) bool { return !is })
	return slices.Sorted(maps.Keys(again))
}

// revision is the one that a dataset goes on in, and whether it needs nothing.
func (f *Finding) revision(o Options) (revision int, done bool) {
	newest := 0
	if f.Newest != nil {
		newest = max(1, f.Newest.Revision)
	}
	switch {
	case newest == 0:
		return 1, false
	case f.Kind == Changed && len(f.Files) > 0 && !f.goesOn, f.Kind == Changed && !f.fits(*f.Newest):
		return newest + 1, false
	case f.Committed == nil || f.Kind == Changed:
		return newest, false
	}
	committed := max(1, f.Committed.Header.Revision)
	if len(f.again(o)) == 0 && f.Parts >= f.Committed.Parts() {
		return committed, f.Kind == Finished
	}
	if newest > committed && f.fits(*f.Newest) {
		return newest, false
	}
	return newest + 1, false
}

// dropForeign removes parts of a revision that no manifest has and that were made from other parts than those committed
// now; when rejects are retried, also those with rejects.
func (f *Finding) dropForeign(ctx context.Context, found Findings, revision int, o Options) error {
	footers, err := f.Uncommitted(ctx, revision)
	if err != nil {
		return err
	}
	sources := f.sources(found)
	for k, footer := range footers {
		want := madeFrom(sources, k)
		foreign := k >= f.Parts || want != "" && len(footer.Inputs) > 0 && want != dataset.InputsDigest(footer.Inputs)
		rejects := slices.ContainsFunc(footer.Rejects, func(r schemas.Rejected) bool { return r.Code != schemas.CodeDuplicate })
		if foreign || o.Retry && rejects {
			if err := f.Drop(ctx, k, revision); err != nil {
				return err
			}
		}
	}
	return nil
}

// From is the first part of a dataset made from files whose file is not there, as far as committed parts tell.
func (f *Finding) From() int {
	k := 0
	for f.Kind != Changed && f.Whole(k) {
		k++
	}
	return k
}
