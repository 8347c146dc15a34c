package changes

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/profuser/profuser/internal/dataset"
)

// madeFrom is the digest of what part k must have been made from, "" where a source does not have the part.
func madeFrom(sources []*dataset.Dataset, k int) string {
	var inputs []dataset.Input
	for _, d := range sources {
		if d == nil || k >= d.Parts() {
			return ""
		}
		inputs = append(inputs, d.Input(k))
	}
	return dataset.InputsDigest(inputs)
}

// sources are the committed datasets that f is made from; nil for one that is not.
func (f *Finding) sources(found Findings) []*dataset.Dataset {
	var list []*dataset.Dataset
	for _, name := range f.Sources {
		var d *dataset.Dataset
		if s := found.Of(name); s != nil {
			d = s.Committed
		}
		list = append(list, d)
	}
	return list
}

// judgeParts compares part by part.
func (f *Finding) judgeParts(ctx context.Context, found Findings) error {
	sources := f.sources(found)
	if f.Committed == nil {
		f.Done = f.Made(f.Newest.Revision)
		return nil
	}
	parts := f.Committed.Manifest.Parts
	for k, info := range parts {
		want := madeFrom(sources, k)
		if want != "" && info.Inputs != "" && want != info.Inputs {
			f.Stale = append(f.Stale, k)
		} else if f.Whole(k) && (sources[0] == nil || k < f.Parts) {
			f.Done++
		}
	}
	switch {
	case len(f.Stale) > 0:
		f.Kind = Stale
		reason, err := f.staleness(ctx, sources)
		f.Reasons = append(f.Reasons, reason)
		return err
	case sources[0] != nil && f.Parts < len(parts):
		f.Kind = Stale
		f.Reasons = append(f.Reasons, fmt.Sprintf("%s has %d parts now, it has %d", f.Sources[0], f.Parts, len(parts)))
	case f.Done < max(f.Parts, len(parts)):
		f.Kind = Unfinished
	}
	return nil
}

// staleness names the first input of the first stale part that was made again.
func (f *Finding) staleness(ctx context.Context, sources []*dataset.Dataset) (string, error) {
	k := f.Stale[0]
	footer, err := f.Committed.Footer(ctx, k)
	if err != nil {
		return "", err
	}
	more := ""
	if n := len(f.Stale); n > 1 {
		more = fmt.Sprintf(", and others of %d parts", n)
	}
	for _, d := range sources {
		now := d.Input(k)
		i := slices.IndexFunc(footer.Inputs, func(in dataset.Input) bool { return in.Path == now.Path })
		if i < 0 {
			return now.Path + " is new" + more, nil
		}
		if was := footer.Inputs[i].SHA256; was != now.SHA256 {
			return fmt.Sprintf("%s was made again: SHA-256 %.12s… → %.12s…%s", now.Path, was, now.SHA256, more), nil
		}
	}
	return "it was made from more than it is made from now", nil
}

// itemsThatDiffer lists the items of two headers that differ, old → new. With all false, only those that both have.
func itemsThatDiffer(before, now map[string]string, all bool) []string {
	keys := map[string]bool{}
	for _, items := range []map[string]string{before, now} {
		for key := range items {
			keys[key] = true
		}
	}
	var out []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		was, had := before[key]
		is, has := now[key]
		switch {
		case had && has && was != is:
			out = append(out, fmt.Sprintf("%s: %s → %s", key, was, is))
		case all && had && !has:
			out = append(out, fmt.Sprintf("%s: %s → none", key, was))
		case all && has && !had:
			out = append(out, fmt.Sprintf("%s: none → %s", key, is))
		}
	}
	return out
}

// explain says why a dataset of another configuration is one.
func (f *Finding) explain(found Findings) {
	before := f.Newest
	if f.Committed != nil {
		before = &f.Committed.Header
	}
	if before.Depends != nil {
		f.Reasons = itemsThatDiffer(before.Depends, f.Header.Depends, f.Header.ConfigDigest != "")
	}
	var changed []string
	for _, name := range f.Sources {
		if s := found.Of(name); s != nil && s.Kind != Finished && len(s.Reasons) > 0 {
			changed = append(changed, name)
		}
	}
	if len(changed) > 0 {
		f.Reasons = append(f.Reasons, "made from "+strings.Join(changed, ", "))
	}
	if field, was, is := before.Differs(f.Header); len(f.Reasons) == 0 {
		f.Reasons = append(f.Reasons, fmt.Sprintf("%s: %s → %s", field, was, is))
	}
	if f.Committed != nil && f.Newest != nil && f.Newest.Revision > f.Committed.Header.Revision && f.fits(*f.Newest) {
		f.Reasons = append(f.Reasons, fmt.Sprintf("%d parts are made again already", f.Made(f.Newest.Revision)))
	}
}
