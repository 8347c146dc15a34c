package report

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
)

// Write reads a run and writes report.html, summary.json and life-of-a-prompt.md into its out folder, then the final
// table to w.
func Write(ctx context.Context, c *config.Config, store dataset.Store, w io.Writer) error {
	s, err := summarize(ctx, c, store)
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := replace(ctx, store, "summary.json", append(b, '\n')); err != nil {
		return err
	}
	if err := s.table(w); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n%s/report.html\n", store.URL())
	return err
}

// replace writes an object anew: these files are views of what is there, not data.
func replace(ctx context.Context, store dataset.Store, key string, data []byte) error {
	if err := store.Remove(ctx, key); err != nil {
		return err
	}
	return store.Create(ctx, key, data)
}
