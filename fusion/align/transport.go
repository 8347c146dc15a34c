package align

import (
	"math"
	"runtime"
	"slices"

	"gorgonia.org/tensor"

	"github.com/profuser/profuser/fusion/edit"
	"github.com/profuser/profuser/fusion/vocabulary"
)

// Constants of the transport plan, PTA-LLM's defaults.
const (
	planEntries    = 10   // entries of each side that a plan takes; a row with fewer is copied
	planSharpness  = 30.0 // the kernel is exp(-planSharpness · cost)
	planTolerance  = 1e-5
	planIterations = 1000  // most plans need a few
	planLeast      = 1e-10 // sums below count as this
)

// planCosts are the target's token strings as symbols.
type planCosts struct {
	offsets  []int32
	symbols  []int32
	alphabet int
}

func newPlanCosts(target *vocabulary.Strings) *planCosts {
	c := &planCosts{offsets: []int32{0}}
	var alphabet edit.Alphabet
	for id := range int32(target.Size()) {
		c.symbols = alphabet.Append(c.symbols, target.Token(id))
		c.offsets = append(c.offsets, int32(len(c.symbols)))
	}
	c.alphabet = alphabet.Size()
	return c
}

func (c *planCosts) token(id int32) []int32 { return c.symbols[c.offsets[id]:c.offsets[id+1]] }

// plan replaces the entries of a copied row, those from start on, by what optimal transport makes of them beside the
// target's own row i; a row of fewer than ten entries on either side stays a copy.
func (k *copier) plan(out *Rows, start, j, i int) {
	own := k.target.Entries[k.targetOffsets[i]:k.targetOffsets[i+1]]
	if len(out.IDs)-start < planEntries || len(own) < planEntries || slices.ContainsFunc(own, func(id int32) bool { return id < 0 || int(id) >= k.Comparison.target.Size() }) {
		return
	}
	own = own[:planEntries]
	mapped := slices.Clone(out.IDs[start : start+planEntries])
	all := softmax(k.source.Values[k.sourceOffsets[j]:k.sourceOffsets[j+1]])
	rows := make([]float64, planEntries)
	for r := range rows {
		rows[r] = all[out.From[start+r]-k.sourceOffsets[j]]
	}
	cols := softmax(k.target.Values[k.targetOffsets[i]:k.targetOffsets[i+1]])[:planEntries]
	pattern := edit.NewPattern(k.costs.alphabet)
	costs := make([]float64, 0, planEntries*planEntries)
	for _, a := range mapped {
		pattern.Set(k.costs.token(a))
		for _, b := range own {
			costs = append(costs, float64(pattern.Distance(k.costs.token(b))))
		}
	}
	moved := costs
	if !transport(moved, rows, cols) {
		return
	}
	out.IDs, out.From, out.Mass = out.IDs[:start], out.From[:start], out.Mass[:start]
	for r := range planEntries {
		row := moved[r*planEntries : (r+1)*planEntries]
		best := 0
		for col, mass := range row {
			if mass > row[best] {
				best = col
			}
		}
		if at := slices.Index(out.IDs[start:], own[best]); at >= 0 {
			out.Mass[start+at] += row[best]
		} else {
			out.add(own[best], -1, row[best])
		}
	}
}

// Transport gives the plan [r, c] that moves the masses rows [r] to the masses cols [c] at the least cost [r, c], with
// entropy, by Sinkhorn's iteration; false if it becomes no finite, non-negative plan.
//
//	P = exp(-30 · cost), divided by its sum; then in turn P_ij *= rows_i / Σ_j P_ij and P_ij *= cols_j / Σ_i P_ij
//
// until the sums of rows change by at most 1e-5, at most 1,000 times. Sums below 1e-10 count as that.
//
// Source: Cuturi (2013); Zeng et al., "Probabilistic token alignment for large language model fusion" (2025), PTA-LLM.
func Transport(cost *tensor.Dense, rows, cols []float64) (*tensor.Dense, bool) {
	r, c := len(rows), len(cols)
	costs, ok := cost.Data().([]float64)
	runtime.KeepAlive(cost) // Data holds the costs by an address that the collector does not see
	if !ok || len(costs) != r*c {
		return nil, false
	}
	p := slices.Clone(costs)
	if !transport(p, rows, cols) {
		return nil, false
	}
	plan := tensor.New(tensor.WithShape(r, c), tensor.WithBacking(p))
	runtime.KeepAlive(p) // neither does New
	return plan, true
}

// transport turns costs [r, c] into the plan, in place.
func transport(p, rows, cols []float64) bool {
	r, c := len(rows), len(cols)
	total := 0.0
	for i, x := range p {
		p[i] = math.Exp(-planSharpness * x)
		total += p[i]
	}
	for i := range p {
		p[i] /= total
	}
	before := make([]float64, r)
	for range planIterations {
		apart := 0.0
		for i := range r {
			sum := 0.0
			for _, x := range p[i*c : (i+1)*c] {
				sum += x
			}
			apart = max(apart, math.Abs(before[i]-sum))
			before[i] = max(sum, planLeast)
		}
		if !(apart > planTolerance) {
			break
		}
		for i := range r {
			for j := range c {
				p[i*c+j] *= rows[i] / before[i]
			}
		}
		for j := range c {
			sum := 0.0
			for i := range r {
				sum += p[i*c+j]
			}
			for i := range r {
				p[i*c+j] *= cols[j] / max(sum, planLeast)
			}
		}
	}
	for _, x := range p {
		if !(x >= 0) || math.IsInf(x, 1) {
			return false
		}
	}
	return true
}

// softmax of logits or log-probs.
func softmax(xs []float64) []float64 {
	out := make([]float64, len(xs))
	largest := slices.Max(xs)
	sum := 0.0
	for i, x := range xs {
		out[i] = math.Exp(x - largest)
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}
