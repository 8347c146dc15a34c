package pipelines

import (
	"context"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/fusion/align"
	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/fusion/mixture"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/crossentropy"
	"github.com/profuser/profuser/transforms/fuse"
	"github.com/profuser/profuser/transforms/inflight"
)

// statisticsName is the file of the frozen statistics of scores.
const statisticsName = "rewards/_STATS.json"

func targetReadingsName(model string) string { return "crossentropy-responses/" + model }

// RefreshStatistics makes the step fuse remove the frozen statistics of scores and what depends on them, when its inputs
// are there, and make them again.
func (r *Run) RefreshStatistics() { r.refresh = true }

// removeStatistics removes the statistics and what depends on them.
func (r *Run) removeStatistics(ctx context.Context, inputs []string) error {
	for _, name := range inputs {
		if _, err := r.open(ctx, name); err != nil {
			return err
		}
	}
	if err := r.store.Remove(ctx, statisticsName); err != nil {
		return err
	}
	for _, name := range []string{selectionsName, fusionName(schemas.ModeInference), fusionName(schemas.ModeTraining)} {
		keys, err := r.store.List(ctx, name+"/")
		if err != nil {
			return err
		}
		for _, key := range slices.Backward(keys) { // parts before the manifest and header that speak of them
			if err := r.store.Remove(ctx, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// targetReads says whether the target's readings of the responses are needed: winners are picked by them, or distributions
// are transported to them.
func (r *Run) targetReads() bool {
	return r.config.Advantage.Inference.Method == advantage.Perplexity || r.config.Align.Method == align.MethodTransport
}

// crossEntropyResponses lets the target read every response, if the method needs it.
func (r *Run) crossEntropyResponses(ctx context.Context) (err error) {
	if !r.targetReads() {
		r.say("%-24s method %s does not need it", "crossentropy-responses", r.config.Advantage.Inference.Method)
		return nil
	}
	defer closing(&err, crossentropy.Models.Close)
	target := r.config.Target.Model
	for _, name := range r.competitors() {
		h, f := r.describe(schemas.TeacherForcingSchema, "crossentropy", target, true)
		h.ConfigDigest = r.digest("crossentropy-responses", append([]string{target}, r.competitors()...)...)
		f.ConfigDigest = h.ConfigDigest
		reader := tolerating(r.model(target), r.config.CrossEntropy.MaxRejects, r.rows(ctx, promptsName)*int64(r.config.Generate.Samples))
		step := crossentropy.Step{
			Source: reader, Responses: generationsName(name), Prompts: promptsName, Output: targetReadingsName(name), Footer: f, Truncate: r.truncate(),
		}
		err := r.parts(ctx, "crossentropy-responses", promptsName, job{
			label: "responses of " + name, rowsEach: r.config.Generate.Samples, inputs: []string{step.Responses}, outputs: []output{{step.Output, h}}, maxRejects: r.config.CrossEntropy.MaxRejects,
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
	scored, err := r.store.Exists(ctx, statisticsName)
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

// Work is a dataset to be filled in a model's place.
type Work struct {
	Model                 inflight.Model
	Step, Prompts, Output string
	Header                dataset.Header
	Footer                dataset.Footer
	Truncate              dist.Truncate
}

// InPlaceOf describes the dataset that a step (generate or reward) would let a model write.
func (r *Run) InPlaceOf(step, model string) Work {
	w := Work{Model: r.model(model), Step: step, Prompts: promptsName, Output: generationsName(model), Truncate: r.truncate()}
	schema := schemas.GenerationSchema
	if step == "reward" {
		w.Output, schema = rewardsName(model), schemas.RewardSchema
	}
	w.Header, w.Footer = r.describe(schema, step, model, step == "generate")
	return w
}

// Fill runs a step of another's over the parts of the prompts.
func (r *Run) Fill(ctx context.Context, w Work, inputs []string, maxRejects float64, build func(s beam.Scope, url string, open int, parts beam.PCollection) beam.PCollection) error {
	return r.parts(ctx, "import", w.Prompts, job{label: "import " + w.Model.Name, inputs: inputs, outputs: []output{{w.Output, w.Header}}, maxRejects: maxRejects, build: build})
}
