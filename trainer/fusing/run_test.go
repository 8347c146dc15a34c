package fusing

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/models/safetensors"
	"github.com/profuser/profuser/trainer/curriculum"
	"github.com/profuser/profuser/trainer/objective"
	"github.com/profuser/profuser/trainer/optim"
	"github.com/profuser/profuser/trainer/trainertest"
)

// world is a target and a fusion dataset of 40 prompts.
func world(t testing.TB) Options {
	t.Helper()
	root := t.TempDir()
	target := filepath.Join(root, "target")
	if err := os.MkdirAll(target, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := trainertest.WriteTokenizer(target); err != nil {
		t.Fatal(err)
	}
	config, err := decoder.ParseConfig([]byte(trainertest.Llama))
	if err != nil {
		t.Fatal(err)
	}
	store, err := decoder.InitStore(config, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := decoder.SaveStore(store, config, target, "float32"); err != nil {
		t.Fatal(err)
	}
	format, err := chat.Load(target, chat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	data, err := dataset.OpenStore(ctx, filepath.Join(root, "data"))
	if err != nil {
		t.Fatal(err)
	}
	if err := trainertest.WriteFusion(ctx, data, format, 40); err != nil {
		t.Fatal(err)
	}
	stages, err := curriculum.Plan("progressive", nil)
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Store: data, Out: filepath.Join(root, "out"), Target: target, ConfigDigest: "test", Seed: 1, Holdout: 0.1, Beta: 0.5,
		Teaching: objective.Teaching{Divergence: objective.KL, Rest: objective.Bucket, Temperature: 1}, Normalize: PerExample, Stages: stages,
		BatchPrompts: 9, PeakFlops: 1e9, MaxLength: 96, LearningRate: 3e-3, Warmup: 0.1, Optimizer: optim.Default(), KeepLast: 2, KeepEpochs: true, MaxBadSteps: 3, Log: &bytes.Buffer{},
	}
}

// lines reads metrics.jsonl without times.
func lines(t testing.TB, o Options) []map[string]any {
	t.Helper()
	b, err := os.ReadFile(o.metrics())
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for line := range strings.Lines(string(b)) {
		m := map[string]any{}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		delete(m, "seconds")
		delete(m, "wait")
		delete(m, "utilisation")
		all = append(all, m)
	}
	return all
}

func weights(t testing.TB, dir string) map[string][]float32 {
	t.Helper()
	f, err := safetensors.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := map[string][]float32{}
	for _, x := range f.Tensors() {
		if all[x.Name], err = f.Float32(x.Name); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func mustRun(t testing.TB, o Options) Result {
	t.Helper()
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRun(t *testing.T) {
	o := world(t)
	r := mustRun(t, o)
	if r.Skipped || r.Steps == 0 || r.Rows != 40+34 {
		t.Errorf("result %+v", r)
	}
	all := lines(t, o)
	first, last := all[0]["held_out"].(map[string]any), all[len(all)-1]["held_out"].(map[string]any)
	for _, mode := range []string{"inference", "training"} {
		before, after := first[mode].(map[string]any)["sft"].(float64), last[mode].(map[string]any)["sft"].(float64)
		if !(after < before) {
			t.Errorf("held-out loss of %s mode went from %g to %g", mode, before, after)
		}
	}
	for _, m := range all {
		if m["loss"] == nil {
			continue
		}
		if loss, parts := m["loss"].(float64), m["sft"].(float64)+o.Beta*m["kl"].(float64); math.Abs(loss-parts) > 1e-9 {
			t.Errorf("step %v: loss %g, sft and kl make %g", m["step"], loss, parts)
		}
		if (m["stage"] == "inference") != (m["loss_training"] == nil) {
			t.Errorf("stage %v has loss_training %v", m["stage"], m["loss_training"])
		}
	}
	for _, dir := range []string{o.model(), filepath.Join(o.epochs(), "3")} {
		c, err := decoder.ReadConfig(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decoder.LoadStore(dir, c); err != nil {
			t.Error(err)
		}
		if _, err := chat.Load(dir, chat.Options{}); err != nil {
			t.Error(err)
		}
	}
	again := o
	log := &bytes.Buffer{}
	again.Log = log
	if r := mustRun(t, again); !r.Skipped || !strings.Contains(log.String(), "finished before") {
		t.Errorf("second run: %+v, %s", r, log)
	}
	again.ConfigDigest = "other"
	if _, err := Run(context.Background(), again); err == nil || !strings.Contains(err.Error(), "--resume never") {
		t.Errorf("another configuration: %v", err)
	}
	again.Fresh = true
	if r := mustRun(t, again); r.Skipped {
		t.Error("a fresh start was skipped")
	}
}

// TestResume stops a training at several places, breaks what a kill may break, and compares with an unbroken run.
func TestResume(t *testing.T) {
	whole := world(t)
	whole.CheckpointSteps = 2
	mustRun(t, whole)
	want := lines(t, whole)
	for _, c := range []struct {
		name  string
		stops []int
		harm  func(t *testing.T, o Options)
	}{
		{"stopped inside and at the ends of epochs", []int{1, 4, 5, 9}, func(*testing.T, Options) {}},
		{"killed after more steps than the checkpoint has", []int{5}, func(t *testing.T, o Options) {
			if err := os.RemoveAll(filepath.Join(o.checkpoints(), "step-000000005")); err != nil {
				t.Fatal(err)
			}
		}},
		{"newest checkpoint cut short, last line too", []int{5}, func(t *testing.T, o Options) {
			cut := func(path string) {
				b, err := os.ReadFile(path)
				if err == nil {
					err = os.WriteFile(path, b[:len(b)-3], 0o644)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			cut(filepath.Join(o.checkpoints(), "step-000000005", "first_moments.safetensors"))
			cut(o.metrics())
			if err := os.MkdirAll(filepath.Join(o.checkpoints(), ".tmp-half"), 0o755); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := world(t)
			o.CheckpointSteps = 2
			for _, stop := range c.stops {
				o.StopAfter = stop
				if _, err := Run(context.Background(), o); !errors.Is(err, ErrStopped) {
					t.Fatalf("stop after %d: %v", stop, err)
				}
			}
			o.StopAfter = 0
			c.harm(t, o)
			mustRun(t, o)
			if diff := cmp.Diff(want, lines(t, o)); diff != "" {
				t.Errorf("metrics (-unbroken +resumed):\n%s", diff)
			}
			if diff := cmp.Diff(weights(t, whole.model()), weights(t, o.model())); diff != "" {
				t.Errorf("weights differ:\n%s", diff)
			}
			if left, _ := os.ReadDir(o.checkpoints()); len(left) != o.KeepLast {
				t.Errorf("%d checkpoints, want %d", len(left), o.KeepLast)
			}
		})
	}
}

// TestBadSteps trains a model that has a NaN.
func TestBadSteps(t *testing.T) {
	o := world(t)
	w := weights(t, o.Target)
	config, err := decoder.ReadConfig(o.Target)
	if err != nil {
		t.Fatal(err)
	}
	w["model.norm.weight"][0] = float32(math.NaN())
	var named []safetensors.Named
	f, err := safetensors.Open(o.Target)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range f.Tensors() {
		named = append(named, safetensors.Named{Name: x.Name, DType: safetensors.F32, Shape: x.Shape, Data: w[x.Name]})
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := safetensors.Write(filepath.Join(o.Target, "model.safetensors"), named); err != nil {
		t.Fatal(err)
	}
	_ = config
	_, err = Run(context.Background(), o)
	if err == nil || !strings.Contains(err.Error(), "trainer.max_bad_steps is 3") {
		t.Fatalf("got %v", err)
	}
	bad := 0
	for _, m := range lines(t, o) {
		if m["bad"] != nil && m["loss"] == nil && len(m["bad"].([]any)) == o.BatchPrompts {
			bad++
		}
	}
	if bad != 3 {
		t.Errorf("%d bad lines, want 3", bad)
	}
}

func TestRefusals(t *testing.T) {
	base := world(t)
	format, err := chat.Load(base.Target, chat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_ = format
	for _, c := range []struct {
		name   string
		change func(t *testing.T, o *Options)
		want   string
	}{
		{"no manifest", func(t *testing.T, o *Options) {
			o.Store = emptyStore(t)
		}, "opening dataset fusion/inference"},
		{"another tokenizer", func(t *testing.T, o *Options) {
			path := filepath.Join(o.Target, "tokenizer.json")
			b, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, []byte(strings.Replace(string(b), `"~": `, `"\u00e9": `, 1)), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, "fuse again for this target"},
		{"unknown divergence", func(_ *testing.T, o *Options) { o.Teaching.Divergence = "x" }, "objective.divergence"},
		{"unknown normalize", func(_ *testing.T, o *Options) { o.Normalize = "x" }, "objective.normalize"},
		{"nothing fits", func(_ *testing.T, o *Options) { o.MaxLength = 16 }, "raise trainer.max_length"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := world(t)
			c.change(t, &o)
			_, err := Run(context.Background(), o)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, c.want)
			}
		})
	}
}

func emptyStore(t testing.TB) dataset.Store {
	t.Helper()
	s, err := dataset.OpenStore(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}
