package loop

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/trainer/objective"
	"github.com/profuser/profuser/trainer/optim"
	"github.com/profuser/profuser/trainer/trainertest"
)

// TestEngines compares the gradients of the whole trainer graph, network and fusion loss, computed in every way, with those of the Go
// backend's hand-written pass in float32. BACKEND names another backend to compute them on (make test-xla).
func TestEngines(t *testing.T) {
	for _, arch := range []string{trainertest.Llama, trainertest.MPT} {
		reference := gradientsOf(t, arch, "", 1, decoder.Compute{}, 1)
		for name, way := range map[string]struct {
			compute   decoder.Compute
			tolerance float64 // of the norm
		}{
			"plain":               {decoder.Compute{}, 2e-6},
			"recomputed":          {decoder.Compute{Recompute: true}, 2e-6},
			"bfloat16":            {decoder.Compute{BFloat16: true}, 0.04},
			"bfloat16 recomputed": {decoder.Compute{BFloat16: true, Recompute: true}, 0.04},
		} {
			t.Run(arch[:30]+name, func(t *testing.T) {
				got := gradientsOf(t, arch, os.Getenv("BACKEND"), 1, way.compute, 1)
				far := distance(reference, got)
				if !(far <= way.tolerance) || way.compute.BFloat16 && far < 1e-5 {
					t.Errorf("gradients are %.3g of their norm from float32's on the Go backend, want at most %g, and bfloat16 to show", far, way.tolerance)
				}
			})
		}
	}
}

// TestRecompute: on the Go backend recomputing changes no bit.
func TestRecompute(t *testing.T) {
	for _, arch := range []string{trainertest.Llama, trainertest.MPT} {
		if far := distance(gradientsOf(t, arch, "", 1, decoder.Compute{}, 1), gradientsOf(t, arch, "", 1, decoder.Compute{Recompute: true}, 1)); far != 0 {
			t.Errorf("recomputed gradients differ by %g of their norm", far)
		}
	}
}

// TestDevices: one batch, the same cut into micro-batches, and these dealt out to several devices give one gradient, also
// after a step, when the other devices must have got the new weights.
func TestDevices(t *testing.T) {
	backend := os.Getenv("BACKEND")
	one := gradientsOf(t, trainertest.Llama, backend, 1, decoder.Compute{}, 1)
	cut := gradientsOf(t, trainertest.Llama, backend, 1, decoder.Compute{}, 4)
	if far := distance(one, cut); !(far <= 1e-6) {
		t.Errorf("four micro-batches differ from one batch by %g of the gradient's norm", far)
	}
	counts := []int{1, 4}
	if backend == "" { // the Go backend is one device; make test-xla runs the rest
		counts = []int{1}
	}
	for _, n := range counts {
		if far := distance(cut, gradientsOf(t, trainertest.Llama, backend, n, decoder.Compute{}, 4)); far != 0 {
			t.Errorf("%d devices differ from one by %g of the gradient's norm", n, far)
		}
		sumThere = true
		there := gradientsOf(t, trainertest.Llama, backend, n, decoder.Compute{}, 8)
		sumThere = false
		if far := distance(one, there); !(far <= 1e-6) {
			t.Errorf("sums on %d devices differ from one batch by %g of the gradient's norm", n, far)
		}
	}
	_, err := NewLearnerOn(backend, 99, model.NewStore(), optim.Default(), nil)
	if err == nil || !strings.Contains(err.Error(), "trainer.devices: 99, this backend has ") {
		t.Errorf("99 devices: %v", err)
	}
}

func TestComputing(t *testing.T) {
	for _, test := range []struct{ backend, precision, want string }{
		{"go:ops_sequential", "float32", ""},
		{"xla:/a.so", "bfloat16", ""},
		{"go:ops_sequential", "bfloat16", "needs an XLA backend"},
		{"xla:/a.so", "float8", `"float8"; float32 and bfloat16`},
	} {
		c, err := Computing(decoder.Config{}, test.backend, test.precision, true)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s on %s: %v, want %q", test.precision, test.backend, err, test.want)
		}
		if err == nil && (!c.Compute.Recompute || c.Compute.BFloat16 != (test.precision == BFloat16)) {
			t.Errorf("%s on %s: %+v", test.precision, test.backend, c.Compute)
		}
	}
}

// sumThere makes the devices of gradientsOf add gradients as accelerators do.
var sumThere bool

// sharp is a model of random weights, large enough for attention far from uniform.
func sharp(t *testing.T, arch string) (decoder.Config, *model.Store) {
	t.Helper()
	c, err := decoder.ParseConfig([]byte(arch))
	if err != nil {
		t.Fatal(err)
	}
	store, err := decoder.InitStore(c, 5)
	if err != nil {
		t.Fatal(err)
	}
	for v := range store.IterVariables() {
		tensors.MustMutableFlatData(v.MustValue(), func(x []float32) {
			for j := range x {
				x[j] *= 4
			}
		})
	}
	return c, store
}

// gradientsOf are the gradients of the second step of a training on eight rows, cut into so many micro-batches.
func gradientsOf(t *testing.T, arch, backend string, devices int, compute decoder.Compute, micros int) [][]float32 {
	t.Helper()
	c, store := sharp(t, arch)
	c.Compute = compute
	l, err := NewLearnerOn(backend, devices, store, optim.Default(), func(scope *model.Scope, in []*graph.Node) ([]*graph.Node, map[string]*graph.Node) {
		n := NewNetwork(scope, c, in[0])
		logits, back := n.Rows(in[1], "")
		ce, kl, gradient := objective.Fusion(logits, objective.Positions{Gold: in[2], GoldWeight: in[3], TeacherWeight: in[3], IDs: in[4], Probs: in[5], Rest: in[6]},
			objective.Teaching{Divergence: objective.KL, Rest: objective.Bucket, Temperature: 1})
		back(gradient)
		return []*graph.Node{ce, kl}, n.Gradients()
	})
	if err != nil {
		t.Fatal(err)
	}
	l.sumThere = l.sumThere || sumThere
	batches := engineBatches(c, micros)
	for step := range 2 {
		if _, err := l.AccumulateAll(batches); err != nil {
			t.Fatal(err)
		}
		if step == 0 {
			if _, err := l.Apply(1e-4, 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	return l.Gradients()
}

// engineBatches are eight rows of twelve tokens, all positions taught.
func engineBatches(c decoder.Config, micros int) [][]any {
	const rows, length, k = 8, 12, 3
	random := rand.New(rand.NewPCG(1, 2))
	var out [][]any
	a := rows * length / micros
	for range micros {
		tokens, index, gold, ids := make([]int32, a), make([]int32, a), make([]int32, a), make([]int32, a*k)
		weight, probs, rest := make([]float32, a), make([]float32, a*k), make([]float32, a)
		for i := range a {
			tokens[i], index[i], gold[i], weight[i], rest[i] = random.Int32N(int32(c.Vocab)), int32(i), random.Int32N(int32(c.Vocab)), 1./(rows*length), 0.1
			for j := range k {
				ids[i*k+j], probs[i*k+j] = random.Int32N(90)+int32(100*j), 0.3
			}
		}
		out = append(out, []any{
			tensors.FromFlatDataAndDimensions(tokens, rows/micros, length), index, gold, weight,
			tensors.FromFlatDataAndDimensions(ids, a, k), tensors.FromFlatDataAndDimensions(probs, a, k), rest,
		})
	}
	return out
}

// distance is the Euclidean distance of two gradients over the norm of the first.
func distance(a, b [][]float32) float64 {
	var apart, norm float64
	for i := range a {
		if len(a[i]) != len(b[i]) {
			panic(fmt.Sprintf("weight %d: %d and %d values", i, len(a[i]), len(b[i])))
		}
		for j, x := range a[i] {
			d := float64(x) - float64(b[i][j])
			apart, norm = apart+d*d, norm+float64(x)*float64(x)
		}
	}
	if norm == 0 {
		return math.Inf(1)
	}
	return math.Sqrt(apart / norm)
}
