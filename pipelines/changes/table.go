package changes

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Blocked are the datasets that are changed or stale.
func (f Findings) Blocked() Findings {
	var out Findings
	for _, x := range f {
		if x.Kind == Changed || x.Kind == Stale {
			out = append(out, x)
		}
	}
	return out
}

// Explain prints each dataset with its step and reasons.
func (f Findings) Explain(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, x := range f {
		what := []string{x.Step, x.Dataset.Name, string(x.Kind)}
		for _, reason := range x.Reasons {
			fmt.Fprintf(t, "%s\t%s\n", strings.Join(what, "\t"), reason)
			what = []string{"", "", ""}
		}
	}
	return t.Flush()
}

// Needed are the findings about datasets of the steps, and about what these are made from.
func (f Findings) Needed(steps ...string) Findings {
	names := map[string]bool{}
	for _, x := range slices.Backward(f) {
		if slices.Contains(steps, x.Step) || names[x.Dataset.Name] {
			names[x.Dataset.Name] = true
			for _, s := range x.Sources {
				names[s] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(f), func(x *Finding) bool { return !names[x.Dataset.Name] })
}

// Dependents names the datasets that are made from one of names, directly or not, and lie there.
func (f Findings) Dependents(names []string) []string {
	gone := map[string]bool{}
	for _, name := range names {
		gone[name] = true
	}
	var out []string
	for _, x := range f {
		if gone[x.Dataset.Name] || !slices.ContainsFunc(x.Sources, func(s string) bool { return gone[s] }) {
			continue
		}
		gone[x.Dataset.Name] = true
		if x.Kind != Absent {
			out = append(out, x.Dataset.Name)
		}
	}
	return out
}

// Print writes the table of `profuser status`: state, parts, rows, rejects, size on disk, time since the last change. Of
// parts that no manifest has yet, the footers are read.
func (f Findings) Print(ctx context.Context, w io.Writer, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "dataset\tstate\tparts\trows\trejects\tsize\tage\t")
	for _, x := range f {
		if x.Kind == Absent {
			fmt.Fprintf(t, "%s\t%s\t\t\t\t\t\t\n", x.Dataset.Name, x.Kind)
			continue
		}
		rows, rejects, err := x.counts(ctx)
		if err != nil {
			return err
		}
		parts := fmt.Sprint(x.Done)
		switch n := max(x.Parts, x.Done); {
		case x.Committed != nil && (x.Kind == Changed || x.Kind == Stale):
			parts = fmt.Sprint(x.Committed.Parts())
		case len(x.Files) > 0 && x.Kind == Unfinished:
			parts += " and more"
		case n > x.Done || x.Kind == Unfinished && x.Parts > 0:
			parts = fmt.Sprintf("%d of %d", x.Done, n)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t\n", x.Dataset.Name, x.Kind, parts, rows, rejects, size(x.Bytes), age(now.Sub(x.State.Changed)))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if blocked := f.Blocked(); len(blocked) > 0 {
		fmt.Fprintln(w)
		return blocked.Explain(w)
	}
	return nil
}

// counts are the rows and rejects of the parts that count: committed ones, and those that no manifest has yet.
func (f *Finding) counts(ctx context.Context) (rows, rejects int64, err error) {
	if f.Committed != nil {
		rows, rejects = f.Committed.Manifest.Rows, f.Committed.Manifest.Rejects
	}
	if f.Kind != Unfinished || f.Newest == nil {
		return rows, rejects, nil
	}
	more, lost, err := f.UncommittedCounts(ctx, f.Newest.Revision)
	return rows + more, rejects + lost, err
}

// size is a number of bytes in words.
func size(bytes int64) string {
	const step = 1024
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	n, i := float64(bytes), 0
	for n >= step && i < len(units)-1 {
		n, i = n/step, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", bytes)
	}
	return fmt.Sprintf("%.1f %s", n, units[i])
}

// age is a time in one unit.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", max(0, d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%.0fm", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0fh", d.Hours())
	}
	return fmt.Sprintf("%.0fd", d.Hours()/24)
}
