package curriculum

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		kind   string
		epochs []int
		want   []Stage
		fault  string
	}{
		{"progressive", nil, []Stage{{Name: "inference", Epochs: 1, Inference: 1}, {Name: "training", Epochs: 2, Inference: 0.1, Training: 1}}, ""},
		{"progressive", []int{2, 4}, []Stage{{Name: "inference", Epochs: 2, Inference: 1}, {Name: "training", Epochs: 4, Inference: 0.1, Training: 1}}, ""},
		{"progressive", []int{0, 4}, []Stage{{Name: "inference", Inference: 1}, {Name: "training", Epochs: 4, Inference: 0.1, Training: 1}}, ""},
		{"reverse", nil, []Stage{{Name: "training", Epochs: 1, Training: 1}, {Name: "inference", Epochs: 2, Inference: 1, Training: 0.1}}, ""},
		{"simultaneous", []int{1, 2}, []Stage{{Name: "both", Epochs: 3, Inference: 1, Training: 1}}, ""},
		{"inference_only", nil, []Stage{{Name: "inference", Epochs: 3, Inference: 1}}, ""},
		{"training_only", []int{5}, []Stage{{Name: "training", Epochs: 5, Training: 1}}, ""},
		{"sft", nil, []Stage{{Name: "references", Epochs: 3, Training: 1, TextOnly: true}}, ""},
		{"adaptive", []int{2, 4}, []Stage{{Name: "adaptive", Epochs: 6, Inference: 1, Training: 1, Adaptive: true}}, ""},
		{"progressive", []int{3}, nil, "curriculum.epochs: 1 entries, progressive has 2 stages"},
		{"progressive", []int{0, 0}, nil, "curriculum.epochs: all are 0: nothing to train"},
		{"progressive", []int{-1, 2}, nil, "curriculum.epochs: -1, must not be negative"},
		{"magic", nil, nil, `curriculum.kind: "magic"; known are adaptive, inference_only, progressive, reverse, sft, simultaneous, training_only, stages`},
	} {
		got, err := Plan(c.kind, c.epochs)
		fault := ""
		if err != nil {
			fault = err.Error()
		}
		if diff := cmp.Diff(c.want, got); diff != "" || fault != c.fault {
			t.Errorf("%s %v: error %q, want %q; stages (-want +got):\n%s", c.kind, c.epochs, fault, c.fault, diff)
		}
	}
}

// TestDefaultEpochs: kinds are compared at equal numbers of passes.
func TestDefaultEpochs(t *testing.T) {
	for kind := range kinds {
		stages, err := Plan(kind, nil)
		if err != nil {
			t.Fatal(err)
		}
		total := 0
		for _, s := range stages {
			total += s.Epochs
		}
		if total != 3 {
			t.Errorf("%s has %d epochs by default, the others 3", kind, total)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		stage Stage
		want  string
	}{
		{Stage{Steps: 3, Inference: 1}, ""},
		{Stage{Epochs: 1, Training: 0.5}, ""},
		{Stage{Epochs: 1, Steps: 3, Inference: 1}, "has 1 epochs and 3 steps, want one of the two"},
		{Stage{Inference: 1}, "has neither epochs nor steps, want one of the two above 0"},
		{Stage{Steps: 3}, "weighs neither mode, want weights.inference or weights.training above 0"},
	} {
		got := ""
		if err := c.stage.Check(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%+v: %q, want %q", c.stage, got, c.want)
		}
	}
}
