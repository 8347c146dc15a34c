package merge

import (
	"cmp"
	"math"
	"slices"

	"github.com/profuser/profuser/trainer/merge/vector"
)

// dropping decides which elements of one model's difference from the base are kept. It is scanned like a Kernel, granule
// by granule.
type dropping interface {
	next() bool
	scan(worker, start int, d []float32)
	// drop zeroes what is not kept, from then on the same elements every time.
	drop(worker, start int, d []float32)
}

// magnitudes keeps those of the largest magnitudes (TIES), less the very largest where drops says so (Breadcrumbs).
type magnitudes struct{ keeps, drops *selection }

// newMagnitudes keeps the keep largest, less the most largest of them.
func newMagnitudes(n, keep, most, workers int) magnitudes {
	m := magnitudes{keeps: newSelection(n, keep, workers)}
	if most > 0 {
		m.drops = newSelection(n, most, workers)
	}
	return m
}

func (m magnitudes) next() bool {
	more := m.keeps.next()
	if m.drops != nil {
		more = m.drops.next() || more
	}
	return more
}

func (m magnitudes) scan(worker, start int, d []float32) {
	if m.keeps.phase != selectDone {
		m.keeps.scan(worker, start, d)
	}
	if m.drops != nil && m.drops.phase != selectDone {
		m.drops.scan(worker, start, d)
	}
}

func (m magnitudes) drop(_, start int, d []float32) {
	least, equal := m.keeps.bound(start / piece)
	if m.drops == nil && equal < 0 {
		vector.KeepLarge(d, least)
		return
	}
	most, mostEqual := uint32(m.keeps.nothing), -1
	if m.drops != nil {
		most, mostEqual = m.drops.bound(start / piece)
	}
	for i, v := range d {
		u := math.Float32bits(v) & 0x7fffffff
		if !above(u, least, &equal) || above(u, most, &mostEqual) {
			d[i] = 0
		}
	}
}

// above says whether a magnitude belongs to a selection, counting those equal to its bound down.
func above(u, least uint32, equal *int) bool {
	if u != least || *equal < 0 {
		return u >= least
	}
	if *equal == 0 {
		return false
	}
	*equal--
	return true
}

// random keeps each element with a probability (DARE).
type random struct {
	key, below uint64
}

func newRandom(key uint64, density float64) random { return random{key, probability(density)} }

func (random) next() bool               { return false }
func (random) scan(int, int, []float32) {}

func (r random) drop(_, start int, d []float32) {
	for i := range d {
		if draw(r.key, start+i) >= r.below {
			d[i] = 0
		}
	}
}

// byRank keeps each element with a probability that grows with the rank of its magnitude in its row (DELLA).
type byRank struct {
	key              uint64
	density, epsilon float64
	order            [][]rank // by worker
}

// rank is an element of a row to sort by magnitude.
type rank struct {
	bits  uint32
	index int32
}

func (*byRank) next() bool               { return false }
func (*byRank) scan(int, int, []float32) {}

// drop takes one row at a time. The smallest magnitude's probability is density - epsilon, the largest's density + epsilon,
// in equal steps between; of equal magnitudes the lower index has the higher rank. A row of one element has density.
func (r *byRank) drop(worker, start int, d []float32) {
	order := r.order[worker][:0]
	for i, v := range d {
		order = append(order, rank{math.Float32bits(v) & 0x7fffffff, int32(i)})
	}
	slices.SortFunc(order, func(a, b rank) int {
		if c := cmp.Compare(a.bits, b.bits); c != 0 {
			return c
		}
		return cmp.Compare(b.index, a.index)
	})
	for i, e := range order {
		p := r.density
		if len(order) > 1 {
			p += r.epsilon * (2*float64(i)/float64(len(order)-1) - 1)
		}
		if draw(r.key, start+int(e.index)) >= probability(p) {
			d[e.index] = 0
		}
	}
	r.order[worker] = order
}

// probability is the bound below which a draw has probability p.
func probability(p float64) uint64 { return uint64(p * (1 << 53)) }

// draw is a number of 53 random bits for an element: the finaliser of SplitMix64 over key + index·γ.
//
// Source: Steele, Lea, Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
func draw(key uint64, index int) uint64 { return mix(key+uint64(index)*0x9e3779b97f4a7c15) >> 11 }

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// maskKey is the key of the masks of one input of a tensor: FNV-1a over the name, mixed with seed and input.
func maskKey(seed uint64, name string, input int) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return mix(mix(h+seed*0x9e3779b97f4a7c15) + uint64(input))
}
