package pipelines

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/pipelines/changes"
	"github.com/profuser/profuser/pipelines/wanted"
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

// MayRedo sets what may become of changed datasets; without it a run refuses to start.
func (r *Run) MayRedo(a Again) { r.again = a }

// table lists the datasets of the configuration.
func (r *Run) table() []wanted.Dataset {
	models := map[string]wanted.Model{}
	for name, m := range r.checked {
		models[name] = m.Model
	}
	_, trained := wanted.Trained(r.store)
	return wanted.Table(r.config, models, trained)
}

// stand is how datasets stand to what is wanted: all, or those of the names and what they are made from, whose input
// files are then not looked at again.
func (r *Run) stand(ctx context.Context, names ...string) (changes.Findings, error) {
	if r.found != nil {
		return r.found, nil
	}
	table := r.table()
	if len(names) == 0 {
		found, err := changes.Examine(ctx, r.store, table)
		r.found = found
		return found, err
	}
	keep := slices.Clone(names)
	for _, name := range names {
		keep = append(keep, wanted.Of(table, name).Sources...)
	}
	table = slices.DeleteFunc(table, func(d wanted.Dataset) bool { return !slices.Contains(keep, d.Name) })
	for i := range table {
		table[i].Files = nil
	}
	return changes.Examine(ctx, r.store, table)
}

// decide looks at everything that the steps need before any work. What is changed or stale is listed, and an error
// unless it may be made again.
func (r *Run) decide(ctx context.Context, steps []string) error {
	if err := dataset.Tidy(r.store); err != nil {
		return err
	}
	if _, trained := wanted.Trained(r.store); trained && slices.Contains(steps, "evaluate") {
		if err := r.checkModel(ctx, wanted.Fused, false); err != nil {
			return err
		}
	}
	found, err := r.stand(ctx)
	if err != nil {
		return err
	}
	blocked := slices.DeleteFunc(found.Needed(steps...).Blocked(), func(f *changes.Finding) bool { return r.refresh && f.Step == "fuse" })
	foreign := slices.DeleteFunc(slices.Clone(blocked), func(f *changes.Finding) bool { return slices.Contains(steps, f.Step) })
	changed := slices.ContainsFunc(blocked, func(f *changes.Finding) bool { return f.Kind == changes.Changed })
	switch {
	case len(blocked) == 0, len(foreign) == 0 && r.again.Redo, len(foreign) == 0 && !changed && r.again.Retry != nil:
		return nil
	case len(foreign) == 0 && r.again.Overwrite:
		r.found = nil
		return changes.Clear(ctx, r.store, blocked)
	}
	r.say("not what this configuration makes:")
	if err := blocked.Explain(r.out); err != nil {
		return err
	}
	if len(foreign) > 0 && (r.again.Redo || r.again.Overwrite) {
		return fmt.Errorf("%s comes before this step and is %s, as listed: make it again first (profuser run --redo-changed makes all)", foreign[0].Dataset.Name, foreign[0].Kind)
	}
	names := make([]string, len(blocked))
	for i, f := range blocked {
		names[i] = f.Dataset.Name
	}
	return fmt.Errorf("%s in %s: not what this configuration makes, as listed: put things back, choose another --out, or make exactly these again (--redo-changed keeps the old ones until then, --overwrite removes them first)",
		strings.Join(names, ", "), r.store.URL())
}

// RetryRejected makes parts with rejects again, those of the steps given or of all, and what was made from them.
func (r *Run) RetryRejected(ctx context.Context, only []string) error {
	if slices.Contains(only, "ingest") {
		return errors.New("ingest: rejected input rows come out the same again: mend them in the input file, then --redo-changed")
	}
	found, err := r.stand(ctx)
	if err != nil {
		return err
	}
	var steps []string
	r.again.Retry = []string{} // also without rejects, what an earlier retry left stale is made
	for _, name := range Steps {
		here := slices.DeleteFunc(slices.Clone(found), func(f *changes.Finding) bool { return f.Step != name })
		if !slices.ContainsFunc(here, func(f *changes.Finding) bool { return f.Kind != changes.Absent }) {
			continue
		}
		steps = append(steps, name)
		if name == "ingest" || len(only) > 0 && !slices.Contains(only, name) {
			continue
		}
		rejects, err := here.Rejects(ctx)
		if err != nil {
			return err
		}
		for _, line := range rejects {
			r.say("%s", line)
		}
		if len(rejects) > 0 {
			r.again.Retry = append(r.again.Retry, name)
		}
	}
	if len(r.again.Retry) == 0 {
		r.say("no rejects to retry")
	}
	return r.Do(ctx, steps...)
}

// options say what a step may make again.
func (r *Run) options(step string) changes.Options {
	return changes.Options{Redo: r.again.Redo || r.again.Retry != nil, Retry: slices.Contains(r.again.Retry, step)}
}
