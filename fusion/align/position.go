package align

import (
	"math"
	"slices"

	"github.com/profuser/profuser/fusion/dist"
)

// share is the weight that one target token got, in log space.
type share struct {
	logWeight float64
	id        int32
}

// position collects the weights of one target position. Shares of one token are added; finding them costs O(1)
// through a table of slots that a new generation empties.
type position struct {
	shares     []share
	slots      []slot // a power of two, at least twice the shares
	generation uint32
}

type slot struct {
	generation uint32
	share      int32
}

// reset empties the position.
func (p *position) reset() {
	p.shares = p.shares[:0]
	p.generation++
	if p.generation == 0 { // wrapped around: old slots could look new
		clear(p.slots)
		p.generation = 1
	}
}

// add gives weight to a token.
func (p *position) add(id int32, logWeight float64) {
	if 2*len(p.shares) >= len(p.slots) {
		p.grow()
	}
	s := p.find(id)
	if s.generation == p.generation {
		known := &p.shares[s.share]
		known.logWeight = dist.LogAdd(known.logWeight, logWeight)
		return
	}
	*s = slot{p.generation, int32(len(p.shares))}
	p.shares = append(p.shares, share{logWeight, id})
}

// find gives the slot of a token, or the free one where it belongs.
func (p *position) find(id int32) *slot {
	mask := uint32(len(p.slots) - 1)
	for at := uint32(id) * 0x9E3779B1 >> 7; ; at++ {
		s := &p.slots[at&mask]
		if s.generation != p.generation || p.shares[s.share].id == id {
			return s
		}
	}
}

func (p *position) grow() {
	p.slots = make([]slot, max(64, 2*len(p.slots)))
	p.generation = max(1, p.generation)
	for i, share := range p.shares {
		*p.find(share.id) = slot{p.generation, int32(i)}
	}
}

// appendTo stores the shares, divided by the evidence, as the next position of d: highest first, equal ones by id.
// Source log-probs rounded to bfloat16 can add up to a little more than 1; such a position is divided by its mass.
func (p *position) appendTo(d *dist.Sparse, logEvidence float64) {
	sortShares(p.shares)
	mass := 0.0
	for _, share := range p.shares {
		mass += math.Exp(share.logWeight - logEvidence)
	}
	if mass > 1 {
		logEvidence += math.Log(mass)
	}
	for _, share := range p.shares {
		d.IDs = append(d.IDs, share.id)
		d.LogProbs = append(d.LogProbs, float32(min(0, share.logWeight-logEvidence)))
	}
	d.Counts = append(d.Counts, int32(len(p.shares)))
}

// before orders shares by falling weight, then id; no weight is NaN.
func (a share) before(b share) bool {
	return a.logWeight > b.logWeight || a.logWeight == b.logWeight && a.id < b.id
}

// compareShares is before as slices.SortFunc wants it.
func compareShares(a, b share) int {
	if a.before(b) {
		return -1
	} else if b.before(a) {
		return 1
	}
	return 0
}

// sortShares sorts by falling weight, then id. Shares come nearly sorted, which insertion uses.
func sortShares(shares []share) {
	const few = 64
	if len(shares) > few {
		slices.SortFunc(shares, compareShares)
		return
	}
	for i := 1; i < len(shares); i++ {
		moved := shares[i]
		k := i
		for k > 0 && moved.before(shares[k-1]) {
			shares[k] = shares[k-1]
			k--
		}
		shares[k] = moved
	}
}
