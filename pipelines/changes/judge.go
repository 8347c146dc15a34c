package changes

import (
	"context"
	"slices"
)

// judge gives the kind; the datasets before are judged.
func (f *Finding) judge(ctx context.Context, found Findings) error {
	made := f.Committed
	if len(f.Sources) > 0 {
		if s := found.Of(f.Sources[0]); s != nil && s.Committed != nil {
			f.Parts = s.Committed.Parts()
		}
	}
	if f.Newest == nil && made == nil {
		f.Kind = Absent
		return nil
	}
	switch {
	case made != nil && f.fits(made.Header):
		f.Kind = Finished
	case made == nil && f.fits(*f.Newest):
		f.Kind = Unfinished
	default:
		f.Kind = Changed
		f.explain(found)
		return nil
	}
	switch {
	case len(f.Files) > 0:
		f.judgeFiles()
		return nil
	case len(f.Sources) == 0:
		return nil
	}
	for _, name := range f.Sources {
		if s := found.Of(name); s != nil && (s.Kind == Changed || s.Kind == Stale) {
			f.Reasons = append(f.Reasons, "made from "+name+", which is "+string(s.Kind))
		}
	}
	if len(f.Reasons) > 0 {
		f.Kind = Stale
		return nil
	}
	return f.judgeParts(ctx, found)
}

// judgeFiles compares input files.
func (f *Finding) judgeFiles() {
	f.Done = f.Made(f.Newest.Revision)
	if f.Committed != nil {
		f.Parts, f.Done = f.Committed.Parts(), f.Committed.Parts()
	}
	for _, change := range f.Growth.Changes {
		f.Reasons = append(f.Reasons, f.FilesKey+": "+change)
	}
	lost := slices.ContainsFunc(numbers(f.Parts), func(k int) bool { return !f.Whole(k) })
	recorded := f.Committed != nil && len(f.listed) > 0 && !slices.Equal(f.listed, f.Committed.Manifest.Inputs)
	switch {
	case len(f.Reasons) > 0:
		f.Kind = Changed
	case f.Growth.Grown, lost, recorded:
		f.Kind = Unfinished
	}
}

// numbers are 0 to n-1.
func numbers(n int) []int {
	all := make([]int, n)
	for k := range all {
		all[k] = k
	}
	return all
}
