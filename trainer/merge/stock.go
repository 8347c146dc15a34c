package merge

import (
	"math"

	"github.com/profuser/profuser/trainer/merge/vector"
)

var stockMethod = Method{
	Name: "model_stock", Summary: "between the base and the models' mean, by the angles between their differences", Reference: "arXiv:2403.19522",
	Base: BaseRequired, Min: 2,
	Parameters: []Parameter{{Name: "filter_wise", Meaning: "an angle for each row instead of the tensor", Kind: Bool}},
	New:        newStock,
}

// stock has, for each granule, the sums |δ_i|² and δ_i·δ_j.
type stock struct {
	base    int
	others  []int
	granule int
	rows    bool        // a granule is a row with a t of its own
	norms   [][]float64 // by model, granule
	dots    [][]float64 // by pair, granule
	deltas  [][][]float32
	scanned bool
	t       []float64 // of each granule, or one
}

// newStock makes the kernel of
//
//	c = mean over i<j of cos(δ_i, δ_j);  t = k·c / (1 + (k-1)·c);  M = t·mean(M_i) + (1-t)·B    (k models, δ_i = M_i - B)
//
// A product of norms below 1e-6 counts as 1e-6; where |1 + (k-1)·c| < 1e-6 the base stays (t = 0). filter_wise takes the
// rows of the last dimension each by itself.
//
// Source: Jang et al., Model Stock, 2024 (arXiv:2403.19522); thresholds as in mergekit. Sums are float64.
func newStock(t Tensor) (Kernel, error) {
	k := &stock{base: t.Base, others: t.others(), granule: piece, rows: t.Shared["filter_wise"] != 0}
	if k.rows {
		k.granule = t.row()
	}
	n := granules(t.Len(), k.granule)
	for i := range k.others {
		k.norms = append(k.norms, make([]float64, n))
		for range i {
			k.dots = append(k.dots, make([]float64, n))
		}
	}
	k.deltas = buffers(t.Workers, len(k.others), k.granule)
	return k, nil
}

// buffers are room for a granule of several vectors, for each worker.
func buffers(workers, vectors, size int) [][][]float32 {
	out := make([][][]float32, workers)
	for w := range out {
		for range vectors {
			out[w] = append(out[w], make([]float32, size))
		}
	}
	return out
}

func (k *stock) Granule() int { return k.granule }

func (k *stock) Scan(worker int, b Block) {
	base := b.X[k.base]
	for at := 0; at < len(base); at += k.granule {
		end, g := min(at+k.granule, len(base)), (b.Start+at)/k.granule
		pair := 0
		for i, other := range k.others {
			d := k.deltas[worker][i][:end-at]
			vector.Sub(d, b.X[other][at:end], base[at:end])
			k.norms[i][g] = vector.Dot(d, d)
			for j := range i {
				k.dots[pair][g] = vector.Dot(k.deltas[worker][j][:end-at], d)
				pair++
			}
		}
	}
}

func (k *stock) Next() bool {
	if !k.scanned {
		k.scanned = true
		return true
	}
	if k.rows {
		for g := range k.norms[0] {
			k.t = append(k.t, k.share(func(s []float64) float64 { return s[g] }))
		}
	} else {
		k.t = []float64{k.share(sum)}
	}
	return false
}

// share is t, from the sums of a row or of the whole tensor.
func (k *stock) share(of func([]float64) float64) float64 {
	var cos float64
	pair := 0
	for i := range k.others {
		for j := range i {
			product := max(1e-6, math.Sqrt(of(k.norms[i]))*math.Sqrt(of(k.norms[j])))
			cos += min(1, max(-1, of(k.dots[pair])/product))
			pair++
		}
	}
	cos /= float64(len(k.dots))
	n := float64(len(k.others))
	denominator := 1 + (n-1)*cos
	if math.Abs(denominator) < 1e-6 {
		return 0
	}
	return n * cos / denominator
}

func (k *stock) Merge(_ int, b Block, out []float32) {
	base := b.X[k.base]
	for at := 0; at < len(out); at += k.granule {
		end, t := min(at+k.granule, len(out)), k.t[0]
		if k.rows {
			t = k.t[(b.Start+at)/k.granule]
		}
		o := out[at:end]
		copy(o, b.X[k.others[0]][at:end])
		for _, i := range k.others[1:] {
			vector.AddScaled(o, 1, b.X[i][at:end])
		}
		vector.Divide(o, float32(len(k.others)))
		vector.Blend(o, float32(t), o, float32(1-t), base[at:end])
	}
}
