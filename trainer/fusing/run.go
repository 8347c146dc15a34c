package fusing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/trainer/loop"
)

// Result says what a run did.
type Result struct {
	// Skipped is true when the training was finished before.
	Skipped bool
	// Steps is the number of batches in all, Rows that of examples read, Seconds the time spent, earlier runs included.
	Steps, Rows int
	Seconds     float64
}

// Run trains to the end, from wherever an earlier run was.
func Run(ctx context.Context, o Options) (Result, error) {
	if err := o.validate(); err != nil {
		return Result{}, err
	}
	format, err := chat.Load(o.Target, o.Format)
	if err != nil {
		return Result{}, err
	}
	needs := needsOfAll(o.Stages)
	var sets [modes]*dataset.Dataset
	for m := range modes {
		if needs[m] {
			if sets[m], err = openSet(ctx, o.Store, m, format.Tokenizer().Fingerprint()); err != nil {
				return Result{}, err
			}
		}
	}
	digest, err := identity(&o, sets)
	if err != nil {
		return Result{}, err
	}
	if o.Fresh {
		if err := o.clear(); err != nil {
			return Result{}, err
		}
	}
	if done, err := o.finished(digest); done || err != nil {
		return Result{Skipped: done}, err
	}
	t, err := prepare(ctx, &o, format, sets, digest)
	if err != nil {
		return Result{}, err
	}
	if err := t.run(ctx); err != nil {
		return Result{}, err
	}
	return Result{Steps: t.total, Rows: t.corpus.rows, Seconds: t.state.Seconds}, nil
}

// Places under the output folder.
func (o *Options) model() string       { return filepath.Join(o.Out, "model") }
func (o *Options) checkpoints() string { return filepath.Join(o.Out, "trainer", "checkpoints") }
func (o *Options) metrics() string     { return filepath.Join(o.Out, "trainer", "metrics.jsonl") }
func (o *Options) done() string        { return filepath.Join(o.Out, "trainer", "done.json") }
func (o *Options) epochs() string      { return filepath.Join(o.Out, "trainer", "epochs") }

// clear removes what earlier runs wrote.
func (o *Options) clear() error {
	for _, path := range []string{o.done(), o.model(), o.checkpoints(), o.metrics(), o.epochs()} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("starting over: %w", err)
		}
	}
	return nil
}

// mark is done.json, written last.
type mark struct {
	Digest string `json:"digest"`
	Steps  int    `json:"steps"`
}

// finished reports whether the same training was finished; one of another digest is an error.
func (o *Options) finished(digest string) (bool, error) {
	b, err := os.ReadFile(o.done())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("looking for a finished training: %w", err)
	}
	var m mark
	if err := json.Unmarshal(b, &m); err != nil {
		return false, fmt.Errorf("reading %s: %w; remove it to train again", o.done(), err)
	}
	if m.Digest != digest {
		return false, fmt.Errorf("%s holds the result of another configuration, model or dataset (digest %.12s, now %.12s): go back to that, choose another out, or start over with --resume never", o.model(), m.Digest, digest)
	}
	if _, err := os.Stat(filepath.Join(o.model(), "config.json")); err != nil {
		return false, nil // the model was removed: the last checkpoint makes it again
	}
	fmt.Fprintf(o.Log, "train: finished before, %d steps: %s\n", m.Steps, o.model())
	return true, nil
}

// prepare loads everything.
func prepare(ctx context.Context, o *Options, format *chat.Format, sets [modes]*dataset.Dataset, digest string) (*trainer, error) {
	config, err := decoder.ReadConfig(o.Target)
	if err != nil {
		return nil, err
	}
	if size := format.Tokenizer().Size(); size > config.VocabSize() {
		return nil, fmt.Errorf("target %s: the tokenizer has %d tokens, the model's vocabulary only %d", o.Target, size, config.VocabSize())
	}
	if err := loop.Trainable(config); err != nil {
		return nil, fmt.Errorf("target %s: %w", o.Target, err)
	}
	if config, err = loop.Computing(config, o.Backend, o.Precision, o.Recompute); err != nil {
		return nil, err
	}
	dtype, err := storageType(o.Target)
	if err != nil {
		return nil, err
	}
	t := &trainer{o: o, format: format, config: config, dtype: dtype, saved: time.Now()}
	t.state.Digest = digest
	if t.corpus, err = openCorpus(ctx, o, sets, min(o.MaxLength, config.Context()), config.VocabSize()); err != nil {
		return nil, err
	}
	if t.plan, t.total, err = plan(o, t.corpus); err != nil {
		return nil, err
	}
	t.schedule = schedule(o, t.total)
	store, err := decoder.LoadStore(o.Target, config)
	if err != nil {
		return nil, err
	}
	if t.learner, err = loop.NewLearnerOn(o.Backend, o.Devices, store, o.Optimizer, fusionModel(config, o.Teaching)); err != nil {
		return nil, err
	}
	if t.forward, err = t.learner.NewForward(fusionLosses(config, o.Teaching)); err != nil {
		return nil, err
	}
	return t, nil
}

// storageType is the target's torch_dtype, which the result keeps.
func storageType(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return "", fmt.Errorf("reading the target model: %w", err)
	}
	var c struct {
		Torch string `json:"torch_dtype"`
		DType string `json:"dtype"`
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return "", fmt.Errorf("reading %s: %w", filepath.Join(dir, "config.json"), err)
	}
	for _, t := range []string{c.Torch, c.DType} {
		if t == "bfloat16" || t == "float16" || t == "float32" {
			return t, nil
		}
	}
	return "float32", nil
}
