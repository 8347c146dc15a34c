package merge

import (
	"fmt"

	"github.com/profuser/profuser/trainer/merge/vector"
)

// linearMethods are weighted sums of the models themselves.
var linearMethods = []Method{
	{
		Name: "linear", Summary: "weighted mean of the models", Reference: "Model soups, arXiv:2203.05482",
		Base: BaseUnused, Min: 1,
		Parameters: []Parameter{weightOfEvery, normalize(1)},
		New:        newLinear,
	},
	{
		Name: "passthrough", Summary: "one model's tensors as they are; for stacking layers of several", Reference: "mergekit",
		Base: BaseUnused, Min: 1, Max: 1,
		Parameters: []Parameter{{Name: "scale", Meaning: "factor of the tensor", Scope: Every, Default: 1}},
		New: func(t Tensor) (Kernel, error) {
			return linear{weights: []float32{float32(t.Inputs[0]["scale"])}, divisor: 1}, nil
		},
	},
}

// piece is the granule of methods that have no other need: small enough for a processor's nearest cache.
const piece = 4096

// linear is Σ w_i·M_i, divided by Σ w_i if asked for.
type linear struct {
	weights []float32
	divisor float32
}

// newLinear checks that there is something to divide by.
//
//	M = Σ w_i·M_i / Σ w_i    (normalize; without it no division)
//
// Source: Wortsman et al., Model soups, 2022 (arXiv:2203.05482); defaults as in mergekit. Weights that add up to 0 are an
// error if they are to be normalised, where mergekit would divide by zero.
func newLinear(t Tensor) (Kernel, error) {
	k := linear{divisor: 1}
	var sum float32
	for _, in := range t.Inputs {
		k.weights = append(k.weights, float32(in["weight"]))
		sum += float32(in["weight"])
	}
	if t.Shared["normalize"] != 0 {
		if k.divisor = sum; sum == 0 {
			return nil, fmt.Errorf("the weights add up to 0: set other weights, or normalize: false")
		}
	}
	return k, nil
}

func (linear) Granule() int    { return piece }
func (linear) Next() bool      { return false }
func (linear) Scan(int, Block) {}

func (k linear) Merge(_ int, b Block, out []float32) {
	for at := 0; at < len(out); at += piece {
		end := min(at+piece, len(out))
		o := out[at:end]
		vector.Scale(o, k.weights[0], b.X[0][at:end])
		for i, x := range b.X[1:] {
			vector.AddScaled(o, k.weights[i+1], x[at:end])
		}
		if k.divisor != 1 {
			vector.Divide(o, k.divisor)
		}
	}
}
