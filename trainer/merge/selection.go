package merge

import "math"

// selection finds the k largest magnitudes of a stream of numbers, exactly: a histogram over the upper half of their bits,
// one over the lower half of those in the bin that holds the k-th, and, only if some but not all of the numbers equal to
// the k-th belong to it, a count of those by granule. Of equal magnitudes the lowest index goes first.
//
// Magnitudes of float32 are ordered as their bits without the sign are ordered as whole numbers.
type selection struct {
	// k is how many to select; it may change until the first histogram is read.
	k int
	// least is the smallest magnitude, as bits, that is selected; boundary is the granule in which the selection of those
	// equal to least ends, and within how many of them it selects there. Without such a granule boundary is -1.
	least, boundary, within int

	n       int
	phase   int
	bin     uint32
	rest    int        // how many are selected from bin, then of those equal to least
	hist    [][]uint32 // by worker
	counts  []int32    // by granule
	nothing int        // a bound above every magnitude
}

// Phases of a selection.
const (
	selectStart = iota
	selectUpper
	selectLower
	selectEqual
	selectDone
)

func newSelection(n, k, workers int) *selection {
	return &selection{n: n, k: k, hist: make([][]uint32, workers), boundary: -1, nothing: 0x80000000}
}

// next takes in what was scanned and says whether to scan (again).
func (s *selection) next() bool {
	switch s.phase {
	case selectStart:
		s.phase = selectUpper
		if s.trivial() {
			return false
		}
	case selectUpper:
		if s.trivial() {
			return false
		}
		s.bin, s.rest = s.descend(s.k)
		s.phase = selectLower
	case selectLower:
		low, rest := s.descend(s.rest)
		equal := 0
		for _, h := range s.hist {
			if h != nil {
				equal += int(h[low])
			}
		}
		s.hist = make([][]uint32, len(s.hist))
		s.least, s.rest, s.phase = int(s.bin<<16|low), rest, selectDone
		if rest == equal {
			return false
		}
		s.counts, s.phase = make([]int32, granules(s.n, piece)), selectEqual
	case selectEqual:
		s.phase = selectDone
		left := s.rest
		for g, c := range s.counts {
			if left <= int(c) {
				s.boundary, s.within = g, left
				break
			}
			left -= int(c)
		}
		s.counts = nil
		return false
	default:
		return false
	}
	for w := range s.hist {
		clear(s.hist[w])
	}
	return true
}

// trivial settles a selection of nothing or everything.
func (s *selection) trivial() bool {
	switch {
	case s.k <= 0:
		s.least = s.nothing
	case s.k >= s.n:
		s.least = 0
	default:
		return false
	}
	s.phase = selectDone
	return true
}

// descend finds the bin that holds the k-th largest, and how many of it are selected.
func (s *selection) descend(k int) (bin uint32, rest int) {
	for b := 1<<16 - 1; ; b-- {
		count := 0
		for _, h := range s.hist {
			if h != nil {
				count += int(h[b])
			}
		}
		if k <= count || b == 0 {
			return uint32(b), k
		}
		k -= count
	}
}

// scan takes in a piece that starts at an index; pieces are granules.
func (s *selection) scan(worker, start int, x []float32) {
	if s.phase == selectEqual {
		count := int32(0)
		for _, v := range x {
			if math.Float32bits(v)&0x7fffffff == uint32(s.least) {
				count++
			}
		}
		s.counts[start/piece] = count
		return
	}
	if s.hist[worker] == nil {
		s.hist[worker] = make([]uint32, 1<<16)
	}
	h := (*[1 << 16]uint32)(s.hist[worker])
	if s.phase == selectUpper {
		for _, v := range x {
			h[uint16(math.Float32bits(v)&0x7fffffff>>16)]++
		}
		return
	}
	for _, v := range x {
		if u := math.Float32bits(v) & 0x7fffffff; u>>16 == s.bin {
			h[uint16(u)]++
		}
	}
}

// bound gives, for a granule, the smallest magnitude that is selected and how many equal to it are: -1 for all.
func (s *selection) bound(granule int) (least uint32, equal int) {
	switch {
	case s.boundary < 0 || granule < s.boundary:
		return uint32(s.least), -1
	case granule > s.boundary:
		return uint32(s.least) + 1, -1
	}
	return uint32(s.least), s.within
}
