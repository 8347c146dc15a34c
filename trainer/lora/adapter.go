package lora

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/models/decoder/lowrank"
)

// AllLinear is the target that stands for every matrix inside the blocks.
const AllLinear = "all-linear"

// Options say what is adapted.
type Options struct {
	// Rank is r, positive.
	Rank int
	// Alpha scales the addition: alpha/r · B·A. Positive.
	Alpha float64
	// Targets are names of modules, such as q_proj or its path's end, or all-linear. Required.
	Targets []string
}

// Validate names the first option that cannot be.
func (o Options) Validate() error {
	switch {
	case o.Rank < 1:
		return fmt.Errorf("rank: %d, must be positive", o.Rank)
	case !(o.Alpha > 0) || math.IsInf(o.Alpha, 0):
		return fmt.Errorf("alpha: %g, must be positive", o.Alpha)
	case len(o.Targets) == 0:
		return fmt.Errorf("targets: name at least one module, or %s", AllLinear)
	}
	return nil
}

// Modules are the names of the matrices that the targets name, sorted, with their shapes [out, in]. A target that names
// none is an error which lists those there are.
func Modules(c decoder.Config, targets []string) (map[string][]int, error) {
	all, err := c.Shapes()
	if err != nil {
		return nil, err
	}
	embedding, head := c.Outer()
	candidates := map[string][]int{}
	for name, shape := range all {
		if len(shape) == 2 && name != embedding && name != "score.weight" {
			candidates[lowrank.Module(name)] = shape
		}
	}
	chosen := map[string][]int{}
	for _, target := range targets {
		found := false
		for module, shape := range candidates {
			if module == target || strings.HasSuffix(module, "."+target) || (target == AllLinear && module != lowrank.Module(head)) {
				chosen[module], found = shape, true
			}
		}
		if !found {
			return nil, fmt.Errorf("target %q names no matrix of a %s; it has %s", target, c.Architecture, strings.Join(shortNames(candidates), ", "))
		}
	}
	return chosen, nil
}

// shortNames are the last parts of modules' names, each once, sorted.
func shortNames(modules map[string][]int) []string {
	short := map[string]bool{}
	for module := range modules {
		short[module[strings.LastIndex(module, ".")+1:]] = true
	}
	return slices.Sorted(maps.Keys(short))
}

// Adapter is the factors in a store. It is not safe for use while the store is trained.
type Adapter struct {
	options Options
	store   *model.Store
	modules map[string][]int
}

// Add freezes the weights of a store and adds new factors: A uniform in ±1/√in, as PEFT's Kaiming initial values are,
// in the order of the modules' names from one seed, and B zero.
func Add(store *model.Store, c decoder.Config, o Options, seed int64) (*Adapter, error) {
	a, err := plan(store, c, o)
	if err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(uint64(seed), 0x6c6f7261))
	for _, module := range slices.Sorted(maps.Keys(a.modules)) {
		out, in := a.modules[module][0], a.modules[module][1]
		x := make([]float32, o.Rank*in)
		bound := 1 / math.Sqrt(float64(in))
		for i := range x {
			x[i] = float32((2*random.Float64() - 1) * bound)
		}
		nameA, nameB := lowrank.Names(module)
		store.VariableWithValue(decoder.Path(nameA), tensors.FromFlatDataAndDimensions(x, o.Rank, in))
		store.VariableWithValue(decoder.Path(nameB), tensors.FromFlatDataAndDimensions(make([]float32, out*o.Rank), out, o.Rank))
	}
	return a, nil
}

// Outline freezes the variables of a store that need no values and adds those that Add would, without values, for what
// only looks at shapes.
func Outline(store *model.Store, c decoder.Config, o Options) error {
	a, err := plan(store, c, o)
	if err != nil {
		return err
	}
	for module, shape := range a.modules {
		nameA, nameB := lowrank.Names(module)
		store.VariableWithShape(decoder.Path(nameA), shapes.Make(dtypes.Float32, o.Rank, shape[1]), nil)
		store.VariableWithShape(decoder.Path(nameB), shapes.Make(dtypes.Float32, shape[0], o.Rank), nil)
	}
	return nil
}

// plan freezes a store and adds the factor that all share.
func plan(store *model.Store, c decoder.Config, o Options) (*Adapter, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	modules, err := Modules(c, o.Targets)
	if err != nil {
		return nil, err
	}
	for v := range store.IterVariables() {
		v.Trainable = false
	}
	s := store.VariableWithValue(decoder.Path(lowrank.ScaleName), tensors.FromFlatDataAndDimensions([]float32{float32(o.scale())}))
	s.Trainable = false
	return &Adapter{options: o, store: store, modules: modules}, nil
}

// scale is s.
func (o Options) scale() float64 { return o.Alpha / float64(o.Rank) }

// factors are the values of a module's A and B.
func (a *Adapter) factors(module string) (factorA, factorB []float32, err error) {
	nameA, nameB := lowrank.Names(module)
	if factorA, err = a.values(nameA); err == nil {
		factorB, err = a.values(nameB)
	}
	return factorA, factorB, err
}

// values copies a variable out.
func (a *Adapter) values(name string) ([]float32, error) {
	v := a.store.GetVariable(decoder.Path(name))
	if v == nil {
		return nil, fmt.Errorf("weight %s is not in the store", name)
	}
	value, err := v.Value()
	if err == nil {
		var x []float32
		if x, err = tensors.CopyFlatData[float32](value); err == nil {
			return x, nil
		}
	}
	return nil, fmt.Errorf("reading %s: %w", name, err)
}

// Merged is a weight of the base model by its tensor name, with its addition if it has one.
func (a *Adapter) Merged(name string) ([]float32, error) {
	w, err := a.values(name)
	module := lowrank.Module(name)
	shape := a.modules[module]
	if err != nil || shape == nil {
		return w, err
	}
	factorA, factorB, err := a.factors(module)
	if err != nil {
		return nil, err
	}
	addProduct(w, factorB, factorA, shape[1], a.options.Rank, a.options.scale())
	return w, nil
}

// addProduct adds scale·b·a to w: w [out, in], b [out, r], a [r, in]. Sums are float64 and are rounded once.
func addProduct(w, b, a []float32, in, r int, scale float64) {
	sums := make([]float64, in)
	for from := 0; from < len(w); from += in {
		clear(sums)
		for k := range r {
			factor := scale * float64(b[from/in*r+k])
			for j, x := range a[k*in : (k+1)*in] {
				sums[j] += factor * float64(x)
			}
		}
		for j, x := range sums {
			w[from+j] = float32(float64(w[from+j]) + x)
		}
	}
}
