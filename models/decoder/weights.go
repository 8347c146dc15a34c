package decoder

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/safetensors"
)

// LoadStore reads the weights of a model directory into a store as float32. Missing, extra and misshapen tensors are an
// error that lists them; buffers that old files carry, such as rotary_emb.inv_freq, are skipped.
func LoadStore(dir string, c Config) (*model.Store, error) {
	f, want, err := openWeights(dir, c)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	store := model.NewStore()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		x, err := f.Float32(name)
		if err != nil {
			return nil, err
		}
		store.VariableWithValue(Path(name), tensors.FromFlatDataAndDimensions(x, want[name]...))
	}
	return store, nil
}

// Shapes lists every weight of a model by tensor name.
func (c Config) Shapes() (map[string][]int, error) {
	a, err := lookup(c.Architecture)
	if err != nil {
		return nil, err
	}
	return a.tensors(c), nil
}

// Outer are the names of the weights outside of the blocks that have a row a token: the embedding and an untied head.
func (c Config) Outer() (embedding, head string) {
	a, err := lookup(c.Architecture)
	if err != nil {
		return "", ""
	}
	return a.embedding + ".weight", a.head + ".weight"
}

// CheckWeights reads the weights' headers alone: whole files, and the tensors that the configuration wants.
func CheckWeights(dir string, c Config) error {
	f, _, err := openWeights(dir, c)
	if err != nil {
		return err
	}
	return f.Close()
}

// openWeights opens the weights and compares their headers with the tensors wanted, by name and shape.
func openWeights(dir string, c Config) (*safetensors.File, map[string][]int, error) {
	a, err := lookup(c.Architecture)
	if err != nil {
		return nil, nil, err
	}
	f, err := safetensors.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	want := a.tensors(c)
	if err := compare(want, f, c.Tied, a.head); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("loading %s: %w", dir, err), f.Close())
	}
	return f, want, nil
}

// buffers are the ends of names of tensors that are no weights: positions and masks that old files carry.
var buffers = []string{
	"rotary_emb.inv_freq", "rotary_emb.cos_cached", "rotary_emb.sin_cached", // Llama and its kin, GPT-NeoX
	".attention.bias", ".attention.masked_bias", // GPT-NeoX's causal mask
}

func isBuffer(name string) bool {
	return slices.ContainsFunc(buffers, func(end string) bool { return strings.HasSuffix(name, end) })
}

// compare lists every difference between the tensors wanted and those in the file. A tied model may carry a copy of its
// embedding as its head.
func compare(want map[string][]int, f *safetensors.File, tied bool, head string) error {
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		t, ok := f.Lookup(name)
		switch {
		case !ok:
			faults = append(faults, "missing "+name)
		case !slices.Equal(t.Shape, want[name]):
			faults = append(faults, fmt.Sprintf("%s has shape %v, the configuration wants %v", name, t.Shape, want[name]))
		}
	}
	for _, t := range f.Tensors() {
		_, known := want[t.Name]
		if !known && !isBuffer(t.Name) && !(tied && t.Name == head+".weight") {
			faults = append(faults, "extra "+t.Name)
		}
	}
	if len(faults) > 0 {
		return fmt.Errorf("tensors do not fit config.json: %s", strings.Join(faults, "; "))
	}
	return nil
}

// InitStore makes the weights of a new model: normal(0, 0.02) matrices, norms of one and biases of zero, in order of their names from
// one seed.
func InitStore(c Config, seed int64) (*model.Store, error) {
	a, err := lookup(c.Architecture)
	if err != nil {
		return nil, err
	}
	store := model.NewStore()
	random := rand.New(rand.NewPCG(uint64(seed), 0x70726f6675736572))
	want := a.tensors(c)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		store.VariableWithValue(Path(name), tensors.FromFlatDataAndDimensions(initial(random, name, want[name], c.v.normPlusOne), want[name]...))
	}
	return store, nil
}

// initial is a matrix's normal(0, 0.02), a bias's zeros or a norm's weights that leave what they scale as it is.
func initial(random *rand.Rand, name string, shape []int, normPlusOne bool) []float32 {
	n := 1
	for _, d := range shape {
		n *= d
	}
	x := make([]float32, n)
	for i := range x {
		switch {
		case len(shape) > 1:
			x[i] = float32(0.02 * random.NormFloat64())
		case !normPlusOne && !strings.HasSuffix(name, ".bias"):
			x[i] = 1
		}
	}
	return x
}

// turnedName is the name under which Turn keeps a matrix [in, out].
func turnedName(name string) string { return name + ".turned" }

// Turn replaces the matrices [out, in] of a store by [in, out]; a tied embedding is kept both ways. A product with a small
// batch is then several times as fast on the Go backend (see kernels.go). The store can no longer be saved or trained.
func Turn(store *model.Store, c Config) error {
	a, err := lookup(c.Architecture)
	if err != nil {
		return err
	}
	for name, shape := range a.tensors(c) {
		embedding := name == a.embedding+".weight"
		if len(shape) != 2 || shape[0] == 1 || (embedding && (a.reward || !c.Tied)) {
			continue
		}
		value, err := store.GetVariable(Path(name)).Value()
		if err != nil {
			return fmt.Errorf("turning %s: %w", name, err)
		}
		turned, err := transpose(value)
		if err != nil {
			return fmt.Errorf("turning %s: %w", name, err)
		}
		store.VariableWithValue(Path(turnedName(name)), turned)
		if !embedding {
			if err := store.DeleteVariable(Path(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// transpose is a matrix's transpose, made in blocks that stay in the cache.
func transpose(t *tensors.Tensor) (*tensors.Tensor, error) {
	x, err := tensors.CopyFlatData[float32](t)
	if err != nil {
		return nil, err
	}
	m, n := t.Shape().Dimensions[0], t.Shape().Dimensions[1]
	y := make([]float32, len(x))
	const block = 32
	for i := 0; i < m; i += block {
		for j := 0; j < n; j += block {
			for k := i; k < min(m, i+block); k++ {
				for l := j; l < min(n, j+block); l++ {
					y[l*m+k] = x[k*n+l]
				}
			}
		}
	}
	return tensors.FromFlatDataAndDimensions(y, n, m), nil
}

// AddRewardHead gives a decoder's store the zero score.weight of the reward configuration c and drops an untied head.
func AddRewardHead(store *model.Store, c Config) error {
	if store.GetVariable(Path("lm_head.weight")) != nil {
		if err := store.DeleteVariable(Path("lm_head.weight")); err != nil {
			return err
		}
	}
	store.VariableWithValue(Path("score.weight"), tensors.FromFlatDataAndDimensions(make([]float32, c.Dim), 1, c.Dim))
	return nil
}

// ShardBytes is the largest file of weights that is written if nothing else is asked for, as transformers has it.
const ShardBytes = 5_000_000_000

// SaveStore writes config.json and the weights of a store, in storage type F32, BF16 or F16 (also as float32, bfloat16,
// float16). The folder is made if needed; tokenizer files are the caller's.
func SaveStore(store *model.Store, c Config, dir, dtype string) error {
	return Save(c, dir, dtype, ShardBytes, func(name string) ([]float32, error) { return Values(store, name) })
}

// Values copies a weight out of a store of float32 variables, by the name of its tensor.
func Values(store *model.Store, name string) ([]float32, error) {
	v := store.GetVariable(Path(name))
	if v == nil {
		return nil, fmt.Errorf("weight %s is not in the store", name)
	}
	value, err := v.Value()
	if err != nil {
		return nil, err
	}
	return tensors.CopyFlatData[float32](value)
}

// Save is SaveStore of weights that values gives by name, one after the other: one file, or shards of at most shardBytes
// and their index. A failure leaves no weights that load.
func Save(c Config, dir, dtype string, shardBytes int64, values func(name string) ([]float32, error)) error {
	a, err := lookup(c.Architecture)
	if err != nil {
		return err
	}
	names := map[string]string{"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
	for short, long := range names {
		if dtype == long {
			dtype = short
		}
	}
	if names[dtype] == "" {
		return fmt.Errorf("saving %s: type %q; float32, bfloat16 and float16 can be written", dir, dtype)
	}
	want := a.tensors(c)
	var outlines []safetensors.Outline
	for _, name := range slices.Sorted(maps.Keys(want)) {
		outlines = append(outlines, safetensors.Outline{Name: name, DType: dtype, Shape: want[name]})
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("saving a model: %w", err)
	}
	w, err := safetensors.Create(dir, safetensors.Split(outlines, shardBytes))
	if err != nil {
		return err
	}
	for _, o := range outlines {
		if err := saveTensor(w, o, values); err != nil {
			return errors.Join(fmt.Errorf("saving %s: %s: %w", dir, o.Name, err), w.Abort())
		}
	}
	if err := w.Commit(); err != nil {
		return err
	}
	return c.write(dir, names[dtype])
}

// saveTensor writes one weight.
func saveTensor(w *safetensors.Writer, o safetensors.Outline, values func(name string) ([]float32, error)) error {
	x, err := values(o.Name)
	if err != nil {
		return err
	}
	raw := make([]byte, o.Bytes())
	if err := safetensors.Encode(raw, o.DType, x); err != nil {
		return err
	}
	return w.WriteAt(o.Name, raw, 0)
}
