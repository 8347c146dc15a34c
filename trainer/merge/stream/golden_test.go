package stream

import (
	"io"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/profuser/profuser/models/safetensors"
)

// golden has mergekit's results (../testdata/golden.py).
const golden = "../testdata/golden"

// least are the shares of entries that have to agree, where not all have to: with equal magnitudes mergekit's sort takes
// others than the lowest index.
var least = map[string]map[string]float64{
	"bfloat16-in-float32": {"ties": 0.97, "breadcrumbs": 0.97, "breadcrumbs_ties": 0.97},
	"bfloat16":            {"ties": 0.99, "breadcrumbs": 0.98, "breadcrumbs_ties": 0.99, "ties-rescale": 0.96, "sce": 0.99, "nuslerp": 0.98, "model_stock": 0.96},
}

// loose are the methods that mergekit rounds at every operation and we do not: they are compared to one step of the largest
// input of an entry.
var loose = map[string]bool{"ties-rescale": true, "sce": true, "nuslerp": true, "model_stock": true}

// TestGolden merges what mergekit merged. float32: to 1e-6, all entries. bfloat16, with mergekit computing in float32 or in
// bfloat16: within one step of the result, but for the loose ones.
func TestGolden(t *testing.T) {
	for _, kind := range []string{"float32", "bfloat16", "bfloat16-in-float32"} {
		cases, err := filepath.Glob(filepath.Join(golden, kind, "*.yaml"))
		if err != nil || len(cases) < 30 {
			t.Fatalf("%d cases, %v", len(cases), err)
		}
		for _, path := range cases {
			name := strings.TrimSuffix(filepath.Base(path), ".yaml")
			t.Run(kind+"/"+name, func(t *testing.T) { compareGolden(t, path, kind, name) })
		}
	}
}

func compareGolden(t *testing.T, path, kind, name string) {
	out := filepath.Join(t.TempDir(), "out")
	if err := Merge(t.Context(), Options{Config: path, Out: out, ShardSize: 1e9, Log: io.Discard}); err != nil {
		t.Fatal(err)
	}
	want, err := safetensors.Open(strings.TrimSuffix(path, ".yaml") + ".safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	got, err := safetensors.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if a, b := len(want.Tensors()), len(got.Tensors()); a != b {
		t.Fatalf("%d tensors, mergekit has %d", b, a)
	}
	method, _, _ := strings.Cut(name, "-")
	wanted, ok := least[kind][name]
	if !ok {
		wanted, ok = least[kind][method]
	}
	if !ok {
		wanted = 1
	}
	inputs := inputsOf(t, kind, kind == "bfloat16" && (loose[name] || loose[method]))
	entries, far, worst := 0, 0, 0.0
	for _, w := range want.Tensors() {
		g, ok := got.Lookup(w.Name)
		if !ok || g.DType != w.DType {
			t.Fatalf("%s is %s %v, mergekit has %s", w.Name, g.DType, ok, w.DType)
		}
		x, errX := want.Float32(w.Name)
		y, errY := got.Float32(w.Name)
		if errX != nil || errY != nil || len(x) != len(y) {
			t.Fatal(errX, errY, len(x), len(y))
		}
		for i := range x {
			entries++
			difference := math.Abs(float64(x[i]) - float64(y[i]))
			worst = max(worst, difference)
			largest := max(math.Abs(float64(x[i])), math.Abs(float64(y[i])))
			for _, in := range inputs {
				largest = max(largest, math.Abs(float64(in[w.Name][i])))
			}
			dtype := w.DType
			if kind == "bfloat16" { // mergekit's arithmetic, whatever it stores in the end
				dtype = safetensors.BF16
			}
			if difference > allowed(dtype, largest) {
				far++
			}
		}
	}
	share := 1 - float64(far)/float64(entries)
	t.Logf("%.4f of %d entries agree, largest difference %.3g", share, entries, worst)
	if share < wanted {
		t.Errorf("%.4f of %d entries agree with mergekit, want %v; largest difference %.3g", share, entries, wanted, worst)
	}
}

// inputsOf are the models that the loose cases merge.
func inputsOf(t *testing.T, kind string, wanted bool) []map[string][]float32 {
	if !wanted {
		return nil
	}
	var all []map[string][]float32
	for _, name := range []string{"base", "a", "b", "c"} {
		f, err := safetensors.Open(filepath.Join(golden, kind, name))
		if err != nil {
			t.Fatal(err)
		}
		m := map[string][]float32{}
		for _, d := range f.Tensors() {
			if m[d.Name], err = f.Float32(d.Name); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, m)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// allowed is 1e-6, or the distance of two neighbouring numbers of a type where a magnitude lies.
func allowed(dtype string, magnitude float64) float64 {
	bits := map[string]int{safetensors.BF16: 8, safetensors.F16: 11}[dtype]
	if bits == 0 {
		return 1e-6
	}
	_, e := math.Frexp(magnitude)
	return math.Ldexp(1, e-bits)
}
