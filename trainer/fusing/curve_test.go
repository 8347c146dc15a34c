package fusing

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rewrite makes the golden curve anew: go test ./trainer/fusing -run Curve -rewrite
var rewrite = flag.Bool("rewrite", false, "rewrite the golden files")

// TestCurve compares the losses and gradient norms of a whole training with those in testdata/curve.golden. They must
// stay the same when code is rearranged, up to the rounding of other processors; a change that moves them is argued for
// in its commit.
func TestCurve(t *testing.T) {
	o := world(t)
	mustRun(t, o)
	golden := filepath.Join("testdata", "curve.golden")
	var text strings.Builder
	fmt.Fprintf(&text, "%4s %-9s %9s %9s\n", "step", "stage", "loss", "grad_norm")
	var got [][2]float64
	for _, m := range lines(t, o) {
		if m["held_out"] != nil {
			continue
		}
		point := [2]float64{m["loss"].(float64), m["grad_norm"].(float64)}
		got = append(got, point)
		fmt.Fprintf(&text, "%4v %-9s %9.5f %9.5f\n", m["step"], m["stage"], point[0], point[1])
	}
	if *rewrite {
		if err := os.WriteFile(golden, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	b, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(b)), "\n")[1:]
	if len(want) != len(got) {
		t.Fatalf("%d steps, the golden curve has %d", len(got), len(want))
	}
	for i, line := range want {
		var step int
		var stage string
		var loss, norm float64
		if _, err := fmt.Sscan(line, &step, &stage, &loss, &norm); err != nil {
			t.Fatalf("%s:%d: %v", golden, i+2, err)
		}
		if math.Abs(loss-got[i][0]) > 1e-3*loss || math.Abs(norm-got[i][1]) > 1e-2*norm {
			t.Errorf("step %d: loss %.5f, gradient norm %.5f; the golden curve has %.5f, %.5f", step, got[i][0], got[i][1], loss, norm)
		}
	}
}
