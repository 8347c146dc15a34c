package changes

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/pipelines/wanted"
	"github.com/profuser/profuser/schemas"
)

// Sweep removes files of the datasets that nobody reads any more.
func (f Findings) Sweep(ctx context.Context) error {
	for _, x := range f {
		if err := x.Sweep(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Clear removes datasets, the last made first, and with those of fuse the statistics of scores.
func Clear(ctx context.Context, store dataset.Store, f Findings) error {
	for _, x := range slices.Backward(f) {
		if err := dataset.Clear(ctx, store, x.Dataset.Name); err != nil {
			return err
		}
		if x.Dataset.Name == wanted.Selections {
			if err := store.Remove(ctx, wanted.Statistics); err != nil {
				return err
			}
		}
	}
	return nil
}

// Rejects says for each dataset with rejects, duplicates aside, how many it has and why: those of the manifest, and
// those of parts that no manifest has yet.
func (f Findings) Rejects(ctx context.Context) ([]string, error) {
	var lines []string
	for _, x := range f {
		codes := map[string]int64{}
		if x.Committed != nil {
			codes = maps.Clone(x.Committed.Manifest.RejectCodes)
		}
		if x.Newest != nil {
			footers, err := x.Uncommitted(ctx, x.Newest.Revision)
			if err != nil {
				return nil, err
			}
			for _, footer := range footers {
				for _, r := range footer.Rejects {
					codes[r.Code]++
				}
			}
		}
		delete(codes, schemas.CodeDuplicate)
		if len(codes) > 0 {
			lines = append(lines, fmt.Sprintf("%-24s rejected %v", x.Dataset.Name, codes))
		}
	}
	return lines, nil
}
