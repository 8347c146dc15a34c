package loop

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/trainer/identity"
	"github.com/profuser/profuser/trainer/optim"
)

// pulling is a learner whose gradient is the input times each weight.
func pulling(t testing.TB) *Learner {
	t.Helper()
	_, store := rewarding(t)
	l, err := NewLearner("", store, optim.Default(), func(_ *model.Scope, in []*graph.Node) ([]*graph.Node, map[string]*graph.Node) {
		gradients := map[string]*graph.Node{}
		for v := range store.IterVariables() {
			if name := decoder.TensorName(v.Path()); name != "score.weight" { // one without gradient
				gradients[name] = graph.Mul(v.NodeValue(in[0].Graph()), in[0])
			}
		}
		return []*graph.Node{in[0]}, gradients
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func step(t testing.TB, l *Learner, inputs ...float32) {
	t.Helper()
	for _, x := range inputs {
		if _, err := l.Accumulate(x); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Apply(1e-2, 0.5); err != nil {
		t.Fatal(err)
	}
}

func all(t testing.TB, l *Learner) [][]float32 {
	t.Helper()
	var out [][]float32
	for i, w := range l.weights {
		x, err := tensors.CopyFlatData[float32](w)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, x, l.parameters[i].First.Values(), l.parameters[i].Second.Values())
	}
	return out
}

func TestAccumulateSums(t *testing.T) {
	a, b := pulling(t), pulling(t)
	step(t, a, 1, 2, -0.5)
	step(t, b, 2.5)
	if diff := cmp.Diff(all(t, b), all(t, a), cmp.Comparer(func(x, y float32) bool { return math.Abs(float64(x-y)) < 1e-6 })); diff != "" {
		t.Errorf("three micro-batches differ from their sum:\n%s", diff)
	}
}

func TestNotFinite(t *testing.T) {
	l := pulling(t)
	step(t, l, 1)
	before := all(t, l)
	if _, err := l.Accumulate(float32(math.Inf(1))); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Apply(1e-2, 1); !errors.Is(err, ErrNotFinite) {
		t.Errorf("got %v, want ErrNotFinite", err)
	}
	if diff := cmp.Diff(before, all(t, l)); diff != "" || l.Step() != 1 {
		t.Errorf("a bad step was applied: step %d\n%s", l.Step(), diff)
	}
	if _, err := l.Apply(1e-2, 1); err == nil {
		t.Error("a step without a batch was applied")
	}
}

func TestCheckpoints(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "checkpoints")
	l := pulling(t)
	var want [][]float32
	for i := 1; i <= 4; i++ {
		step(t, l, float32(i))
		if err := l.Save(folder, State{Step: i, Digest: "d"}, 2); err != nil {
			t.Fatal(err)
		}
		if i == 3 {
			want = nil
			for _, x := range all(t, l) {
				want = append(want, append([]float32{}, x...))
			}
		}
	}
	if names, err := checkpoints(folder); err != nil || !cmp.Equal(names, []string{CheckpointName(3), CheckpointName(4)}) {
		t.Errorf("checkpoints %v, %v", names, err)
	}
	flip(t, filepath.Join(folder, CheckpointName(4), weightsFile))
	var warnings bytes.Buffer
	again := pulling(t)
	state, ok, err := again.Resume(folder, identity.Identity{Digest: "d"}, &warnings)
	if err != nil || !ok || state.Step != 3 || again.Step() != 3 {
		t.Fatalf("state %+v, %v, %v", state, ok, err)
	}
	if diff := cmp.Diff(want, all(t, again)); diff != "" {
		t.Errorf("resumed weights and moments differ:\n%s", diff)
	}
	if got := warnings.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "warning: skipping checkpoint") || !strings.Contains(got, "damaged") {
		t.Errorf("warnings %q", got)
	}
	if _, _, err := again.Resume(folder, identity.Identity{Digest: "other"}, &warnings); err == nil || !strings.Contains(err.Error(), "--resume never") {
		t.Errorf("another digest: %v", err)
	}
	if _, ok, err := again.Resume(filepath.Join(folder, "none"), identity.Identity{Digest: "d"}, &warnings); ok || err != nil {
		t.Errorf("an absent folder: %v, %v", ok, err)
	}
}

// flip changes one bit of a file.
func flip(t testing.TB, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		b[len(b)-1] ^= 1
		err = os.WriteFile(path, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
