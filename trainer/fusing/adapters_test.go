package fusing

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/trainer/best"
	"github.com/profuser/profuser/trainer/card"
	"github.com/profuser/profuser/trainer/loop"
	"github.com/profuser/profuser/trainer/lora"
	"github.com/profuser/profuser/trainer/optim"
)

// stepLosses are those of a training.
func stepLosses(t *testing.T, o Options) (all []float64) {
	t.Helper()
	for _, m := range lines(t, o) {
		if m["loss"] != nil {
			all = append(all, m["loss"].(float64))
		}
	}
	return all
}

// TestMoments: with bfloat16 moments the loss falls as with float32 ones, and their files are half as large.
func TestMoments(t *testing.T) {
	wide, narrow := world(t), world(t)
	narrow.Optimizer.Moments = optim.BFloat16
	for _, o := range []Options{wide, narrow} {
		o.StopAfter = 4 // the end of the first stage
		if _, err := Run(context.Background(), o); !errors.Is(err, ErrStopped) {
			t.Fatal(err)
		}
	}
	a, b := stepLosses(t, wide), stepLosses(t, narrow)
	fall := a[0] - a[3]
	differ := false
	for i := range a {
		if math.Abs(a[i]-b[i]) > 0.001*fall {
			t.Errorf("step %d: loss %.5f with float32 moments, %.5f with bfloat16 ones; it falls by %.5f in four steps", i+1, a[i], b[i], fall)
		}
		differ = differ || a[i] != b[i]
	}
	if !differ || fall <= 0 {
		t.Errorf("the curves are equal, or rise by %g: nothing was compared", -fall)
	}
	size := func(o Options) int64 {
		info, err := os.Stat(filepath.Join(o.checkpoints(), loop.CheckpointName(len(a)), "second_moments.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	if x, y := size(wide), size(narrow); y > x/2+3000 { // the header stays
		t.Errorf("moments take %d bytes as float32, %d as bfloat16", x, y)
	}
}

// TestAdapters: training adapters lowers the loss on held-out prompts, changes no weight but the adapted ones, and goes on
// after a stop with the same numbers; the best models are those of the lowest losses.
func TestAdapters(t *testing.T) {
	prepare := func() Options {
		o := world(t)
		o.LoRA = &lora.Options{Rank: 4, Alpha: 8, Targets: []string{"q_proj", "up_proj"}}
		o.Optimizer.Moments, o.LearningRate, o.KeepBest, o.KeepEpochs = optim.BFloat16, 2e-2, 2, false
		return o
	}
	whole, stopped := prepare(), prepare()
	mustRun(t, whole)
	stopped.StopAfter = 4
	if _, err := Run(context.Background(), stopped); !errors.Is(err, ErrStopped) {
		t.Fatal(err)
	}
	stopped.StopAfter = 0
	mustRun(t, stopped)
	before, after := weights(t, whole.Target), weights(t, whole.model())
	if diff := cmp.Diff(after, weights(t, stopped.model())); diff != "" {
		t.Errorf("a stopped training ends with other weights: %s", diff)
	}
	if diff := cmp.Diff(lines(t, whole), lines(t, stopped)); diff != "" {
		t.Errorf("a stopped training has other metrics: %s", diff)
	}
	for name := range before {
		adapted := strings.Contains(name, "q_proj") || strings.Contains(name, "up_proj")
		if cmp.Equal(before[name], after[name]) == adapted {
			t.Errorf("weight %s: adapted %v, equal %v", name, adapted, !adapted)
		}
	}
	readings, _, err := card.Readings(whole.metrics())
	if err != nil || len(readings) != 4 {
		t.Fatalf("%d readings, %v", len(readings), err)
	}
	for mode, loss := range readings[3].Losses() {
		if first := readings[0].Losses()[mode]; loss >= first {
			t.Errorf("the held-out loss of %s mode goes from %g to %g", mode, first, loss)
		}
	}
	kept, err := best.Kept(whole.best())
	if err != nil || len(kept) != 2 || kept[0].Loss > kept[1].Loss {
		t.Errorf("best models %+v, %v", kept, err)
	}
	if diff := cmp.Diff(after, weights(t, filepath.Join(whole.best(), loop.CheckpointName(kept[0].Step)))); (diff == "") != (kept[0].Step == len(stepLosses(t, whole))) {
		t.Errorf("the best model is of step %d; is it the last: %v", kept[0].Step, diff == "")
	}
}

// TestOtherTraining: what differs is named.
func TestOtherTraining(t *testing.T) {
	o := world(t)
	o.Settings, o.StopAfter = map[string]string{"trainer.clip": "1"}, 3
	if _, err := Run(context.Background(), o); !errors.Is(err, ErrStopped) {
		t.Fatal(err)
	}
	o.ConfigDigest, o.Settings, o.Log = "other", map[string]string{"trainer.clip": "2"}, &bytes.Buffer{}
	if _, err := Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), "step-000000003 is of another training: trainer.clip was 1, is 2: go back") {
		t.Errorf("got %v", err)
	}
}
