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
		{"progressive", nil, []Stage{{"inference", 1, 1, 0, false}, {"training", 2, 0.1, 1, false}}, ""},
		{"progressive", []int{2, 4}, []Stage{{"inference", 2, 1, 0, false}, {"training", 4, 0.1, 1, false}}, ""},
		{"reverse", nil, []Stage{{"training", 1, 0, 1, false}, {"inference", 2, 1, 0.1, false}}, ""},
		{"simultaneous", []int{1, 2}, []Stage{{"both", 3, 1, 1, false}}, ""},
		{"sft", nil, []Stage{{"references", 3, 0, 1, true}}, ""},
		{"progressive", []int{3}, nil, "curriculum.epochs: 1 entries, progressive has 2 stages"},
		{"progressive", []int{0, 0}, nil, "curriculum.epochs: all are 0: nothing to train"},
		{"progressive", []int{-1, 2}, nil, "curriculum.epochs: -1, must not be negative"},
		{"magic", nil, nil, `curriculum.kind: "magic"; known are inference_only, progressive, reverse, sft, simultaneous, training_only`},
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
