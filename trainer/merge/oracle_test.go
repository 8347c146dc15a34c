package merge

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// run merges in memory as trainer/merge/stream does: every scan and the merge in blocks of about a size, on workers.
func run(t testing.TB, method string, in Tensor, x [][]float32, size int) []float32 {
	t.Helper()
	m, err := Lookup(method)
	if err != nil {
		t.Fatal(err)
	}
	fill(m, &in)
	in.Workers = max(1, in.Workers)
	k, err := m.New(in)
	if err != nil {
		t.Fatal(err)
	}
	n := in.Len()
	size = k.Granule() * max(1, size/k.Granule())
	out := make([]float32, n)
	blocks := func(f func(worker int, b Block)) {
		starts := make(chan int, n/size+1)
		for at := 0; at < n; at += size {
			starts <- at
		}
		close(starts)
		var wg sync.WaitGroup
		for w := range in.Workers {
			wg.Go(func() {
				for at := range starts {
					b := Block{Start: at}
					for _, v := range x {
						b.X = append(b.X, v[at:min(n, at+size)])
					}
					f(w, b)
				}
			})
		}
		wg.Wait()
	}
	for range 10 {
		if !k.Next() {
			blocks(func(w int, b Block) { k.Merge(w, b, out[b.Start:b.Start+len(b.X[0])]) })
			return out
		}
		blocks(k.Scan)
	}
	t.Fatal("the kernel does not stop scanning")
	return nil
}

// fill gives parameters that are not set their defaults.
func fill(m Method, t *Tensor) {
	if t.Shared == nil {
		t.Shared = Settings{}
	}
	for _, p := range m.Parameters {
		maps := []Settings{t.Shared}
		if p.Scope != Shared {
			maps = t.Inputs
		}
		for _, s := range maps {
			if _, ok := s[p.Name]; !ok {
				s[p.Name] = p.Default
			}
		}
	}
}

// data are inputs with zero differences, equal magnitudes and differences of all sizes; input 0 is the base.
func data(seed uint64, inputs, n int) [][]float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	x := make([][]float32, inputs)
	for i := range x {
		x[i] = make([]float32, n)
		for j := range x[i] {
			if i == 0 {
				x[i][j] = float32(r.NormFloat64())
				continue
			}
			switch r.IntN(4) {
			case 0:
				x[i][j] = x[0][j]
			case 1:
				x[i][j] = x[0][j] + float32(r.IntN(5)-2)*0.125
			default:
				x[i][j] = x[0][j] + float32(r.NormFloat64()*math.Exp(r.NormFloat64()))
			}
		}
	}
	return x
}

// oracle is the methods on differences, written once more, on whole tensors in float64 and with a stable sort.
func oracle(method string, in Tensor, x [][]float32) []float64 {
	n := len(x[0])
	v := make([][]float64, len(x)-1)
	for i := range v {
		p := in.Inputs[i+1]
		d := make([]float64, n)
		order := make([]int, n)
		for j := range d {
			d[j], order[j] = float64(x[i+1][j]-x[0][j]), j
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(math.Abs(d[b]), math.Abs(d[a])) })
		v[i] = make([]float64, n)
		keep := max(1, int(p["density"]*float64(n)))
		skip := 0
		if method == "breadcrumbs" || method == "breadcrumbs_ties" {
			skip = min(n, keep+int(p["gamma"]*float64(n))) - keep
		}
		if method == "task_arithmetic" || p["density"] >= 1 {
			keep, skip = n, 0
		}
		var before, after float64
		for at, j := range order {
			before += math.Abs(d[j])
			if at >= skip && at < skip+keep {
				v[i][j] = d[j]
				after += math.Abs(d[j])
			}
		}
		if in.Shared["rescale"] == 1 && p["density"] < 1 {
			for j := range v[i] {
				v[i][j] *= before / after
			}
		}
		for j := range v[i] {
			v[i][j] *= p["weight"]
		}
	}
	elects := method == "ties" || method == "breadcrumbs_ties"
	out := make([]float64, n)
	for j := range out {
		var sum, mixed, weights float64
		for i := range v {
			if in.Shared["consensus_method"] == 1 {
				sum += float64(cmp.Compare(v[i][j], 0))
			} else {
				sum += v[i][j]
			}
		}
		for i := range v {
			if elects && (v[i][j] == 0 || (v[i][j] > 0) != (sum >= 0)) {
				continue
			}
			mixed += v[i][j]
			weights += in.Inputs[i+1]["weight"]
		}
		if in.Shared["normalize"] == 1 && weights != 0 {
			mixed /= weights
		}
		out[j] = float64(x[0][j]) + in.Shared["lambda"]*mixed
	}
	return out
}

func TestDeltasOracle(t *testing.T) {
	for _, method := range []string{"task_arithmetic", "ties", "breadcrumbs", "breadcrumbs_ties"} {
		for seed := range uint64(12) {
			r := rand.New(rand.NewPCG(seed, 9))
			n := 1 + r.IntN(3*piece)
			if seed < 3 {
				n = 1 + r.IntN(20)
			}
			in := Tensor{Name: "w", Shape: []int{n}, Base: 0, Workers: 2, Shared: Settings{
				"lambda": 0.7, "normalize": float64(seed % 2), "rescale": float64(seed / 2 % 2), "consensus_method": float64(seed / 4 % 2),
			}, Inputs: []Settings{{}}}
			x := data(seed, 4, n)
			for range 3 {
				in.Inputs = append(in.Inputs, Settings{"weight": r.Float64()*2 - 0.5, "density": 0.1 + r.Float64(), "gamma": 0.1 * r.Float64()})
			}
			got, want := run(t, method, in, x, 1000), oracle(method, in, x)
			for i := range got {
				if math.Abs(float64(got[i])-want[i]) > 1e-4*(1+math.Abs(want[i])) {
					t.Fatalf("%s, seed %d: element %d of %d is %v, want %v", method, seed, i, n, got[i], want[i])
				}
			}
		}
	}
}

// everything are settings under which each method uses its scans.
var everything = map[string]struct {
	shared, each Settings
	inputs       int
}{
	"linear": {nil, Settings{"weight": 0.3}, 3}, "passthrough": {nil, Settings{"scale": 0.5}, 1}, "slerp": {Settings{"t": 0.3}, Settings{}, 2},
	"task_arithmetic": {nil, Settings{"weight": 0.3}, 3}, "ties": {Settings{"rescale": 1}, Settings{"weight": 0.6, "density": 0.3}, 4},
	"dare_linear": {nil, Settings{"weight": 0.6, "density": 0.5}, 3}, "dare_ties": {nil, Settings{"weight": 0.6, "density": 0.5}, 3},
	"breadcrumbs": {nil, Settings{"weight": 0.6, "density": 0.5}, 3}, "breadcrumbs_ties": {nil, Settings{"weight": 0.6, "density": 0.5}, 3},
	"della": {nil, Settings{"weight": 0.6, "density": 0.5}, 3}, "della_linear": {nil, Settings{"weight": 0.6, "density": 0.5}, 3},
	"nuslerp": {nil, Settings{"weight": 0.6}, 3}, "model_stock": {nil, Settings{}, 4}, "sce": {Settings{"select_topk": 0.4}, Settings{}, 4},
}

// variants are more settings of the same.
var variants = []struct {
	method string
	shared Settings
}{
	{"nuslerp", Settings{"nuslerp_flatten": 0}},
	{"nuslerp", Settings{"nuslerp_flatten": 0, "nuslerp_row_wise": 1}},
	{"model_stock", Settings{"filter_wise": 1}},
	{"dare_ties", Settings{"rescale": 3}},
}

func clone(s Settings) Settings {
	out := Settings{}
	for k, v := range s {
		out[k] = v
	}
	return out
}

func example(method string, shared Settings, shape []int, workers int) Tensor {
	e := everything[method]
	in := Tensor{Name: "w", Shape: shape, Base: 0, Workers: workers, Shared: clone(e.shared)}
	if m, _ := Lookup(method); m.Base == BaseUnused {
		in.Base = -1
	}
	for k, v := range shared {
		in.Shared[k] = v
	}
	for i := range e.inputs {
		s := clone(e.each)
		if _, ok := s["weight"]; ok {
			s["weight"] *= 1 + 0.3*float64(i)
		}
		in.Inputs = append(in.Inputs, s)
	}
	return in
}

// TestBlocks: the size of blocks and the number of workers change no bit.
func TestBlocks(t *testing.T) {
	for _, m := range Methods() {
		if _, ok := everything[m.Name]; !ok {
			t.Errorf("method %s is not tested here", m.Name)
		}
	}
	check := func(t *testing.T, method string, shared Settings) {
		shape := []int{170, 97}
		x := data(5, everything[method].inputs, 170*97)
		want := run(t, method, example(method, shared, shape, 1), x, 1<<20)
		for _, size := range []int{1, 5000, 9000} {
			for _, workers := range []int{1, 3} {
				got := run(t, method, example(method, shared, shape, workers), x, size)
				for i := range got {
					if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
						t.Fatalf("%s, blocks of %d on %d workers: element %d is %v, want %v", method, size, workers, i, got[i], want[i])
					}
				}
			}
		}
	}
	for method := range everything {
		t.Run(method, func(t *testing.T) { check(t, method, nil) })
	}
	for _, v := range variants {
		t.Run(fmt.Sprint(v.method, v.shared), func(t *testing.T) { check(t, v.method, v.shared) })
	}
}

// TestIdentity: merging equal models gives them back, and t = 0 the base.
func TestIdentity(t *testing.T) {
	for method, e := range everything {
		if method == "passthrough" {
			continue
		}
		base := data(3, 1, 5000)[0]
		x := make([][]float32, e.inputs)
		for i := range x {
			x[i] = base
		}
		for i, v := range run(t, method, example(method, nil, []int{50, 100}, 1), x, 4096) {
			if math.Abs(float64(v-base[i])) > 3e-7*math.Abs(float64(base[i])) {
				t.Errorf("%s of equal models: element %d is %v, want %v", method, i, v, base[i])
				break
			}
		}
	}
	x := data(4, 2, 5000)
	for at, want := range x {
		got := run(t, "slerp", example("slerp", Settings{"t": float64(at)}, []int{5000}, 1), x, 4096)
		for i := range got {
			if math.Abs(float64(got[i]-want[i])) > 1e-6*(1+math.Abs(float64(want[i]))) {
				t.Fatalf("slerp at t = %d: element %d is %v, want %v", at, i, got[i], want[i])
			}
		}
	}
}
