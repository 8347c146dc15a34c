package merge

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// BaseUse says what a method does with a base model.
type BaseUse int

// How a method uses the base model.
const (
	// BaseUnused: the base is an input like the others.
	BaseUnused BaseUse = iota
	// BaseOptional: with a base, what is merged are the differences from it.
	BaseOptional
	// BaseRequired: there is no merging without.
	BaseRequired
)

// Settings are values of parameters; booleans are 0 and 1, choices the index of the choice.
type Settings map[string]float64

// Tensor is what a method knows of the tensor that it merges.
type Tensor struct {
	// Name is the merged tensor's key; random masks depend on it.
	Name string
	// Shape are the dimensions, outermost first.
	Shape []int
	// Base is the index of the base model among the inputs, -1 without one.
	Base int
	// Inputs are the parameters of each input, complete; those that a method has for other inputs only are missing at Base.
	Inputs []Settings
	// Shared are the parameters that all inputs share, complete.
	Shared Settings
	// Seed is the seed of random masks.
	Seed uint64
	// Workers is how many goroutines call the kernel.
	Workers int
	// Round rounds numbers in place to the type that the merge computes in, nil for float32; for concurrent use.
	Round func(x []float32)
}

// rounded rounds x if the merge computes in a narrower type.
func (t Tensor) rounded(x []float32) {
	if t.Round != nil {
		t.Round(x)
	}
}

// Len is the number of elements.
func (t Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// row is the length of the last dimension, 1 for a scalar and for a tensor without elements.
func (t Tensor) row() int {
	if len(t.Shape) == 0 || t.Len() == 0 {
		return 1
	}
	return t.Shape[len(t.Shape)-1]
}

// others are the indexes of the inputs besides the base.
func (t Tensor) others() []int {
	var out []int
	for i := range t.Inputs {
		if i != t.Base {
			out = append(out, i)
		}
	}
	return out
}

// Block is a piece of a tensor: whole granules, the last of which may be short at the tensor's end.
type Block struct {
	// Start is the index of the first element.
	Start int
	// X are the elements of each input, in the order of Tensor.Inputs; all of one length.
	X [][]float32
}

// Kernel merges one tensor. Next is called by one goroutine; while it says true, all blocks of the tensor are scanned once,
// then it is called again. After that all blocks are merged. Scan and Merge are called by Tensor.Workers goroutines at a
// time, each with its own number.
type Kernel interface {
	// Granule is the number of elements that a block is made of whole multiples of.
	Granule() int
	// Next takes in what was scanned and says whether the tensor has to be scanned (again).
	Next() bool
	// Scan reads a block for its statistics.
	Scan(worker int, b Block)
	// Merge writes the merged elements of a block.
	Merge(worker int, b Block, out []float32)
}

// Method is a row of the table.
type Method struct {
	// Name is the value of merge_method.
	Name string
	// Summary says in a line what it does.
	Summary string
	// Reference is the paper or page it comes from.
	Reference string
	// Base says whether it needs a base model.
	Base BaseUse
	// Min and Max bound the number of inputs besides the base (all inputs where Base is BaseUnused); Max 0 is no bound.
	Min, Max int
	// Parameters are what can be set.
	Parameters []Parameter
	// New makes the kernel of a tensor; an error is a value that cannot be.
	New func(Tensor) (Kernel, error)
}

// Parameter finds a method's parameter by its name.
func (m Method) Parameter(name string) (Parameter, bool) {
	for _, p := range m.Parameters {
		if p.Name == name {
			return p, true
		}
	}
	return Parameter{}, false
}

// Check says whether a method can merge that many inputs, with or without a base among them.
func (m Method) Check(inputs int, base bool) error {
	what := "models"
	if m.Base == BaseRequired && !base {
		return fmt.Errorf("merge_method %s needs base_model", m.Name)
	}
	if m.Base != BaseUnused && base {
		inputs--
		what = "models besides the base"
	}
	if inputs < m.Min || m.Max > 0 && inputs > m.Max {
		want := fmt.Sprintf("at least %d", m.Min)
		if m.Max == m.Min {
			want = fmt.Sprintf("%d", m.Min)
		}
		return fmt.Errorf("merge_method %s merges %s %s, not %d", m.Name, want, what, inputs)
	}
	return nil
}

// methods is the table, by name.
var methods = map[string]Method{}

// register adds rows to the table.
func register(rows ...Method) {
	for _, m := range rows {
		methods[m.Name] = m
	}
}

func init() {
	register(linearMethods...)
	register(deltaMethods...)
	register(slerpMethod, nuslerpMethod, stockMethod, sceMethod)
}

// Methods lists the table, by name.
func Methods() []Method {
	return slices.SortedFunc(maps.Values(methods), func(a, b Method) int { return strings.Compare(a.Name, b.Name) })
}

// Lookup finds a method; the error lists those that there are.
func Lookup(name string) (Method, error) {
	if m, ok := methods[name]; ok {
		return m, nil
	}
	return Method{}, fmt.Errorf("merge_method %q is not supported, want one of %s", name, strings.Join(slices.Sorted(maps.Keys(methods)), ", "))
}

// Known says whether some method has a parameter of that name.
func Known(parameter string) bool {
	for _, m := range methods {
		if _, ok := m.Parameter(parameter); ok {
			return true
		}
	}
	return false
}
