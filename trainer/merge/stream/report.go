package stream

import (
	"math"

	"github.com/profuser/profuser/models/safetensors"
	"github.com/profuser/profuser/trainer/merge/vector"
)

// reportFile has a line for each tensor, in their order.
const reportFile = "merge_report.jsonl"

// reportLine is what is kept of one tensor's merge. Norms are Euclidean, of float32 elements; of a model they are the norm
// of its difference from the base, without a base of the model's own elements.
type reportLine struct {
	Tensor string        `json:"tensor"`
	DType  string        `json:"dtype"`
	Shape  []int         `json:"shape"`
	Copied bool          `json:"copied,omitempty"`
	Base   *float64      `json:"base_norm,omitempty"`
	Models []modelReport `json:"models,omitempty"`
	// Norm is the result's; Change is the norm of its difference from the base.
	Norm   float64  `json:"norm"`
	Change *float64 `json:"change_norm,omitempty"`
	// Agreement is, of the elements in which some model differs from the base (without one: from zero), the share in which
	// all that differ do so in one direction; 1 where none differs.
	Agreement float64 `json:"sign_agreement"`
}

type modelReport struct {
	Model string  `json:"model"`
	Norm  float64 `json:"norm"`
}

// statistics gathers a report's line: sums of squares and counts for each unit, added up in order at the end.
type statistics struct {
	base            int
	squares         [][]float64 // of each input
	result, change  []float64
	agree, conflict []int
}

func newStatistics(t tensor, units int) *statistics {
	s := &statistics{base: t.base, result: make([]float64, units), change: make([]float64, units), agree: make([]int, units), conflict: make([]int, units)}
	for range t.inputs {
		s.squares = append(s.squares, make([]float64, units))
	}
	return s
}

// take adds a unit: its inputs and its result.
func (s *statistics) take(u int, x [][]float32, out []float32) {
	var base []float32
	others := make([][]float32, 0, 8)
	if s.base >= 0 {
		base = x[s.base]
		s.change[u] = vector.DistanceSquared(out, base)
	}
	for i, v := range x {
		switch {
		case i == s.base:
			s.squares[i][u] = vector.Dot(v, v)
			continue
		case base != nil:
			s.squares[i][u] = vector.DistanceSquared(v, base)
		default:
			s.squares[i][u] = vector.Dot(v, v)
		}
		others = append(others, v)
	}
	s.result[u] = vector.Dot(out, out)
	s.agree[u], s.conflict[u] = vector.Agreement(base, others)
}

// line makes the report's line.
func (s *statistics) line(t tensor) reportLine {
	norm := func(squares []float64) float64 {
		var sum float64
		for _, v := range squares {
			sum += v
		}
		return finite(math.Sqrt(sum))
	}
	l := reportLine{Tensor: t.outline.Name, DType: t.outline.DType, Shape: t.outline.Shape, Norm: norm(s.result), Agreement: 1}
	for i, in := range t.inputs {
		n := norm(s.squares[i])
		if i == s.base {
			change := norm(s.change)
			l.Base, l.Change = &n, &change
			continue
		}
		l.Models = append(l.Models, modelReport{in.model.path, n})
	}
	var agree, conflict int
	for u := range s.agree {
		agree, conflict = agree+s.agree[u], conflict+s.conflict[u]
	}
	if agree+conflict > 0 {
		l.Agreement = float64(agree) / float64(agree+conflict)
	}
	return l
}

// finite keeps JSON from what it cannot hold.
func finite(x float64) float64 { return min(x, math.MaxFloat64) }

// dtypeNames are the names of storage types in config.json.
var dtypeNames = map[string]string{safetensors.F32: "float32", safetensors.BF16: "bfloat16", safetensors.F16: "float16"}
