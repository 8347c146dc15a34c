package fusing

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"os"
	"testing"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/trainer/curriculum"
	"github.com/profuser/profuser/trainer/objective"
	"github.com/profuser/profuser/trainer/optim"
)

// TestShard: the trainer's losses of the demo's target on a small shard are those that the reading example of
// docs/datasets.md computes with PyTorch; testdata/shard.py wrote them. The batch holds all rows, so the first step's
// losses, of the weights before it, are the shard's.
func TestShard(t *testing.T) {
	data, err := os.ReadFile("testdata/shard.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]struct {
		Rows    int
		SFT, KL float64
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	store, err := dataset.OpenStore(t.Context(), "testdata/shard")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Store: store, Out: t.TempDir(), Target: "../../data/models/target", Format: chat.Options{}, Seed: 1, Beta: 0.5,
		Teaching: objective.Teaching{Divergence: objective.KL, Rest: objective.Bucket, Temperature: 1}, Normalize: PerExample,
		Stages: []curriculum.Stage{{Name: "both", Epochs: 1, Inference: 1, Training: 1}}, BatchPrompts: 128, PeakFlops: -1, MaxLength: 256, LearningRate: 1e-5,
		Optimizer: optim.Default(), Backend: "go:ops_sequential", KeepLast: 1, MaxBadSteps: 1, Fresh: true, Log: io.Discard,
	}
	if _, err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	lines, err := os.ReadFile(o.metrics())
	if err != nil {
		t.Fatal(err)
	}
	var first stepLine
	for line := range bytes.Lines(lines) {
		var l stepLine
		if err := json.Unmarshal(line, &l); err == nil && l.Step == 1 && l.Loss != nil {
			first = l
		}
	}
	for mode, got := range map[string]*float64{"inference": first.LossInference, "training": first.LossTraining} {
		if loss := want[mode].SFT + o.Beta*want[mode].KL; want[mode].Rows != 24 || got == nil || math.Abs(*got-loss) > 2e-5 {
			t.Errorf("%s: the trainer's loss is %v, PyTorch's %g of %d rows", mode, got, loss, want[mode].Rows)
		}
	}
	if sft, kl := want["inference"].SFT+want["training"].SFT, want["inference"].KL+want["training"].KL; math.Abs(*first.SFT-sft) > 2e-5 || math.Abs(*first.KL-kl) > 2e-5 {
		t.Errorf("cross-entropies %g and divergences %g, PyTorch's are %g and %g", *first.SFT, *first.KL, sft, kl)
	}
}
