package pipelines

import (
	"context"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/fusion/align"
	"github.com/profuser/profuser/fusion/mixture"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/pipelines/wanted"
	"github.com/profuser/profuser/transforms/crossentropy"
	"github.com/profuser/profuser/transforms/fuse"
)

// RefreshStatistics makes the step fuse remove the frozen statistics of scores and what depends on them, when its inputs
// are there, and make them again.
func (r *Run) RefreshStatistics() { r.refresh = true }

// removeStatistics removes the statistics and what depends on them.
func (r *Run) removeStatistics(ctx context.Context) error {
	found, err := r.stand(ctx)
	if err != nil {
		return err
	}
	for _, name := range found.Of(wanted.Selections).Sources {
		if _, err := r.open(ctx, found, name); err != nil {
			return err
		}
	}
	r.found = nil
	if err := r.store.Remove(ctx, wanted.Statistics); err != nil {
		return err
	}
	for _, name := range fused {
		if err := dataset.Clear(ctx, r.store, name); err != nil {
			return err
		}
	}
	return nil
}

// crossEntropyResponses lets the target read every response, if the method needs it.
func (r *Run) crossEntropyResponses(ctx context.Context) (err error) {
	if !wanted.Reads(r.config) {
		r.say("%-24s method %s does not need it", "crossentropy-responses", r.config.Advantage.Inference.Method)
		return nil
	}
	defer closing(&err, crossentropy.Models.Close)
	target := r.config.Target.Model
	for _, name := range r.competitors() {
		reader := tolerating(r.model(target), r.config.CrossEntropy.MaxRejects, r.rows(ctx, wanted.Prompts)*int64(r.config.Generate.Samples))
		step := crossentropy.Step{
			Source: reader, Responses: wanted.Generations(name), Prompts: wanted.Prompts, Output: wanted.TargetReadings(name), Footer: r.footer(wanted.TargetReadings(name)), Truncate: r.truncate(),
		}
		err := r.parts(ctx, "crossentropy-responses", job{
			label: "responses of " + name, calls: reader.Concurrency, rowsEach: r.config.Generate.Samples, outputs: []string{step.Output}, maxRejects: r.config.CrossEntropy.MaxRejects,
			build: func(s beam.Scope, url string, open int, parts beam.PCollection) beam.PCollection {
				return crossentropy.Score(s, step, url, open, parts)
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// method is how the winner among responses is picked.
func (r *Run) method() advantage.Inference {
	in := r.config.Advantage.Inference
	return advantage.Inference{
		Method: in.Method, Single: slices.Index(r.config.Reward.Models, in.Single), Seed: r.config.Seed, Filters: advantage.Filters(in.Filters),
	}
}

// average is how readings are averaged, nil where the lowest wins.
func (r *Run) average() *mixture.Average {
	t := r.config.Advantage.Training
	if t.Method != "average" {
		return nil
	}
	return &mixture.Average{Weights: t.Weights, Temperature: t.Temperature, Measure: r.config.Advantage.CrossEntropy, Truncate: r.truncate()}
}

// countsName is the folder of the co-alignment counts of one configuration, mapsName that of vocabulary maps.
const (
	countsName = "vocabularies/counts-"
	mapsName   = "vocabularies"
)

// alignment is how the step fuse moves distributions; maps are kept beside local results only.
func (r *Run) alignment(digest string) fuse.Alignment {
	a := fuse.Alignment{Method: r.config.Align.Method, Fallback: r.config.Align.Fallback}
	if a.Method == align.MethodExact {
		return a
	}
	a.Maps, _ = r.localPath(mapsName)
	if a.Method == align.MethodStatistics {
		a.Counts = countsName + digest[:min(12, len(digest))]
	}
	return a
}

// beforeFuse gathers what fuse needs of all parts and what is not frozen yet: the statistics of scores, co-alignment counts.
// nil: nothing.
func (r *Run) beforeFuse(ctx context.Context, step fuse.Step) (func(s beam.Scope, url string, parts beam.PCollection), error) {
	scored, err := r.store.Exists(ctx, wanted.Statistics)
	if err != nil {
		return nil, err
	}
	counted := true
	if step.Alignment.Counts != "" {
		keys, err := r.store.List(ctx, step.Alignment.Counts+"/")
		if err != nil {
			return nil, err
		}
		for _, source := range step.Sources {
			counted = counted && slices.Contains(keys, step.Alignment.Counts+"/"+source.Model.Name+".counts")
		}
	}
	if scored && counted {
		return nil, nil
	}
	return func(s beam.Scope, url string, parts beam.PCollection) {
		if !scored {
			fuse.Statistics(s, step, url, parts)
		}
		if !counted {
			fuse.Counts(s, step, url, parts)
		}
	}, nil
}
