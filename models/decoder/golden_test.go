package decoder

import (
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/safetensors"
)

// The golden models are tiny random checkpoints saved by transformers, with its results: testdata/make_golden.py.

// goldenLengths are the tokens of each row; the rest is padding.
var goldenLengths = []int{13, 7}

type golden struct {
	config  Config
	store   *model.Store
	want    map[string][]float32
	tokens  []int32 // [2, 13]
	columns int
}

func loadGolden(t *testing.T, name string) golden {
	t.Helper()
	dir := filepath.Join("testdata", name)
	c, err := ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	store, err := LoadStore(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(filepath.Join(dir, "expected.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g := golden{config: c, store: store, want: map[string][]float32{}, columns: goldenLengths[0]}
	for _, d := range f.Tensors() {
		if g.want[d.Name], err = f.Float32(d.Name); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range g.want["tokens"] {
		g.tokens = append(g.tokens, int32(x))
	}
	return g
}

func (g golden) batch() *tensors.Tensor {
	return tensors.FromFlatDataAndDimensions(append([]int32{}, g.tokens...), len(goldenLengths), g.columns)
}

// distance is the largest difference of two lists, and the largest value of the first.
func distance(want, got []float32) (worst, largest float64) {
	for i := range want {
		worst = math.Max(worst, math.Abs(float64(want[i])-float64(got[i])))
		largest = math.Max(largest, math.Abs(float64(want[i])))
	}
	return worst, largest
}

var goldenModels = []string{
	"llama", "llama-gqa", "llama-bfloat16-shards", "llama-float16-wide", "llama-biases", "llama-linear", "llama-dynamic", "llama-llama3",
	"mistral", "qwen2", "qwen2-window", "qwen3", "qwen3-biases", "phi3", "gemma", "neox", "neox-sequential",
	"mpt", "mpt-six-heads", "mpt-options",
}

var goldenRewards = []string{"llama-reward", "mistral-reward", "qwen2-reward", "qwen3-reward", "phi3-reward", "gemma-reward"}

// TestEveryArchitectureHasAGolden: a row of the table is a claim to compute what transformers does.
func TestEveryArchitectureHasAGolden(t *testing.T) {
	missing := maps.Clone(architectures)
	delete(missing, "MPTForCausalLM") // the original code's name for the same
	for _, name := range slices.Concat(goldenModels, goldenRewards) {
		delete(missing, loadGolden(t, name).config.Architecture)
	}
	if len(missing) > 0 {
		t.Errorf("no golden model of %v: add one to testdata/make_golden.py", slices.Sorted(maps.Keys(missing)))
	}
}

func TestLogitsEqualTransformers(t *testing.T) {
	for _, name := range goldenModels {
		t.Run(name, func(t *testing.T) {
			g := loadGolden(t, name)
			m := New(g.config)
			got := call(t, testBackend(t), g.store, func(s *model.Scope, in []*Node) []*Node { return []*Node{m.Logits(s, in[0])} }, g.batch())
			g.compareLogits(t, got)
		})
	}
}

// compareLogits compares [2, 13, V] at the rows' own tokens.
func (g golden) compareLogits(t *testing.T, got []float32) {
	t.Helper()
	for row, n := range goldenLengths {
		from, to := row*g.columns*g.config.Vocab, (row*g.columns+n)*g.config.Vocab
		if worst, largest := distance(g.want["logits"][from:to], got[from:to]); worst > 2e-5 || largest < 0.5 {
			t.Errorf("row %d: logits differ by up to %g, the largest is %g; want at most 2e-5", row, worst, largest)
		}
	}
}

func TestRewardEqualsTransformers(t *testing.T) {
	for _, name := range goldenRewards {
		g := loadGolden(t, name)
		m := New(g.config)
		last := tensors.FromFlatDataAndDimensions([]int32{12, 6}, 2)
		got := call(t, testBackend(t), g.store, func(s *model.Scope, in []*Node) []*Node { return []*Node{m.Reward(s, in[0], in[1])} }, g.batch(), last)
		if worst, largest := distance(g.want["reward"], got); worst > 2e-5 || largest < 0.05 {
			t.Errorf("%s: rewards %v, transformers has %v", name, got, g.want["reward"])
		}
	}
}

// TestGradientsEqualTransformers at every weight, for the mean next-token cross-entropy of the first row.
func TestGradientsEqualTransformers(t *testing.T) {
	for _, name := range []string{"llama", "llama-gqa", "mpt"} {
		t.Run(name, func(t *testing.T) {
			g := loadGolden(t, name)
			m := New(g.config)
			var names []string
			for key := range g.want {
				if weight, ok := strings.CutPrefix(key, "gradient."); ok {
					names = append(names, weight)
				}
			}
			if want := len(m.a.tensors(g.config)); len(names) != want {
				t.Fatalf("the golden file has %d gradients, the model %d weights", len(names), want)
			}
			x, err := model.NewExec(testBackend(t), g.store, func(s *model.Scope, in []*Node) []*Node {
				n := in[0].Shape().Dim(1)
				logProbs := LogSoftmax(m.Logits(s, in[0]), -1)
				here := Slice(logProbs, AxisRange(), AxisRange(0, n-1), AxisRange())
				next := OneHot(Slice(in[0], AxisRange(), AxisRange(1, n)), g.config.Vocab, logProbs.DType())
				loss := MulScalar(ReduceAllSum(Mul(here, next)), -1/float64(n-1))
				var weights []*Node
				for _, name := range names {
					weights = append(weights, s.Store().GetVariable(Path(name)).NodeValue(loss.Graph()))
				}
				return Gradient(loss, weights...)
			})
			if err != nil {
				t.Fatal(err)
			}
			out, err := x.Call(tensors.FromFlatDataAndDimensions(append([]int32{}, g.tokens[:g.columns]...), 1, g.columns))
			if err != nil {
				t.Fatal(err)
			}
			for i, name := range names {
				got, err := tensors.CopyFlatData[float32](out[i])
				if err != nil {
					t.Fatal(err)
				}
				if worst, largest := distance(g.want["gradient."+name], got); worst > 2e-5*math.Max(1, largest) || largest == 0 {
					t.Errorf("%s: gradients differ by up to %g, the largest is %g", name, worst, largest)
				}
			}
		})
	}
}

// TestCacheEqualsTheWholePass begins two rows, of which the second is four tokens shorter and padded, and continues them
// in pieces of 1, 1, 3 and so on, each from its own position.
func TestCacheEqualsTheWholePass(t *testing.T) {
	const places = 16
	for _, name := range goldenModels {
		t.Run(name, func(t *testing.T) {
			g := loadGolden(t, name)
			m, b := New(g.config), testBackend(t)
			c := g.config
			whole := call(t, b, g.store, func(s *model.Scope, in []*Node) []*Node { return []*Node{m.Logits(s, in[0])} }, g.batch())
			flat := func(s *model.Scope, hidden *Node, cache []KV) []*Node {
				out := []*Node{m.Head(s, hidden)}
				for _, kv := range cache {
					out = append(out, kv.K, kv.V)
				}
				return out
			}
			begin, err := model.NewExec(b, g.store, func(s *model.Scope, in []*Node) []*Node {
				hidden, cache := m.Begin(s, in[0], in[1], places)
				return flat(s, hidden, cache)
			})
			if err != nil {
				t.Fatal(err)
			}
			next, err := model.NewExec(b, g.store, func(s *model.Scope, in []*Node) []*Node {
				var cache []KV
				for l := range c.Layers {
					cache = append(cache, KV{in[2+2*l], in[3+2*l]})
				}
				return flat(s, m.Continue(s, in[0], in[1], cache), cache)
			})
			if err != nil {
				t.Fatal(err)
			}
			at, state := []int32{0, 0}, []any(nil)
			for _, size := range []int{5, 1, 1, 3, 1, 2} {
				var piece []int32
				for row, from := range at {
					piece = append(piece, g.tokens[row*g.columns+int(from):][:size]...)
				}
				lengths, run := []int32{5, 1}, begin // what stands behind a row's length must not matter
				if state != nil {
					lengths, run = slices.Clone(at), next
				}
				out, err := run.Call(append([]any{tensors.FromFlatDataAndDimensions(piece, 2, size), tensors.FromFlatDataAndDimensions(lengths, 2)}, state...)...)
				if err != nil {
					t.Fatal(err)
				}
				got, err := tensors.CopyFlatData[float32](out[0])
				if err != nil {
					t.Fatal(err)
				}
				for row, from := range at {
					n := size * c.Vocab
					want := whole[(row*g.columns+int(from))*c.Vocab:][:n]
					if worst, _ := distance(want, got[row*n:][:n]); worst > 1e-5 {
						t.Errorf("row %d, %d tokens from %d: logits differ by up to %g", row, size, from, worst)
					}
				}
				if state == nil {
					at = slices.Clone(lengths)
				} else {
					at[0], at[1] = at[0]+int32(size), at[1]+int32(size)
				}
				state = nil
				for _, cache := range out[1:] {
					state = append(state, cache)
				}
			}
		})
	}
}
