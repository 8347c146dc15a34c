package changes

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/profuser/profuser/internal/config"
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

// Status prints the table of what the configuration makes, as it is there now.
func Status(ctx context.Context, c *config.Config, out io.Writer) error {
	found, _, err := open(ctx, c)
	if err != nil {
		return err
	}
	return found.Print(ctx, out, time.Now())
}

// open looks at the datasets of a configuration without their models.
func open(ctx context.Context, c *config.Config) (Findings, dataset.Store, error) {
	store, err := dataset.OpenStore(ctx, c.Out)
	if err != nil {
		return nil, nil, err
	}
	_, trained := wanted.Trained(store)
	found, err := Examine(ctx, store, wanted.Table(c, nil, "", trained))
	return found, store, err
}

// Clean removes the datasets of steps, or of all, after listing them and what is made from them; nothing unless confirm
// says so.
func Clean(ctx context.Context, c *config.Config, steps []string, out io.Writer, confirm func() (bool, error)) error {
	found, store, err := open(ctx, c)
	if err != nil {
		return err
	}
	var names []string
	going := slices.DeleteFunc(slices.Clone(found), func(f *Finding) bool {
		return f.Kind == Absent || len(steps) > 0 && !slices.Contains(steps, f.Step)
	})
	for _, f := range going {
		names = append(names, f.Dataset.Name)
		fmt.Fprintf(out, "remove  %s (%s)\n", f.Dataset.Name, size(f.Bytes))
	}
	if len(going) == 0 {
		fmt.Fprintf(out, "nothing to remove in %s\n", store.URL())
		return nil
	}
	for _, name := range found.Dependents(names) {
		fmt.Fprintf(out, "keep    %s, which was made from these; it is stale if they come out otherwise\n", name)
	}
	if yes, err := confirm(); err != nil || !yes {
		return err
	}
	if err := Clear(ctx, store, going); err != nil {
		return err
	}
	fmt.Fprintf(out, "removed %d datasets\n", len(going))
	return nil
}
