package fuse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/sink"
)

func init() {
	register.DoFn3x1[context.Context, sink.Part, func([]byte), error](&statisticsFn{})
	register.Emitter1[[]byte]()
	register.Combiner1[[]byte](&mergeFn{})
	register.DoFn2x1[context.Context, []byte, error](&freezeFn{})
}

// Statistics gathers the scores of all parts as exact sums and freezes them in the file of step.Statistics, created only
// if absent: PCollection<sink.Part> -> nothing. Responses that a filter drops do not count.
func Statistics(s beam.Scope, step Step, url string, parts beam.PCollection) {
	s = s.Scope("fuse.Statistics")
	sums := beam.ParDo(s, &statisticsFn{Step: step, Store: url}, parts)
	beam.ParDo0(s, &freezeFn{Step: step, Store: url}, beam.Combine(s, &mergeFn{}, sums))
}

// statisticsFn sums one part.
type statisticsFn struct {
	Step  Step
	Store string

	inputs *sink.Inputs
}

// ProcessElement emits one part's sums as JSON.
func (f *statisticsFn) ProcessElement(ctx context.Context, p sink.Part, emit func([]byte)) error {
	if f.inputs == nil {
		store, err := dataset.OpenStore(ctx, f.Store)
		if err != nil {
			return sink.Fault(err)
		}
		f.inputs = sink.NewInputs(store)
	}
	sums, err := f.Step.sums(ctx, f.inputs, int(p.Number))
	if err != nil {
		return sink.Fault(fmt.Errorf("statistics of part %d: %w", p.Number, err))
	}
	b, err := json.Marshal(sums)
	if err != nil {
		return sink.Fault(err)
	}
	emit(b)
	return nil
}

// sums counts the scores of the responses that can win: no filter drops them, and their source has not said the same before.
func (s Step) sums(ctx context.Context, in *sink.Inputs, n int) ([]*advantage.Stats, error) {
	kept := map[schemas.ResponseKey]bool{}
	for _, source := range s.Sources {
		if !source.Competes {
			continue
		}
		rows, _, err := generations(ctx, in, source.Generations, n)
		if err != nil {
			return nil, err
		}
		for id, answers := range rows {
			var left []advantage.Response
			for _, g := range answers {
				if s.Method.Filters.Drop(g.Text, g.FinishReason) == "" {
					left = append(left, advantage.Response{Source: g.Source, Sample: g.Sample, Text: g.Text})
				}
			}
			for _, r := range advantage.Distinct(left) {
				kept[schemas.ResponseKey{ID: id, Source: r.Source, Sample: r.Sample}] = true
			}
		}
	}
	var out []*advantage.Stats
	for _, name := range s.Rewards {
		rows, _, err := scores(ctx, in, name, n)
		if err != nil {
			return nil, err
		}
		sum := &advantage.Stats{}
		for key, score := range rows {
			if kept[key] {
				sum.Add(score)
			}
		}
		out = append(out, sum)
	}
	return out, nil
}

// mergeFn adds sums; integers, so that the order does not matter.
type mergeFn struct{}

// MergeAccumulators adds two lists of sums.
func (*mergeFn) MergeAccumulators(a, b []byte) ([]byte, error) {
	var x, y []*advantage.Stats
	if len(a) == 0 {
		return b, nil
	} else if len(b) == 0 {
		return a, nil
	}
	if err := errors.Join(json.Unmarshal(a, &x), json.Unmarshal(b, &y)); err != nil {
		return nil, err
	}
	for k := range x {
		x[k].Merge(y[k])
	}
	return json.Marshal(x)
}

// freezeFn writes the sums once.
type freezeFn struct {
	Step  Step
	Store string
}

// ProcessElement creates the file, only if absent.
func (f *freezeFn) ProcessElement(ctx context.Context, sums []byte) error {
	store, err := dataset.OpenStore(ctx, f.Store)
	if err != nil {
		return sink.Fault(err)
	}
	file := advantage.Statistics{Models: f.Step.Rewards}
	if err := json.Unmarshal(sums, &file.Scores); err != nil {
		return sink.Fault(err)
	}
	if file.Of, err = f.Step.statisticsOf(); err != nil {
		return sink.Fault(err)
	}
	b, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return sink.Fault(err)
	}
	if err := store.Create(ctx, f.Step.Statistics, append(b, '\n')); err != nil && !errors.Is(err, dataset.ErrExists) {
		return sink.Fault(fmt.Errorf("writing %s: %w", f.Step.Statistics, err))
	}
	return nil
}

// statisticsOf is the digest of what the sums depend on.
func (s Step) statisticsOf() (string, error) {
	var competing []string
	for _, source := range s.Sources {
		if source.Competes {
			competing = append(competing, source.Generations)
		}
	}
	b, err := json.Marshal(map[string]any{"rewards": s.Rewards, "competing": competing, "filters": s.Method.Filters})
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8]), err
}

// readStatistics reads the frozen sums, and refuses those of other reward models, competitors or filters.
func (s Step) readStatistics(ctx context.Context, store dataset.Store) ([]*advantage.Stats, error) {
	b, err := store.Read(ctx, s.Statistics)
	if err != nil {
		return nil, fmt.Errorf("reading the statistics of scores: %w", err)
	}
	var f advantage.Statistics
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("reading %s: %w: run fuse with --refresh-stats, which makes it again", s.Statistics, err)
	}
	of, err := s.statisticsOf()
	if err != nil {
		return nil, err
	}
	if f.Of != of || len(f.Scores) != len(s.Rewards) {
		return nil, fmt.Errorf("%s was made with other reward models, sources or filters: run fuse with --refresh-stats, which makes it and what depends on it again", s.Statistics)
	}
	return f.Scores, nil
}
