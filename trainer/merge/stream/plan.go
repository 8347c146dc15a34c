package stream

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/profuser/profuser/models/safetensors"
	"github.com/profuser/profuser/trainer/merge"
	"github.com/profuser/profuser/trainer/merge/recipe"
)

// tensor is one tensor to make.
type tensor struct {
	outline safetensors.Outline
	inputs  []input
	base    int // index of the base among the inputs, -1 without one
	donor   int // the input whose rows fill in for tokens that others lack
	shared  merge.Settings
	own     []merge.Settings
	copied  bool // no numbers to merge: the first input's bytes
}

// input is where a tensor's elements come from.
type input struct {
	model  *model
	tensor safetensors.Tensor
	// rows gives for each row of the merged tensor the row of this input, -1 for none (then the donor's); nil: all in place.
	rows []int32
}

// plan is everything that is decided before work begins.
type plan struct {
	recipe  *recipe.Recipe
	models  []*model
	donor   *model // whose configuration and tokenizer the result has
	tensors []tensor
	// layers is the number of layers of the result; sources name the model and layer of each, for lists in config.json.
	layers  int
	sources []layerOf
}

type layerOf struct {
	model *model
	layer int
}

// makePlan opens the models and checks everything.
func makePlan(r *recipe.Recipe, recipeDir string) (p *plan, err error) {
	p = &plan{recipe: r}
	defer func() {
		if err != nil {
			p.close()
			p = nil
		}
	}()
	for _, path := range r.Models {
		m, err := openModel(path, recipeDir)
		if err != nil {
			return p, err
		}
		p.models = append(p.models, m)
	}
	p.donor = p.models[max(0, r.Base)]
	if r.Base < 0 && r.Slices[0].Base >= 0 {
		p.donor = p.models[r.Slices[0].Base]
	}
	groups, err := p.groups()
	if err != nil {
		return p, err
	}
	rows, err := vocabularies(p)
	if err != nil {
		return p, err
	}
	for _, g := range groups {
		t, err := p.tensor(g, rows)
		if err != nil {
			return p, fmt.Errorf("tensor %s: %w", g.name, err)
		}
		p.tensors = append(p.tensors, t)
	}
	if len(p.tensors) == 0 {
		return p, fmt.Errorf("the models have no tensors")
	}
	return p, nil
}

func (p *plan) close() {
	for _, m := range p.models {
		_ = m.file.Close() // only read from
	}
}

// group is a tensor of the result with the names of its inputs, one for each source of its slice.
type group struct {
	name   string
	slice  int
	inputs []string
	t      float64
}

// groups lists the tensors of the result, those before the layers first. Inputs that differ in names or shapes are an
// error that lists them.
func (p *plan) groups() ([]group, error) {
	var d differences
	last := len(p.recipe.Slices) - 1
	groups := p.outside(0, true, &d)
	for i, s := range p.recipe.Slices {
		first, count, err := p.layerRange(s)
		if err != nil {
			return nil, err
		}
		for k := range count {
			layers := make([]int, len(s.Sources))
			for j := range layers {
				layers[j] = first[j] + k
			}
			t := 1.0
			if count > 1 {
				t = float64(k) / float64(count-1)
			}
			groups = append(groups, p.layer(i, layers, t, &d)...)
			p.sources = append(p.sources, layerOf{p.models[s.Sources[0].Model], layers[0]})
			p.layers++
		}
	}
	groups = append(groups, p.outside(last, false, &d)...)
	for _, g := range groups {
		p.shapes(g, &d)
	}
	return groups, d.err()
}

// layerRange is the first layer of each source of a slice, and how many layers it has.
func (p *plan) layerRange(s recipe.Slice) (first []int, count int, err error) {
	for i, src := range s.Sources {
		m := p.models[src.Model]
		from, end := src.First, src.End
		if from == recipe.All {
			from, end = 0, m.layers
		}
		if end > m.layers {
			return nil, 0, fmt.Errorf("layer_range [%d, %d] of model %s: it has %d layers", from, end, m.path, m.layers)
		}
		if i > 0 && end-from != count {
			return nil, 0, fmt.Errorf("model %s has %d layers, %s has %d: models to merge need equally many", p.models[s.Sources[0].Model].path, count, m.path, end-from)
		}
		first, count = append(first, from), end-from
	}
	return first, count, nil
}

// layer lists the tensors of one layer of the result.
func (p *plan) layer(slice int, layers []int, t float64, d *differences) []group {
	s := p.recipe.Slices[slice]
	patterns := map[string]bool{}
	for j, src := range s.Sources {
		for _, name := range p.models[src.Model].patterns[layers[j]] {
			patterns[name] = true
		}
	}
	var out []group
	for _, pattern := range slices.Sorted(maps.Keys(patterns)) {
		g := group{name: inside(pattern, p.layers), slice: slice, t: t}
		for j := range s.Sources {
			g.inputs = append(g.inputs, inside(pattern, layers[j]))
		}
		if p.present(g, d) {
			out = append(out, g)
		}
	}
	return out
}

// outside lists the tensors outside of layers: those before them, or those after. Parameters of both are those of the
// place t = 0, as in mergekit.
func (p *plan) outside(slice int, first bool, d *differences) []group {
	s := p.recipe.Slices[slice]
	names := map[string]bool{}
	for _, src := range s.Sources {
		for _, name := range p.models[src.Model].outside {
			if before(name) == first {
				names[name] = true
			}
		}
	}
	var out []group
	for _, name := range slices.Sorted(maps.Keys(names)) {
		g := group{name: name, slice: slice}
		if _, has := p.donor.file.Lookup(name); !has && p.donor.ties() && strings.Contains(name, "lm_head") {
			continue // the result's output layer is its embedding
		}
		for _, src := range s.Sources {
			m, in := p.models[src.Model], name
			if _, has := m.file.Lookup(name); !has && m.ties() && strings.Contains(name, "lm_head") {
				in = m.tokenTable()
			}
			g.inputs = append(g.inputs, in)
		}
		if p.present(g, d) {
			out = append(out, g)
		}
	}
	return out
}

// present says whether all sources have their tensor, and notes it if not.
func (p *plan) present(g group, d *differences) bool {
	var has, lacks []string
	for j, src := range p.recipe.Slices[g.slice].Sources {
		m := p.models[src.Model]
		if _, ok := m.file.Lookup(g.inputs[j]); ok {
			has = append(has, m.path)
		} else {
			lacks = append(lacks, m.path)
		}
	}
	if len(lacks) > 0 {
		d.add("%s is in %s, not in %s", g.name, strings.Join(has, ", "), strings.Join(lacks, ", "))
	}
	return len(lacks) == 0
}

// shapes notes inputs whose shapes differ; those of vocabularies may in their first dimension, which is checked apart.
func (p *plan) shapes(g group, d *differences) {
	var first safetensors.Tensor
	for j, src := range p.recipe.Slices[g.slice].Sources {
		m := p.models[src.Model]
		t, _ := m.file.Lookup(g.inputs[j])
		if j == 0 {
			first = t
			continue
		}
		a, b := first.Shape, t.Shape
		if ofVocabulary(g.name) && len(a) > 0 && len(b) > 0 {
			a, b = a[1:], b[1:]
		}
		if !slices.Equal(a, b) {
			d.add("%s is %v in %s, %v in %s", g.name, first.Shape, p.models[p.recipe.Slices[g.slice].Sources[0].Model].path, t.Shape, m.path)
		}
	}
}

// differences are the tensors in which models differ.
type differences struct{ list []string }

func (d *differences) add(format string, args ...any) {
	d.list = append(d.list, fmt.Sprintf(format, args...))
}

// err lists the first differences.
func (d *differences) err() error {
	if len(d.list) == 0 {
		return nil
	}
	const most = 8
	n := len(d.list)
	text := strings.Join(d.list[:min(n, most)], "; ")
	if n > most {
		text += fmt.Sprintf("; and %d more", n-most)
	}
	what := "tensors differ"
	if n == 1 {
		what = "tensor differs"
	}
	return fmt.Errorf("the models are not of one architecture, %d %s: %s", n, what, text)
}

// tensor makes the plan of one tensor.
func (p *plan) tensor(g group, rows map[*model][]int32) (tensor, error) {
	s := p.recipe.Slices[g.slice]
	t := tensor{base: s.BaseInput()}
	var err error
	if t.shared, t.own, err = p.recipe.Resolve(g.slice, g.name, g.inputs, g.t); err != nil {
		return t, err
	}
	t.donor = max(0, t.base)
	floats := 0
	for j, src := range s.Sources {
		m := p.models[src.Model]
		in := input{model: m}
		in.tensor, _ = m.file.Lookup(g.inputs[j])
		if m == p.donor {
			t.donor = j
		}
		if ofVocabulary(g.name) {
			in.rows = rows[m]
		}
		if safetensors.Float(in.tensor.DType) {
			floats++
		}
		t.inputs = append(t.inputs, in)
	}
	t.outline = safetensors.Outline{Name: g.name, Shape: t.inputs[t.donor].tensor.Shape, DType: t.inputs[t.donor].tensor.DType}
	if floats == 0 {
		t.copied = true
		return t, p.sameType(t)
	}
	if floats < len(t.inputs) {
		return t, fmt.Errorf("it is of type %s in %s and of numbers that can be merged elsewhere", t.outline.DType, t.inputs[t.donor].model.path)
	}
	for _, in := range t.inputs {
		if in.rows != nil && t.inputs[t.donor].model != p.donor {
			return t, fmt.Errorf("its rows cannot be matched: %s, whose tokenizer the result has, is no source of its slice", p.donor.path)
		}
		if in.rows == nil && !slices.Equal(in.tensor.Shape, t.outline.Shape) {
			return t, fmt.Errorf("it has %d rows in %s, %d in %s, and their tokenizers are not known", in.tensor.Shape[0], in.model.path, t.outline.Shape[0], t.inputs[t.donor].model.path)
		}
	}
	if t.outline.DType, err = p.outType(t.inputs); err != nil {
		return t, err
	}
	_, err = p.recipe.Method.New(t.merging(safetensors.F32, 0, 1))
	return t, err
}

// sameType checks a tensor that is copied.
func (p *plan) sameType(t tensor) error {
	for _, in := range t.inputs {
		if in.tensor.DType != t.outline.DType || !slices.Equal(in.tensor.Shape, t.outline.Shape) {
			return fmt.Errorf("it is %s %v in %s, %s %v in %s, and cannot be merged", in.tensor.DType, in.tensor.Shape, in.model.path, t.outline.DType, t.outline.Shape, t.inputs[t.donor].model.path)
		}
	}
	return nil
}

// outType is the storage type of a merged tensor: the recipe's, or the one that holds all inputs' numbers.
func (p *plan) outType(inputs []input) (string, error) {
	if p.recipe.OutDType != "" {
		return p.recipe.OutDType, nil
	}
	if p.recipe.DType != "" {
		return p.recipe.DType, nil
	}
	d := inputs[0].tensor.DType
	for _, in := range inputs[1:] {
		if in.tensor.DType != d {
			d = safetensors.F32
		}
	}
	if d == safetensors.F64 {
		return "", fmt.Errorf("it is of float64, which is not written: set dtype")
	}
	return d, nil
}

// arithmetic is the type that a tensor is computed in, as in mergekit: the recipe's dtype, else the inputs' own; float32
// where they differ.
func (p *plan) arithmetic(inputs []input) string {
	if p.recipe.DType != "" {
		return p.recipe.DType
	}
	for _, in := range inputs {
		if in.tensor.DType != inputs[0].tensor.DType {
			return safetensors.F32
		}
	}
	return inputs[0].tensor.DType
}

// rounding rounds to a type narrower than float32; nil for the others.
func rounding(dtype string) func(x []float32) {
	if dtype != safetensors.BF16 && dtype != safetensors.F16 {
		return nil
	}
	return func(x []float32) {
		var raw [1 << 13]byte
		for n := 0; len(x) > 0; x = x[n:] {
			n = min(len(x), len(raw)/2)
			if err := errors.Join(safetensors.Encode(raw[:2*n], dtype, x[:n]), safetensors.Decode(x[:n], dtype, raw[:2*n])); err != nil {
				panic(err) // both know the type
			}
		}
	}
}

// merging is what the method is told.
func (t tensor) merging(arithmetic string, seed uint64, workers int) merge.Tensor {
	return merge.Tensor{
		Name: t.outline.Name, Shape: t.outline.Shape, Base: t.base, Inputs: t.own, Shared: t.shared, Seed: seed, Workers: workers, Round: rounding(arithmetic),
	}
}
