package fusing

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/trainer/curriculum"
	"github.com/profuser/profuser/trainer/optim"
)

// epoch is one pass of the plan.
type epoch struct {
	stage   curriculum.Stage
	number  int // from 1, over all stages
	last    bool
	needs   flags
	weights [modes]float64
	prompts int
	batches int
	first   int // steps before it
}

// needsOf says which modes weigh something in a stage.
func needsOf(s curriculum.Stage) flags {
	return flags{inference: s.Inference > 0, training: s.Training > 0}
}

// needsOfAll says which modes weigh something anywhere.
func needsOfAll(stages []curriculum.Stage) flags {
	var all flags
	for _, s := range stages {
		if s.Epochs > 0 {
			n := needsOf(s)
			all = flags{all[0] || n[0], all[1] || n[1]}
		}
	}
	return all
}

// plan lists the epochs with their numbers of batches.
func plan(o *Options, c *corpus) ([]epoch, int, error) {
	var epochs []epoch
	total := 0
	for _, s := range o.Stages {
		needs := needsOf(s)
		for i := range s.Epochs {
			n := c.count(needs)
			if n == 0 {
				return nil, 0, fmt.Errorf("stage %s: no prompt has an example to train on (%d rows read, %d too long, %d prompts held out): raise trainer.max_length or lower prompts.holdout", s.Name, c.rows, c.dropped, len(c.held))
			}
			e := epoch{stage: s, number: len(epochs) + 1, last: i == s.Epochs-1, needs: needs, weights: [modes]float64{s.Inference, s.Training}, prompts: n, first: total}
			e.batches = (n + o.BatchPrompts - 1) / o.BatchPrompts
			total += e.batches
			epochs = append(epochs, e)
		}
	}
	return epochs, total, nil
}

// schedule spans all stages.
func schedule(o *Options, total int) optim.Schedule {
	return optim.Schedule{Peak: o.LearningRate, Warmup: int(math.Ceil(o.Warmup * float64(total))), Total: total, Floor: 0.1}
}

// identity is a digest of everything that the result depends on: configuration, model and datasets.
func identity(o *Options, sets [modes]*dataset.Dataset) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "train/1\n%s\n", o.ConfigDigest)
	for m, d := range sets {
		if d == nil {
			continue
		}
		fmt.Fprintf(h, "%s\n", modeNames[m])
		for part := range d.Parts() {
			fmt.Fprintf(h, "%s\n", d.Input(part).SHA256)
		}
	}
	files, err := filepath.Glob(filepath.Join(o.Target, "*"))
	if err != nil {
		return "", err
	}
	slices.Sort(files)
	for _, path := range files {
		if err := sketch(h, path); err != nil {
			return "", fmt.Errorf("reading the target model: %w", err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// sketchWhole is the size up to which a model's files are read whole to identify them.
const sketchWhole = 64 << 20

// sketch hashes a file of a model: its name, size and contents, of a larger file only both ends.
func sketch(h io.Writer, path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return err
	}
	fmt.Fprintf(h, "%s %d\n", filepath.Base(path), info.Size())
	if info.Size() <= sketchWhole {
		_, err = io.Copy(h, f)
		return err
	}
	for _, from := range []int64{0, info.Size() - sketchWhole/2} {
		if _, err = io.Copy(h, io.NewSectionReader(f, from, sketchWhole/2)); err != nil {
			return err
		}
	}
	return nil
}
