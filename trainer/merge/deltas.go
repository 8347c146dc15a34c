package merge

import (
	"fmt"

	"github.com/profuser/profuser/trainer/merge/vector"
)

// Ways to drop differences.
const (
	dropNone = iota
	dropSmall
	dropSmallAndLargest
	dropRandom
	dropByRank
)

// deltaMethods all add a sum of differences from the base to the base. They differ in what they drop of a difference and
// in whether models must agree on a sign.
var deltaMethods = []Method{
	deltaMethod("task_arithmetic", "the base and weighted differences from it", "Task arithmetic, arXiv:2212.04089", dropNone, false, 0, 0),
	deltaMethod("ties", "the largest differences, where models agree on the sign", "TIES, arXiv:2306.01708", dropSmall, true, 1, 0),
	deltaMethod("dare_linear", "a random part of the differences, rescaled", "DARE, arXiv:2311.03099", dropRandom, false, 0, 1),
	deltaMethod("dare_ties", "a random part of the differences, where models agree on the sign", "DARE, arXiv:2311.03099; TIES, arXiv:2306.01708", dropRandom, true, 0, 1),
	deltaMethod("breadcrumbs", "differences without the smallest and the very largest", "Model Breadcrumbs, arXiv:2312.06795", dropSmallAndLargest, false, 0, 0),
	deltaMethod("breadcrumbs_ties", "the same, where models agree on the sign", "Model Breadcrumbs, arXiv:2312.06795; TIES, arXiv:2306.01708", dropSmallAndLargest, true, 0, 0),
	deltaMethod("della", "a random part of the differences, larger ones more often, where models agree on the sign", "DELLA, arXiv:2406.11617", dropByRank, true, 1, 1),
	deltaMethod("della_linear", "a random part of the differences, larger ones more often", "DELLA, arXiv:2406.11617", dropByRank, false, 0, 1),
}

// deltaMethod is a row of deltaMethods.
func deltaMethod(name, summary, reference string, dropping int, elects bool, normalized, rescaled float64) Method {
	m := Method{
		Name: name, Summary: summary, Reference: reference, Base: BaseRequired, Min: 1,
		Parameters: []Parameter{weight, lambda, normalize(normalized), int8Mask},
		New:        func(t Tensor) (Kernel, error) { return newDeltas(t, dropping, elects) },
	}
	if elects {
		m.Parameters = append(m.Parameters, consensus)
	}
	if dropping != dropNone {
		m.Parameters = append(m.Parameters, density, rescale(rescaled))
	}
	switch dropping {
	case dropSmallAndLargest:
		m.Parameters = append(m.Parameters, Parameter{Name: "gamma", Meaning: "share of the largest differences that is dropped", Scope: Others, Default: 0.01})
	case dropByRank:
		m.Parameters = append(m.Parameters, Parameter{Name: "epsilon", Meaning: "half the range of probabilities around density", Scope: Others, Default: 0.15})
	}
	return m
}

// deltas merges differences from the base.
type deltas struct {
	t       Tensor
	others  []int
	granule int
	elects  bool
	counts  bool // signs are counted
	divide  bool
	lambda  float32
	weights []float32
	sum     float32 // of the weights
	drops   []dropping
	scales  []*scaling
	active  []bool // which droppings want the scan
	sums    bool   // the scan is for the scales
	done    bool
	deltas  [][][]float32
	work    [][][]float32 // election and divisor
}

// newDeltas makes the kernel of the methods on differences δ_i = M_i - B:
//
//	v_i = w_i · s_i · drop(δ_i);  M = B + λ · Σ v_i / d
//
// drop keeps int(density·n) elements, at least one: the largest |δ_i| (TIES), the same without the int(gamma·n) largest
// (Breadcrumbs), or each with probability density (DARE), or density ± epsilon by the rank in its row (DELLA). s_i is 1, or as
// rescale says Σ|δ_i| / Σ|drop(δ_i)| (skipped if one is below 1e-7), or 1/density. With an election only the v_i whose sign is
// that of Σ v_i take part (>= 0 is +; or of Σ sign(v_i)), zeros never. d is 1, or with normalize the sum of the weights of
// those that take part (0 counts as 1). density >= 1 drops nothing and rescales nothing.
//
// Source: TIES (arXiv:2306.01708), DARE (arXiv:2311.03099), Model Breadcrumbs (arXiv:2312.06795), DELLA (arXiv:2406.11617), with
// the defaults of mergekit. As there, every result of an operation (weights, difference, product, sum, quotient) is rounded to the
// type that the merge computes in, and sums are float32 until then. Equal magnitudes
// are taken by lowest index, mergekit's order is its sort's. Random masks are our own generator's (draw).
func newDeltas(t Tensor, drop int, elects bool) (Kernel, error) {
	k := &deltas{
		t: t, others: t.others(), granule: piece, elects: elects,
		counts: t.Shared["consensus_method"] == 1, divide: t.Shared["normalize"] != 0, lambda: float32(t.Shared["lambda"]),
	}
	if drop == dropByRank {
		k.granule = t.row()
	}
	k.active = make([]bool, len(k.others))
	k.drops, k.scales = make([]dropping, len(k.others)), make([]*scaling, len(k.others))
	for i, in := range k.others {
		p := t.Inputs[in]
		w := float32(p["weight"])
		k.weights = append(k.weights, w)
		t.rounded(k.weights[len(k.weights)-1:])
		k.sum += k.weights[len(k.weights)-1]
		if drop == dropNone {
			continue
		}
		density, n := p["density"], t.Len()
		if density <= 0 {
			return nil, fmt.Errorf("density is %v: nothing of a model would be kept; take the model out, or set a weight of 0", density)
		}
		if density >= 1 || n == 0 {
			continue
		}
		var err error
		if k.drops[i], err = newDropping(t, drop, in); err != nil {
			return nil, err
		}
		k.scales[i] = newScaling(t.Shared["rescale"], density, granules(n, k.granule))
	}
	total := []float32{k.sum}
	t.rounded(total)
	k.sum = total[0]
	k.deltas, k.work = buffers(t.Workers, len(k.others), k.granule), buffers(t.Workers, 2, k.granule)
	return k, nil
}

// newDropping makes the dropping of one input.
func newDropping(t Tensor, drop, input int) (dropping, error) {
	p, n := t.Inputs[input], t.Len()
	density, key := p["density"], maskKey(t.Seed, t.Name, input)
	keep := int(density * float64(n))
	switch drop {
	case dropSmall:
		return newMagnitudes(n, max(1, keep), 0, t.Workers), nil
	case dropSmallAndLargest:
		gamma := p["gamma"]
		if gamma < 0 || gamma > 1 {
			return nil, fmt.Errorf("gamma is %v, want 0 to 1", gamma)
		}
		keep = max(1, keep)
		least := min(n, keep+int(gamma*float64(n))) // fewer outliers go where density needs the room
		return newMagnitudes(n, least, least-keep, t.Workers), nil
	case dropRandom:
		return newRandom(key, density), nil
	}
	epsilon := p["epsilon"]
	if density+epsilon >= 1 || density-epsilon <= 0 || epsilon < 0 {
		return nil, fmt.Errorf("epsilon is %v with density %v: density - epsilon and density + epsilon have to lie between 0 and 1", epsilon, density)
	}
	return &byRank{key: key, density: density, epsilon: epsilon, order: make([][]rank, t.Workers)}, nil
}

func (k *deltas) Granule() int { return k.granule }

func (k *deltas) Next() bool {
	if k.done {
		return false
	}
	if !k.sums {
		more := false
		for i, d := range k.drops {
			k.active[i] = d != nil && d.next()
			more = more || k.active[i]
		}
		if more {
			return true
		}
		for i, s := range k.scales {
			k.active[i] = s != nil && s.before != nil
			k.sums = k.sums || k.active[i]
		}
		if k.sums {
			return true
		}
	}
	k.done = true
	for _, s := range k.scales {
		if s != nil {
			s.settle()
		}
	}
	return false
}

func (k *deltas) Scan(worker int, b Block) {
	base := b.X[k.t.Base]
	for at := 0; at < len(base); at += k.granule {
		end, start := min(at+k.granule, len(base)), b.Start+at
		for i, in := range k.others {
			if !k.active[i] {
				continue
			}
			d := k.deltas[worker][i][:end-at]
			vector.Sub(d, b.X[in][at:end], base[at:end])
			k.t.rounded(d)
			if !k.sums {
				k.drops[i].scan(worker, start, d)
				continue
			}
			k.scales[i].before[start/k.granule] = vector.SumAbs(d)
			k.drops[i].drop(worker, start, d)
			k.scales[i].after[start/k.granule] = vector.SumAbs(d)
		}
	}
}

func (k *deltas) Merge(worker int, b Block, out []float32) {
	base := b.X[k.t.Base]
	for at := 0; at < len(out); at += k.granule {
		end := min(at+k.granule, len(out))
		n := end - at
		v := make([][]float32, 0, 8)
		for i, in := range k.others {
			d := k.deltas[worker][i][:n]
			vector.Sub(d, b.X[in][at:end], base[at:end])
			k.t.rounded(d)
			if k.drops[i] != nil {
				k.drops[i].drop(worker, b.Start+at, d)
				if s := k.scales[i]; s != nil && s.factor != 1 {
					vector.Scale(d, s.factor, d)
					k.t.rounded(d)
				}
			}
			vector.Scale(d, k.weights[i], d)
			k.t.rounded(d)
			v = append(v, d)
		}
		o := out[at:end]
		election, divisor := k.work[worker][0][:n], k.work[worker][1][:n]
		if k.elects {
			elect(election, v, k.counts)
			vector.Elect(o, divisor, election, v, k.weights)
			k.t.rounded(o)
			if k.divide {
				k.t.rounded(divisor)
				vector.DivideEach(o, divisor)
				k.t.rounded(o)
			}
		} else {
			copy(o, v[0])
			for _, d := range v[1:] {
				vector.AddScaled(o, 1, d)
			}
			k.t.rounded(o)
			if k.divide && (k.sum >= 1e-8 || k.sum <= -1e-8) {
				vector.Divide(o, k.sum)
				k.t.rounded(o)
			}
		}
		lambda := k.lambda
		if k.t.Round != nil {
			vector.Scale(o, lambda, o)
			k.t.rounded(o)
			lambda = 1
		}
		vector.Blend(o, 1, base[at:end], lambda, o)
	}
}

// elect adds up what elects the signs: the values, or their signs.
func elect(election []float32, v [][]float32, counts bool) {
	if !counts {
		copy(election, v[0])
		for _, d := range v[1:] {
			vector.AddScaled(election, 1, d)
		}
		return
	}
	clear(election)
	for _, d := range v {
		for i, x := range d {
			if x > 0 {
				election[i]++
			} else if x < 0 {
				election[i]--
			}
		}
	}
}

// scaling is how one model's kept differences are scaled.
type scaling struct {
	factor        float32
	before, after []float64 // sums of magnitudes by granule, for l1
}

// newScaling reads rescale, an index into rescaleWords.
func newScaling(rescale, density float64, granules int) *scaling {
	switch rescaleWords[int(rescale)] {
	case "true", "l1":
		return &scaling{factor: 1, before: make([]float64, granules), after: make([]float64, granules)}
	case "inverse_density":
		return &scaling{factor: float32(1 / density)}
	}
	return &scaling{factor: 1}
}

// settle makes the factor of the sums.
func (s *scaling) settle() {
	if s.before == nil {
		return
	}
	if before, after := sum(s.before), sum(s.after); before >= 1e-7 && after >= 1e-7 {
		s.factor = float32(before / after)
	}
	s.before, s.after = nil, nil
}
