// Package best owns the models that a training keeps because they were best on the held-out prompts.
//
// Flow in: at each reading of the held-out prompts the step, the loss and a function that saves the model; flow out: a
// folder with the n models of the lowest losses, each with held_out.json, which says step and loss.
//
// The folder is its own record: a training that goes on after a kill reads it there, and saves a step again over itself,
// so that it ends with the same models as an undisturbed one.
//
// Not here: how the loss is measured (trainer/fusing) and how a model is saved (trainer/result).
package best

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// RecordFile is the name of a model's record.
const RecordFile = "held_out.json"

// Record says why a model is kept.
type Record struct {
	// Step is the number of training steps.
	Step int `json:"step"`
	// Loss is the mean of the modes' losses on the held-out prompts, in nats a token.
	Loss float64 `json:"loss"`
	// Losses are the modes' own.
	Losses map[string]float64 `json:"losses"`
}

// Mean is the loss by which models are compared: every mode with held-out examples counts the same, whatever a stage
// weighs. It is 0 without modes.
func Mean(losses map[string]float64) float64 {
	var sum float64
	for _, mode := range slices.Sorted(maps.Keys(losses)) {
		sum += losses[mode]
	}
	return sum / max(1, float64(len(losses)))
}

// name is the folder of a step's model.
func name(step int) string { return fmt.Sprintf("step-%09d", step) }

// Keep saves the model if it is among the n best of folder, and removes what no longer is. Of equal losses the earlier
// step is better.
func Keep(folder string, n int, r Record, save func(dir string) error) error {
	kept, err := Kept(folder)
	if err != nil {
		return err
	}
	kept = slices.DeleteFunc(kept, func(k Record) bool { return k.Step == r.Step })
	all := append(kept, r)
	slices.SortFunc(all, better)
	if slices.IndexFunc(all, func(k Record) bool { return k.Step == r.Step }) < n {
		dir := filepath.Join(folder, name(r.Step))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return fmt.Errorf("keeping the best models: %w", err)
		}
		if err := save(dir); err != nil {
			return err
		}
		b, err := json.Marshal(r)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, RecordFile), append(b, '\n'), 0o644)
		}
		if err != nil {
			return fmt.Errorf("keeping the best models: %w", err)
		}
	}
	for _, k := range all[min(n, len(all)):] {
		if err := os.RemoveAll(filepath.Join(folder, name(k.Step))); err != nil {
			return fmt.Errorf("keeping the best models: %w", err)
		}
	}
	return nil
}

// better orders records, best first.
func better(a, b Record) int { return cmp.Or(cmp.Compare(a.Loss, b.Loss), cmp.Compare(a.Step, b.Step)) }

// Kept lists the models of a folder, best first. A folder without a readable record is no model: a kill left it.
func Kept(folder string) ([]Record, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("looking for the best models: %w", err)
	}
	var kept []Record
	for _, e := range entries {
		var r Record
		b, err := os.ReadFile(filepath.Join(folder, e.Name(), RecordFile))
		if err != nil || json.Unmarshal(b, &r) != nil || name(r.Step) != e.Name() {
			if err := os.RemoveAll(filepath.Join(folder, e.Name())); err != nil {
				return nil, fmt.Errorf("looking for the best models: %w", err)
			}
			continue
		}
		kept = append(kept, r)
	}
	slices.SortFunc(kept, better)
	return kept, nil
}
