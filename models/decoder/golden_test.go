package decoder

import (
	"math"
	"path/filepath"
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

var goldenModels = []string{"llama", "llama-gqa", "llama-bfloat16-shards", "llama-float16-wide", "mpt", "mpt-six-heads"}

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
	g := loadGolden(t, "llama-reward")
	m := New(g.config)
	last := tensors.FromFlatDataAndDimensions([]int32{12, 6}, 2)
	got := call(t, testBackend(t), g.store, func(s *model.Scope, in []*Node) []*Node { return []*Node{m.Reward(s, in[0], in[1])} }, g.batch(), last)
	if worst, largest := distance(g.want["reward"], got); worst > 2e-5 || largest < 0.05 {
		t.Errorf("rewards %v, transformers has %v", got, g.want["reward"])
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

// TestCacheEqualsTheWholePass feeds the rows in pieces of 5, 1 and so on, each row from its own position: the second row
// is four tokens behind, so that its pieces start elsewhere.
func TestCacheEqualsTheWholePass(t *testing.T) {
	const behind = 4
	for _, name := range goldenModels {
		t.Run(name, func(t *testing.T) {
			g := loadGolden(t, name)
			m, b := New(g.config), testBackend(t)
			c := g.config
			whole := call(t, b, g.store, func(s *model.Scope, in []*Node) []*Node { return []*Node{m.Logits(s, in[0])} }, g.batch())
			x, err := model.NewExec(b, g.store, func(s *model.Scope, in []*Node) []*Node {
				var cache []KV
				for l := range c.Layers {
					cache = append(cache, KV{in[2+2*l], in[3+2*l]})
				}
				out := []*Node{m.Head(s, m.HiddenCached(s, in[0], in[1], cache))}
				for _, kv := range cache {
					out = append(out, kv.K, kv.V)
				}
				return out
			})
			if err != nil {
				t.Fatal(err)
			}
			state := make([]any, 2*c.Layers) // 16 keys a row, not zero at first: what is there must not matter
			for i := range state {
				junk := make([]float32, 2*c.KVHeads*16*c.HeadDim)
				for j := range junk {
					junk[j] = float32(j%7) - 3
				}
				state[i] = tensors.FromFlatDataAndDimensions(junk, 2, c.KVHeads, 16, c.HeadDim)
			}
			starts := []int32{0, 0}
			for step, size := range []int{5, 1, 1, 3, 1, 2} {
				var piece []int32
				for row, at := range starts {
					piece = append(piece, g.tokens[row*g.columns+int(at):][:size]...)
				}
				inputs := append([]any{tensors.FromFlatDataAndDimensions(piece, 2, size), tensors.FromFlatDataAndDimensions(append([]int32{}, starts...), 2)}, state...)
				out, err := x.Call(inputs...)
				if err != nil {
					t.Fatal(err)
				}
				got, err := tensors.CopyFlatData[float32](out[0])
				if err != nil {
					t.Fatal(err)
				}
				for row, at := range starts {
					n := size * c.Vocab
					want := whole[(row*g.columns+int(at))*c.Vocab:][:n]
					if worst, _ := distance(want, got[row*n:][:n]); worst > 1e-5 {
						t.Errorf("row %d, %d tokens from %d: logits differ by up to %g", row, size, at, worst)
					}
				}
				for i := range state {
					state[i] = out[1+i]
				}
				starts[0], starts[1] = starts[0]+int32(size), starts[1]+int32(size)
				if step == 0 {
					starts[1] -= behind // the second row takes four tokens again
				}
			}
		})
	}
}
