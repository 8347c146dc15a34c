package records

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/profuser/profuser/internal/dataset"
)

// Step is one step's cost, steps/<step>.json.
type Step struct {
	// Step is the step's name.
	Step string `json:"step"`
	// Seconds is the time that it worked, all runs together.
	Seconds float64 `json:"seconds"`
	// PeakBytes is the largest resident memory of its process.
	PeakBytes int64 `json:"peak_bytes"`
	// Rows is the number of rows read.
	Rows int `json:"rows"`
}

// Order is that of the job; other steps come after these.
var Order = []string{"ingest", "generate", "reward", "crossentropy", "crossentropy-responses", "judge", "fuse", "evaluate", "train", "evaluate-fused", "evaluate-reward"}

// Place is a step's in the order of the job.
func Place(step string) int {
	if k := slices.Index(Order, step); k >= 0 {
		return k
	}
	return len(Order)
}

// Steps reads the records of a run's steps, in the order of the job.
func Steps(ctx context.Context, store dataset.Store) ([]Step, error) {
	keys, err := store.List(ctx, "steps/")
	if err != nil {
		return nil, err
	}
	var out []Step
	for _, k := range keys {
		if path.Ext(k) != ".json" {
			continue
		}
		b, err := store.Read(ctx, k)
		if err != nil {
			return nil, err
		}
		var s Step
		if err := json.Unmarshal(b, &s); err != nil {
			return nil, fmt.Errorf("reading %s: %w", k, err)
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b Step) int { return cmp.Compare(Place(a.Step), Place(b.Step)) })
	return out, nil
}

// Lines reads a file of JSON lines of a run; none before it.
func Lines[T any](ctx context.Context, store dataset.Store, key string) ([]T, error) {
	b, err := store.Read(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	out, err := Parse[T](b)
	if err != nil {
		return nil, fmt.Errorf("reading %s, %w", key, err)
	}
	return out, nil
}

// Parse reads JSON lines; errors name the line.
func Parse[T any](data []byte) ([]T, error) {
	var out []T
	for line := range bytes.Lines(data) {
		if line[len(line)-1] != '\n' {
			break
		}
		var m T
		if err := json.Unmarshal(line, &m); err != nil {
			return nil, fmt.Errorf("line %d: %w", len(out)+1, err)
		}
		out = append(out, m)
	}
	return out, nil
}
