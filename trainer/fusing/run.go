package fusing

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/models/processor"
	"github.com/profuser/profuser/trainer/curriculum"
	"github.com/profuser/profuser/trainer/identity"
	"github.com/profuser/profuser/trainer/loop"
	"github.com/profuser/profuser/trainer/lora"
	"github.com/profuser/profuser/trainer/memory"
	"github.com/profuser/profuser/trainer/objective"
	"github.com/profuser/profuser/trainer/result"
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
			if err := checkFused(sets[m], o.Fused); err != nil {
				return Result{}, err
			}
		}
	}
	id, err := o.identify(sets)
	if err != nil {
		return Result{}, err
	}
	if !o.Fresh {
		if done, err := o.finished(id); done || err != nil {
			return Result{Skipped: done}, err
		}
	}
	t, err := prepare(ctx, &o, format, sets, id)
	if ctx.Err() != nil {
		return Result{}, fmt.Errorf("%w before the first step", ErrStopped)
	} else if err != nil {
		return Result{}, err
	}
	defer t.corpus.close()
	if o.Fresh { // only now that all is checked
		if err := o.clear(); err != nil {
			return Result{}, err
		}
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
func (o *Options) samples() string     { return filepath.Join(o.Out, "trainer", "samples.jsonl") }
func (o *Options) tensorboard() string { return filepath.Join(o.Out, "trainer", "tensorboard") }
func (o *Options) done() string        { return filepath.Join(o.Out, "trainer", "done.json") }
func (o *Options) epochs() string      { return filepath.Join(o.Out, "trainer", "epochs") }
func (o *Options) best() string        { return filepath.Join(o.Out, "trainer", "best") }

// identify says what the training depends on.
func (o *Options) identify(sets [modes]*dataset.Dataset) (identity.Identity, error) {
	var named []identity.Set
	for m, d := range sets {
		if d != nil {
			named = append(named, identity.Set{Name: d.Name(), Short: modeNames[m], Dataset: d})
		}
	}
	return identity.Of(identity.Settings{Digest: o.ConfigDigest, Keys: o.Settings}, named, o.Target)
}

// clear removes what earlier runs wrote.
func (o *Options) clear() error {
	for _, path := range []string{o.done(), o.model(), o.checkpoints(), o.metrics(), o.samples(), o.tensorboard(), o.epochs(), o.best()} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("starting over: %w", err)
		}
	}
	return nil
}

// mark is done.json, written last.
type mark struct {
	Digest  string            `json:"digest"`
	Steps   int               `json:"steps"`
	Depends map[string]string `json:"depends,omitempty"`
}

// finished reports whether the same training was finished; one of another digest is an error.
func (o *Options) finished(id identity.Identity) (bool, error) {
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
	if err := id.Refuse("the result in "+o.model(), m.Digest, m.Depends); err != nil {
		return false, err
	}
	if r := (&result.Model{AdapterOnly: o.SaveAdapter}); !r.Whole(o.model()) {
		return false, nil // the model was removed: the last checkpoint makes it again
	}
	fmt.Fprintf(o.Log, "train: finished before, %d steps: %s\n", m.Steps, o.model())
	return true, nil
}

// prepare loads everything.
func prepare(ctx context.Context, o *Options, format *chat.Format, sets [modes]*dataset.Dataset, id identity.Identity) (*trainer, error) {
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
	t := &trainer{o: o, config: config, id: id, sets: sets, saved: time.Now(), shift: curriculum.Start()}
	t.state.Digest, t.state.Depends = id.Digest, id.Items
	if t.corpus, err = openCorpus(ctx, o, sets, min(o.MaxLength, config.Context()), config.VocabSize()); err != nil {
		return nil, err
	}
	if t.plan, t.total, err = plan(o, t.corpus); err != nil {
		return nil, err
	}
	t.schedule = schedule(o, t.total)
	if err := t.fits(ctx); err != nil {
		return nil, err
	}
	store, err := decoder.LoadStore(o.Target, config)
	if err != nil {
		return nil, err
	}
	t.result = result.Model{Store: store, Config: config, DType: dtype, ShardBytes: o.ShardBytes, Base: o.Target, Format: format, AdapterOnly: o.SaveAdapter}
	if o.LoRA != nil {
		if t.result.Adapter, err = lora.Add(store, config, *o.LoRA, o.Seed); err != nil {
			return nil, fmt.Errorf("trainer.lora.%w", err)
		}
	}
	if t.learner, err = loop.NewLearnerOn(o.Backend, o.Devices, store, o.Optimizer, fusionModel(config, o.Teaching)); err != nil {
		return nil, err
	}
	if t.forward, err = t.learner.NewForward(fusionLosses(config, o.Teaching)); err != nil {
		return nil, err
	}
	return t, nil
}

// fits prints what the training takes, and refuses it, with what would fit, where there is less.
func (t *trainer) fits(ctx context.Context) error {
	examples, err := t.sample(ctx)
	if err != nil {
		return err
	}
	backend, err := processor.Open(t.o.Backend)
	if err != nil {
		return fmt.Errorf("opening trainer.backend: %w", err)
	}
	defer backend.Finalize()
	training := memory.Training{
		Config: t.config, LoRA: t.o.LoRA, Moments: t.o.Optimizer.Moments, Backend: backend,
		Build:       func(c decoder.Config) loop.Build { return fusionModel(c, t.o.Teaching) },
		Accelerator: !processor.OnHost(backend), Copies: t.o.Devices, Passes: loop.Passes(backend, t.o.Devices), Positions: t.o.MicroPositions,
		Shapes: func(positions int) (all [][]shapes.Shape) {
			o := *t.o
			o.MicroPositions = positions
			for _, of := range examples {
				all = append(all, largest(cut(of, global{}, &o, [modes]float64{}, objective.Blend{})))
			}
			return all
		},
	}
	estimate, err := training.Of()
	if err != nil {
		return err
	}
	room := t.o.room(training.Accelerator)
	fmt.Fprintf(t.o.Log, "train: memory: %s\n", estimate)
	if err := training.Check(estimate, room); err != nil && !t.o.Force {
		return err
	} else if err != nil {
		fmt.Fprintf(t.o.Log, "warning: %v\n", err)
	}
	if room.Host > 0 {
		debug.SetMemoryLimit(max(estimate.Host(), room.Host/10*9)) // the collector works harder before it comes to that
	}
	return nil
}

// room is how much memory there is: of the machine, and of an accelerator.
func (o *Options) room(accelerator bool) (r memory.Room) {
	r.Host, r.HostSource = memory.Limit(os.DirFS("/"))
	switch {
	case accelerator && o.DeviceMemory > 0:
		r.Device, r.DeviceSource = o.DeviceMemory, "trainer.device_memory"
	case accelerator:
		r.DeviceSource = "nvidia-smi"
		r.Device = memory.Accelerator(func(name string, args ...string) (string, error) {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			out, err := exec.CommandContext(ctx, name, args...).Output()
			return string(out), err
		})
	case o.DeviceMemory > 0:
		r.Host, r.HostSource = o.DeviceMemory, "trainer.device_memory"
	}
	return r
}

// sample is the examples of the first batch of each stage.
func (t *trainer) sample(ctx context.Context) (batches [][]*example, err error) {
	seen := map[string]bool{}
	for _, e := range t.plan {
		if seen[e.stage.Name] {
			continue
		}
		seen[e.stage.Name] = true
		order := t.corpus.order(t.o.Seed, e.number, e.needs)
		prompts, err := order.fetch(ctx, 0, min(len(order.places), t.o.BatchPrompts))
		if err != nil {
			return nil, err
		}
		examples, _ := collect(prompts, e.needs)
		batches = append(batches, examples)
	}
	return batches, nil
}

// largest are the inputs' shapes of the micro-batch with the most positions, and of these the most predicting ones.
func largest(micros []*micro) (inputs []shapes.Shape) {
	m := slices.MaxFunc(micros, func(a, b *micro) int {
		return cmp.Or(a.rows.B*a.rows.S-b.rows.B*b.rows.S, len(a.rows.Index)-len(b.rows.Index))
	})
	for _, x := range m.inputs() {
		inputs = append(inputs, x.(*tensors.Tensor).Shape())
	}
	return inputs
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
