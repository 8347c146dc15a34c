package pipelines

import (
	"context"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/profuser/profuser/fusion/align"
	"github.com/profuser/profuser/transforms/fuse"
)

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
