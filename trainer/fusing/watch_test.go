package fusing

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// samplesOf reads samples.jsonl.
func samplesOf(t *testing.T, o Options) []sampleLine {
	t.Helper()
	data, err := os.ReadFile(o.samples())
	if err != nil {
		t.Fatal(err)
	}
	var all []sampleLine
	for line := range bytes.Lines(data) {
		var l sampleLine
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

// TestWatch: held-out losses and samples come at the start, each so many steps and at epochs' ends; none is twice, nor
// missing, where a training was stopped; TensorBoard's files have the numbers.
func TestWatch(t *testing.T) {
	watched := func(t *testing.T) Options {
		o := world(t)
		o.EvaluateSteps, o.Samples, o.SampleTokens, o.CheckpointSteps = 3, 2, 8, 1
		return o
	}
	o := watched(t)
	log := &bytes.Buffer{}
	o.Log = log
	steps := mustRun(t, o).Steps
	var ends []string
	for _, m := range lines(t, o) {
		if m["held_out"] != nil {
			ends = append(ends, m["end"].(string))
		}
	}
	if got, want := strings.Join(ends, " "), "start step stage step epoch step stage"; steps != 12 || got != want {
		t.Errorf("%d steps, held-out losses at: %s, want 12 and %s", steps, got, want)
	}
	all := samplesOf(t, o)
	if len(all) != 2*len(ends) {
		t.Fatalf("%d samples for %d moments", len(all), len(ends))
	}
	for i, s := range all {
		if s.ID != all[i%2].ID || !strings.HasPrefix(s.Prompt, "<u>What is ") || !strings.HasSuffix(s.Prompt, "<a>") || (s.Reference != "" && !strings.HasPrefix(s.Reference, "We have ")) {
			t.Errorf("sample %+v", s)
		}
	}
	files, err := filepath.Glob(filepath.Join(o.tensorboard(), "events.out.tfevents.*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("event files %v, %v", files, err)
	}
	events, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for tag, want := range map[string]int{"loss/batch": steps, "loss/training": steps - 4, "optimizer/learning_rate": steps, "speed/wait_share": steps, "held_out/training_sft": len(ends), "sample/1": len(ends)} {
		if got := bytes.Count(events, []byte(tag)); got != want {
			t.Errorf("TensorBoard has %d values of %s, want %d", got, tag, want)
		}
	}
	if text := log.String(); !strings.Contains(text, "utilisation ") || !strings.Contains(text, "wait ") || !strings.Contains(text, "(inference ") || strings.Contains(text, "trainer.peak_flops") {
		t.Errorf("progress:\n%s", text)
	}

	again := watched(t)
	for _, stop := range []int{2, 3, 4, 8} {
		again.StopAfter = stop
		if _, err := Run(context.Background(), again); !errors.Is(err, ErrStopped) {
			t.Fatal(err)
		}
	}
	again.StopAfter = 0
	mustRun(t, again)
	if diff := cmp.Diff(lines(t, o), lines(t, again)); diff != "" {
		t.Errorf("metrics (-unbroken +resumed):\n%s", diff)
	}
	if diff := cmp.Diff(all, samplesOf(t, again)); diff != "" {
		t.Errorf("samples (-unbroken +resumed):\n%s", diff)
	}
	again.Fresh, again.Holdout = true, 0
	if _, err := Run(context.Background(), again); err == nil || !strings.Contains(err.Error(), "raise prompts.holdout") {
		t.Errorf("samples without held-out prompts: %v", err)
	}
	again.Samples, again.StopAfter, again.PeakFlops = 0, 1, 0
	again.Log = log
	if _, err := Run(context.Background(), again); !errors.Is(err, ErrStopped) {
		t.Fatal(err)
	}
	if _, err := os.Stat(again.samples()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a fresh start left samples: %v", err)
	}
	if !strings.Contains(log.String(), "(trainer.peak_flops)") {
		t.Error("the peak was not measured")
	}
}
