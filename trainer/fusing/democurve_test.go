package fusing

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/trainer/curriculum"
	"github.com/profuser/profuser/trainer/objective"
	"github.com/profuser/profuser/trainer/optim"
)

// TestDemoCurve compares 100 steps of the demo's target on a shard of the demo's data with testdata/democurve.golden, to
// the last digit on the kind of processor that wrote it, and to a thousandth on others, whose vector instructions add
// in another order. Code that is rearranged keeps it; a change that moves it says so in its commit and rewrites it:
//
//	go test ./trainer/fusing -run DemoCurve -rewrite
//
// Objective, optimizer and learning rate are those of fusion.yaml; batches have 2 prompts, so that the test stays short.
func TestDemoCurve(t *testing.T) {
	store, err := dataset.OpenStore(t.Context(), "testdata/shard")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Store: store, Out: t.TempDir(), Target: "../../data/models/target", Seed: 1, Beta: 0.5,
		Teaching: objective.Teaching{Divergence: objective.KL, Rest: objective.Bucket, Temperature: 1}, Normalize: PerExample,
		Stages:       []curriculum.Stage{{Name: "inference", Steps: 33, Inference: 1}, {Name: "training", Steps: 67, Inference: 0.1, Training: 1}},
		BatchPrompts: 2, MaxLength: 256, LearningRate: 1e-3, Warmup: 0.008, Optimizer: optim.Default(), Backend: "go:ops_sequential",
		KeepLast: 1, MaxBadSteps: 1, CheckpointSteps: 1000, Log: io.Discard,
	}
	mustRun(t, o)
	var got []string
	for _, m := range lines(t, o) {
		if m["held_out"] == nil {
			got = append(got, fmt.Sprintf("%v %v %s %s %s %s", m["step"], m["stage"], digits(m["loss"]), digits(m["loss_inference"]), digits(m["loss_training"]), digits(m["grad_norm"])))
		}
	}
	golden := filepath.Join("testdata", "democurve.golden")
	if *rewrite {
		head := []string{"# " + machineKind(), "# step stage loss loss_inference loss_training grad_norm"}
		if err := os.WriteFile(golden, []byte(strings.Join(append(head, got...), "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	b, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(b)), "\n")
	exact := want[0] == "# "+machineKind()
	if want = want[2:]; len(want) != len(got) || len(got) != 100 {
		t.Fatalf("%d steps, the golden curve has %d", len(got), len(want))
	}
	for i := range want {
		if want[i] != got[i] && (exact || !near3(want[i], got[i])) {
			t.Fatalf("%s:%d (exact: %v)\n  want %s\n  got  %s", golden, i+3, exact, want[i], got[i])
		}
	}
}

// digits writes a number with all that it has.
func digits(x any) string {
	if x == nil {
		return "-"
	}
	return strconv.FormatFloat(x.(float64), 'g', -1, 64)
}

// near3 compares lines of numbers to a thousandth.
func near3(a, b string) bool {
	return slices.EqualFunc(strings.Fields(a), strings.Fields(b), func(a, b string) bool {
		x, errX := strconv.ParseFloat(a, 64)
		y, errY := strconv.ParseFloat(b, 64)
		if errX != nil || errY != nil {
			return a == b
		}
		return math.Abs(x-y) <= 1e-3*math.Abs(x)+1e-6
	})
}

// machineKind names what decides the order of sums: the architecture and, where Linux tells, its widest vector instructions.
func machineKind() string {
	name := runtime.GOARCH
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return name
	}
	for _, feature := range []string{"avx2", "fma", "avx512f", "asimd"} {
		if slices.Contains(strings.Fields(string(b)), feature) {
			name += " " + feature
		}
	}
	return name
}
