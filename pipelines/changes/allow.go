package changes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Again says what may become of datasets that are not what the configuration makes.
type Again struct {
	// Redo makes them again beside what is there, which stays until the new one is complete.
	Redo bool
	// Overwrite removes them first.
	Overwrite bool
	// Retry names the steps whose parts with rejects are made again, and what was made from them.
	Retry []string
}

// Allow looks at what the steps need. What is changed or stale is listed, and an error unless it may be made again; the
// datasets that are to be removed first are returned. The step except is left out.
func (f Findings) Allow(w io.Writer, url string, steps []string, again Again, except string) (remove Findings, err error) {
	blocked := slices.DeleteFunc(f.Needed(steps...).Blocked(), func(x *Finding) bool { return x.Step == except })
	foreign := slices.DeleteFunc(slices.Clone(blocked), func(x *Finding) bool { return slices.Contains(steps, x.Step) })
	changed := slices.ContainsFunc(blocked, func(x *Finding) bool { return x.Kind == Changed })
	switch {
	case len(blocked) == 0, len(foreign) == 0 && again.Redo, len(foreign) == 0 && !changed && again.Retry != nil:
		return nil, nil
	case len(foreign) == 0 && again.Overwrite:
		return blocked, nil
	}
	fmt.Fprintln(w, "not what this configuration makes:")
	if err := blocked.Explain(w); err != nil {
		return nil, err
	}
	if len(foreign) > 0 && (again.Redo || again.Overwrite) {
		return nil, fmt.Errorf("%s comes before this step and is %s, as listed: make it again first (profuser run --redo-changed makes all)", foreign[0].Dataset.Name, foreign[0].Kind)
	}
	names := make([]string, len(blocked))
	for i, x := range blocked {
		names[i] = x.Dataset.Name
	}
	return nil, fmt.Errorf("%s in %s: not what this configuration makes, as listed: put things back, choose another --out, or make exactly these again (--redo-changed keeps the old ones until then, --overwrite removes them first)",
		strings.Join(names, ", "), url)
}

// Retried finds out which steps of order have rejects to retry, of those in only if there are any, and tells them; steps
// are all that have begun.
func (f Findings) Retried(ctx context.Context, w io.Writer, order, only []string) (steps, retry []string, err error) {
	if slices.Contains(only, order[0]) {
		return nil, nil, errors.New(order[0] + ": rejected input rows come out the same again: mend them in the input file, then --redo-changed")
	}
	retry = []string{} // also without rejects, what an earlier retry left stale is made
	for _, name := range order {
		here := slices.DeleteFunc(slices.Clone(f), func(x *Finding) bool { return x.Step != name })
		if !slices.ContainsFunc(here, func(x *Finding) bool { return x.Kind != Absent }) {
			continue
		}
		steps = append(steps, name)
		if name == order[0] || len(only) > 0 && !slices.Contains(only, name) {
			continue
		}
		rejects, err := here.Rejects(ctx)
		if err != nil {
			return nil, nil, err
		}
		for _, line := range rejects {
			fmt.Fprintln(w, line)
		}
		if len(rejects) > 0 {
			retry = append(retry, name)
		}
	}
	if len(retry) == 0 {
		fmt.Fprintln(w, "no rejects to retry")
	}
	return steps, retry, nil
}
