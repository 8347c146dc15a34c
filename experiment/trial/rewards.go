package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Score is what reward models say of one checkpoint's answers: mean and deviation over answers.
type Score struct {
	// Epoch is 0 for the target before training.
	Epoch int     `json:"epoch"`
	Mean  float64 `json:"mean"`
	SD    float64 `json:"sd"`
}

// scores is evaluation/rewards.json, kept beside a row's result.
type scores struct {
	Rows []Score `json:"rows"`
}

func (l *Lab) scoresFile(r row) string {
	return filepath.Join(l.Dir, "results", l.rowDigest(r)+".rewards.json")
}

// curve says that each epoch's model is scored, not the final one alone.
func (l *Lab) curve(r row) bool {
	return r.Set != nil && slices.Contains(l.Design.Curves, r.section+"/"+r.Name)
}

// score lets the reward models score a row's answers to the held-out questions.
func (l *Lab) score(ctx context.Context, r row) error {
	ground, dir := l.groundDir(r.condition), l.rowDir(r)
	for _, name := range texts {
		if err := copyFile(filepath.Join(ground, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	args, pattern := []string{"evaluate", filepath.Join(dir, "fusion.yaml"), "--reward"}, "rewards.json"
	for _, option := range r.Set {
		args = append(args, "--set", option)
	}
	if !l.curve(r) {
		args, pattern = append(args, "--model", l.model(r)), "rewards-*.json"
	}
	if err := l.command(ctx, "row-"+l.rowDigest(r), l.Profuser, args...); err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(dir, "evaluation", pattern))
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%s/evaluation has %d files %s, want one", dir, len(found), pattern)
	}
	if err != nil {
		return err
	}
	data, err := os.ReadFile(found[0])
	if err != nil {
		return err
	}
	return errors.Join(write(l.scoresFile(r), data), tidy(dir))
}

// readScores adds a row's rewards to its result; none before they are made.
func (l *Lab) readScores(r row, to *Result) error {
	data, err := os.ReadFile(l.scoresFile(r))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var s scores
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err == nil && len(s.Rows) == 0 {
		err = errors.New("has no rows")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", l.scoresFile(r), err)
	}
	to.Reward = &s.Rows[len(s.Rows)-1].Mean
	if l.curve(r) {
		to.Curve = s.Rows
	}
	return nil
}
