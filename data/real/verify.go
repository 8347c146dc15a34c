package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
)

// verify reads a finished run.
func verify(ctx context.Context, dir string, stdout io.Writer) error {
	store, err := dataset.OpenStore(ctx, dir)
	if err != nil {
		return err
	}
	for _, mode := range schemas.Modes {
		rows, positions, with, won := 0, 0, 0, map[string]int{}
		err := eachExample(ctx, store, "fusion/"+mode, func(e schemas.FusionExample) {
			rows, positions = rows+1, positions+len(e.TextIDs)
			won[e.Source]++
			for _, c := range e.Counts {
				if c > 0 {
					with++
				}
			}
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%s: %d valid examples, %d positions, %.3f of them with a teacher, won %v\n", mode, rows, positions, float64(with)/float64(positions), won)
	}
	metrics, err := os.ReadFile(filepath.Join(dir, "trainer/metrics.jsonl"))
	if err != nil {
		return err
	}
	for _, stage := range []string{"inference", "training"} {
		first, last, err := losses(metrics, stage)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "stage %s: loss %.3f in its first quarter, %.3f in its last\n", stage, first, last)
		if last >= first {
			return fmt.Errorf("the loss of stage %s does not fall", stage)
		}
	}
	return nil
}

// eachExample calls f for every example of a committed fusion dataset after validating it.
func eachExample(ctx context.Context, store dataset.Store, name string, f func(schemas.FusionExample)) error {
	d, err := dataset.Open(ctx, store, name)
	if err != nil {
		return err
	}
	for k := range d.Parts() {
		rows, _, err := dataset.Rows[schemas.FusionExample](ctx, d, k)
		if err != nil {
			return err
		}
		for i := range rows {
			if err := rows[i].Validate(); err != nil {
				return fmt.Errorf("%s part %d: %w", name, k, err)
			}
			f(rows[i])
		}
	}
	return nil
}

// losses are the mean losses of the first and the last quarter of a stage's steps.
func losses(metrics []byte, stage string) (first, last float64, err error) {
	var all []float64
	for line := range bytes.Lines(metrics) {
		var m struct {
			Step  int
			Stage string
			Loss  *float64
		}
		if err := json.Unmarshal(line, &m); err != nil {
			return 0, 0, fmt.Errorf("reading metrics: %w", err)
		}
		if m.Stage == stage && m.Step > 0 && m.Loss != nil {
			all = append(all, *m.Loss)
		}
	}
	quarter := len(all) / 4
	if quarter == 0 {
		return 0, 0, fmt.Errorf("only %d steps in stage %s", len(all), stage)
	}
	for i := range quarter {
		first += all[i] / float64(quarter)
		last += all[len(all)-1-i] / float64(quarter)
	}
	return first, last, nil
}
