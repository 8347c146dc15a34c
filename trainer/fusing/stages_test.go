package fusing

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/trainer/curriculum"
)

// stopping runs a training that is stopped after each of some steps, then to its end.
func stopping(t *testing.T, o Options, stops ...int) {
	t.Helper()
	for _, stop := range stops {
		o.StopAfter = stop
		if _, err := Run(context.Background(), o); !errors.Is(err, ErrStopped) {
			t.Fatalf("stop after %d: %v", stop, err)
		}
	}
	o.StopAfter = 0
	mustRun(t, o)
}

// sameAs compares metrics and weights with those of an undisturbed run.
func sameAs(t *testing.T, want, got Options) {
	t.Helper()
	if diff := cmp.Diff(lines(t, want), lines(t, got)); diff != "" {
		t.Errorf("metrics (-undisturbed +resumed):\n%s", diff)
	}
	if diff := cmp.Diff(weights(t, want.model()), weights(t, got.model())); diff != "" {
		t.Errorf("weights differ:\n%s", diff)
	}
}

// TestStagesBySteps: stages of so many steps end inside a pass, the schedule spans all of them, a stage's own learning rate
// is its peak, and all that survives being stopped anywhere.
func TestStagesBySteps(t *testing.T) {
	free := func(t *testing.T) Options {
		o := world(t)
		o.BatchPrompts, o.CheckpointSteps = 12, 1
		o.Stages = []curriculum.Stage{
			{Name: "warm", Steps: 5, Inference: 1, LearningRate: 6e-3}, // 36 prompts: a pass of 3 steps, then 2 of the next
			{Name: "skipped", Training: 1},
			{Name: "whole", Epochs: 1, Training: 1},
			{Name: "text", Steps: 1, Inference: 0.5, Training: 0.5, TextOnly: true},
		}
		return o
	}
	o := free(t)
	mustRun(t, o)
	total := 0
	var stages []string
	for _, m := range lines(t, o) {
		if m["held_out"] != nil {
			continue
		}
		total++
		stages = append(stages, m["stage"].(string))
	}
	if got, want := strings.Join(stages, " "), "warm warm warm warm warm whole whole whole text"; got != want {
		t.Fatalf("steps are of stages %s, want %s", got, want)
	}
	plain := schedule(&o, total)
	at := 0
	ends := map[string]int{}
	for _, m := range lines(t, o) {
		if m["held_out"] != nil {
			ends[m["end"].(string)]++
			continue
		}
		at++
		want := plain.Rate(at)
		if m["stage"] == "warm" {
			want *= 2 // its peak is 6e-3, the training's 3e-3
		}
		if got := m["learning_rate"].(float64); math.Abs(got-want) > 1e-15 {
			t.Errorf("step %d of stage %v has learning rate %g, want %g", at, m["stage"], got, want)
		}
		if text := m["loss"].(float64) - m["sft"].(float64); (m["stage"] == "text") != (text == 0) {
			t.Errorf("step %d of stage %v: the divergence adds %g to the loss", at, m["stage"], text)
		}
	}
	if diff := cmp.Diff(map[string]int{"start": 1, "epoch": 1, "stage": 3}, ends); diff != "" {
		t.Errorf("held-out losses (-want +got):\n%s", diff)
	}
	again := free(t)
	stopping(t, again, 2, 3, 4, 5, 8)
	sameAs(t, o, again)
}

// TestAdaptive: weights start at the first stage's, shift to training mode while the held-out loss stalls, are those that the
// rule gives for the losses logged, and go on exactly when stopped.
func TestAdaptive(t *testing.T) {
	adaptive := func(t *testing.T) Options {
		o := world(t)
		o.CheckpointSteps = 3
		o.Stages = []curriculum.Stage{{Name: "adaptive", Epochs: 3, Inference: 1, Training: 1, Adaptive: true}}
		o.Adaptive = curriculum.Settings{Decisions: 6, Step: 0.5, Enough: 0.1}
		return o
	}
	o := adaptive(t)
	mustRun(t, o)
	shift, decisions, want := curriculum.Start(), 0, [2]float64{1, 0}
	for _, m := range lines(t, o) {
		d, ok := m["decision"].(map[string]any)
		if !ok {
			if m["loss"] == nil {
				continue
			}
			loss := 0.0
			for i, part := range []string{"loss_inference", "loss_training"} {
				if of, ok := m[part].(float64); ok {
					loss += want[i] * of
				} else if want[i] > 0 {
					t.Errorf("step %v has no %s", m["step"], part)
				}
			}
			if math.Abs(loss-m["loss"].(float64)) > 1e-12 {
				t.Errorf("step %v has loss %v, by its weights %g", m["step"], m["loss"], loss)
			}
			continue
		}
		decisions++
		loss := d["held_out"].(map[string]any)["inference"].(map[string]any)["loss"].(float64)
		shift, _ = shift.Decide(o.Adaptive, int(m["step"].(float64)), loss)
		want[0], want[1] = shift.Weights()
		if d["weight_inference"] != want[0] || d["weight_training"] != want[1] || d["shift"] != shift.S {
			t.Errorf("step %v decides %v, the rule gives %v", m["step"], d, want)
		}
	}
	if decisions != 6 || shift.S == 0 {
		t.Errorf("%d decisions, the last shift is %g; want 6 and a shift", decisions, shift.S)
	}
	again := adaptive(t)
	stopping(t, again, 2, 6, 7)
	sameAs(t, o, again)

	none := adaptive(t)
	none.Holdout = 0
	if _, err := Run(context.Background(), none); err == nil || !strings.Contains(err.Error(), "raise prompts.holdout") {
		t.Errorf("without held-out prompts: %v", err)
	}
	none = adaptive(t)
	none.Adaptive.Enough = 0
	if _, err := Run(context.Background(), none); err == nil || !strings.Contains(err.Error(), "curriculum.adaptive.enough") {
		t.Errorf("no improvement is enough: %v", err)
	}
}

// TestFused: a dataset of another method is refused, with the keys that differ.
func TestFused(t *testing.T) {
	d := &dataset.Dataset{Header: dataset.Header{Depends: map[string]string{"align.method": "exact", "sources": "[a]", "models.a files": "digest 1", "fuse.chunks": "true"}}}
	for _, c := range []struct {
		want  map[string]string
		fault string
	}{
		{map[string]string{"align.method": "exact", "sources": "[a]", "fuse.chunks": "true"}, ""},
		{nil, ""},
		{map[string]string{"align.method": "statistics", "fuse.keep": "all", "sources": "[a]"}, "align.method is statistics, the dataset has exact; fuse.keep is all, the dataset has none; fuse.chunks is not set, the dataset has true; run profuser fuse"},
	} {
		err := checkFused(d, c.want)
		if (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%v: %v, want %q", c.want, err, c.fault)
		}
	}
	if err := checkFused(&dataset.Dataset{}, map[string]string{"align.method": "exact"}); err != nil {
		t.Errorf("a dataset that does not say: %v", err)
	}
}
