package merge

import (
	"fmt"

	"github.com/profuser/profuser/trainer/merge/vector"
)

var sceMethod = Method{
	Name: "sce", Summary: "differences where models vary most, weighted by their energy, where signs agree (FuseChat)", Reference: "FuseChat, arXiv:2408.07990",
	Base: BaseRequired, Min: 1,
	Parameters: []Parameter{{Name: "select_topk", Meaning: "share of the elements that is kept, by variance between models, above 0; from 1 on all", Default: 1}, int8Mask},
	New:        newSCE,
}

// sce selects by variance, then computes a weight of each model, then erases minority signs.
type sce struct {
	base      int
	others    []int
	topk      float64
	selection *selection
	phase     int
	varying   [][]int // elements with a variance, by worker and, padded, alone in its cache line
	squares   [][]float64
	n         int
	weights   []float32
	deltas    [][][]float32
	work      [][][]float32
}

// Phases of sce.
const (
	sceStart = iota
	sceSelect
	sceWeigh
	sceDone
)

// newSCE makes the kernel of
//
//	S: of the elements whose variance over the models' δ is not 0, keep int(select_topk · count) with the largest
//	C: w_i = Σ δ_i² / Σ_j Σ δ_j²  (equal weights where the mean squares add up to less than 1e-6)
//	E: M = B + Σ_i a_i·w_i·δ_i / max(1e-6, Σ_i a_i·w_i),  a_i: δ_i has the sign of Σ_j δ_j (>= 0 is +), zeros never
//
// Source: Wan et al., FuseChat, 2024 (arXiv:2408.07990), section 3.2; thresholds and the order of steps as in mergekit (sce).
// Sums are float64. Of equal variances the lowest index is kept.
func newSCE(t Tensor) (Kernel, error) {
	k := &sce{base: t.Base, others: t.others(), topk: t.Shared["select_topk"], n: t.Len()}
	if k.topk <= 0 {
		return nil, fmt.Errorf("select_topk is %v: nothing would be kept; it is a share, above 0", k.topk)
	}
	k.selection = newSelection(k.n, k.n, t.Workers)
	if k.topk < 1 && k.n > 1 {
		k.selection.k = 1 // known after the first scan
	}
	k.varying = make([][]int, t.Workers)
	for w := range k.varying {
		k.varying[w] = make([]int, 8)
	}
	for range k.others {
		k.squares = append(k.squares, make([]float64, granules(k.n, piece)))
	}
	k.deltas, k.work = buffers(t.Workers, len(k.others), piece), buffers(t.Workers, 3, piece)
	return k, nil
}

func (k *sce) Granule() int { return piece }

func (k *sce) Next() bool {
	switch k.phase {
	case sceStart:
		k.phase = sceSelect
		if k.selection.next() {
			return true
		}
	case sceSelect:
		if k.selection.phase == selectUpper {
			count := 0
			for _, v := range k.varying {
				count += v[0]
			}
			k.selection.k = int(k.topk * float64(count))
		}
		if k.selection.next() {
			return true
		}
	case sceWeigh:
		k.weigh()
		k.phase = sceDone
		return false
	default:
		return false
	}
	k.phase = sceWeigh
	return true
}

// weigh makes the models' weights of their squares.
func (k *sce) weigh() {
	var total float64
	each := make([]float64, len(k.others))
	for i, s := range k.squares {
		each[i] = sum(s) / float64(max(1, k.n))
		total += each[i]
	}
	k.weights = make([]float32, len(each))
	for i, e := range each {
		if k.weights[i] = float32(e / total); total < 1e-6 {
			k.weights[i] = 1 / float32(len(each))
		}
	}
	k.squares = nil
}

// differences computes the δ of a piece, in the worker's buffers.
func (k *sce) differences(worker int, b Block, at, end int) [][]float32 {
	v := make([][]float32, 0, 8)
	for i, in := range k.others {
		d := k.deltas[worker][i][:end-at]
		vector.Sub(d, b.X[in][at:end], b.X[k.base][at:end])
		v = append(v, d)
	}
	return v
}

// variances are the population variances of the elements over the models.
func variances(out []float32, v [][]float32) {
	m := float32(len(v))
	for i := range out {
		var mean, s float32
		for _, d := range v {
			mean += d[i]
		}
		mean /= m
		for _, d := range v {
			e := d[i] - mean
			s += float32(e * e)
		}
		out[i] = s / m
	}
}

// keep zeroes the δ of elements that are not selected.
func (k *sce) keep(worker, start int, v [][]float32) {
	if k.selection.least == 0 {
		return
	}
	variance := k.work[worker][0][:len(v[0])]
	variances(variance, v)
	magnitudes{keeps: k.selection}.drop(worker, start, variance)
	for i, x := range variance {
		if x == 0 {
			for _, d := range v {
				d[i] = 0
			}
		}
	}
}

func (k *sce) Scan(worker int, b Block) {
	n := len(b.X[k.base])
	for at := 0; at < n; at += piece {
		end := min(at+piece, n)
		v := k.differences(worker, b, at, end)
		if k.phase == sceWeigh {
			k.keep(worker, b.Start+at, v)
			for i, d := range v {
				k.squares[i][(b.Start+at)/piece] = vector.Dot(d, d)
			}
			continue
		}
		variance := k.work[worker][0][:end-at]
		variances(variance, v)
		if k.selection.phase == selectUpper {
			for _, x := range variance {
				if x != 0 {
					k.varying[worker][0]++
				}
			}
		}
		k.selection.scan(worker, b.Start+at, variance)
	}
}

func (k *sce) Merge(worker int, b Block, out []float32) {
	for at := 0; at < len(out); at += piece {
		end := min(at+piece, len(out))
		v := k.differences(worker, b, at, end)
		k.keep(worker, b.Start+at, v)
		o, election, divisor := out[at:end], k.work[worker][1][:end-at], k.work[worker][2][:end-at]
		elect(election, v, false)
		clear(divisor)
		clear(o)
		for i, d := range v {
			w := k.weights[i]
			for j, x := range d {
				if x > 0 && election[j] >= 0 || x < 0 && election[j] < 0 {
					o[j] += float32(x * w)
					divisor[j] += w
				}
			}
		}
		base := b.X[k.base][at:end]
		for j := range o {
			o[j] = base[j] + o[j]/max(1e-6, divisor[j])
		}
	}
}
