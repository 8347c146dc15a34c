package align

import (
	"math"
	"slices"

	"github.com/profuser/profuser/fusion/edit"
)

const (
	// dead is D of cells that lie on no cheapest path.
	dead = math.MaxInt32 / 2
	// bandSize is how many columns on each side belong to the band that gives the upper bound.
	bandSize = 8
)

// Steps of a path, in the order of preference.
const (
	stepDiagonal uint8 = iota
	stepUp
	stepLeft
)

// warp is the work of one Warp. D is kept for two rows, the steps that led to each cell for all.
type warp struct {
	*Warper
	pattern *edit.Pattern
	set     int32 // the string that is the pattern, -1: none

	rows, cols  side
	costs       []uint16 // [different row strings, different column strings]: the distance + 1, 0 until it is needed
	before, row []int32  // [m+2]: D of column j stands at j+1
	steps       []uint8
	begins      []begin // [n]
}

// begin says where the steps of a row stand: those of column `column` at `at`, the next column's after it.
type begin struct{ column, at int }

// side is one tokenisation.
type side struct {
	tokens  []int32 // [tokens]: the number of each token's string among the text's different strings
	strings []int32 // the different strings
	rest    []int32 // [tokens]: at least so much is to be paid after this token
	least   []int32 // by different string: the lowest cost of a pair with it

	local, stamp []int32 // by string: its number in the text, and the generation of that number
	generation   int32
}

func newSide(strings int) side {
	return side{local: make([]int32, strings), stamp: make([]int32, strings)}
}

// number finds the different strings of a text.
func (s *side) number(ids, strings []int32) {
	s.generation++
	if s.generation <= 0 { // wrapped around
		clear(s.stamp)
		s.generation = 1
	}
	s.tokens, s.strings = s.tokens[:0], s.strings[:0]
	for _, id := range ids {
		word := strings[id]
		if s.stamp[word] != s.generation {
			s.stamp[word], s.local[word] = s.generation, int32(len(s.strings))
			s.strings = append(s.strings, word)
		}
		s.tokens = append(s.tokens, s.local[word])
	}
}

// has says whether a string is in the text.
func (s *side) has(word int32) bool { return s.stamp[word] == s.generation }

// sum fills rest from least.
func (s *side) sum() {
	s.rest = slices.Grow(s.rest[:0], len(s.tokens))[:len(s.tokens)]
	total := int32(0)
	for i := len(s.tokens) - 1; i >= 0; i-- {
		s.rest[i] = total
		total += s.least[s.tokens[i]]
	}
}

// word gives the symbols of a string.
func (w *Warper) word(s int32) []int32 { return w.symbols[w.offsets[s]:w.offsets[s+1]] }

// begin loads two tokenisations and finds what each token costs at least.
func (k *warp) begin(source, target []int32) {
	k.rows.number(source, k.source)
	k.cols.number(target, k.target)
	k.set = -1
	r, c := len(k.rows.strings), len(k.cols.strings)
	k.costs = slices.Grow(k.costs[:0], r*c)[:r*c]
	clear(k.costs)
	k.rows.least, k.cols.least = k.rows.least[:0], k.cols.least[:0]
	for i, word := range k.rows.strings {
		least := int32(0)
		if !k.cols.has(word) {
			least = math.MaxInt32
			for j := range k.cols.strings {
				least = min(least, k.cost(int32(i), int32(j)))
			}
		}
		k.rows.least = append(k.rows.least, least)
	}
	for j, word := range k.cols.strings {
		least := int32(0)
		if !k.rows.has(word) {
			least = math.MaxInt32
			for i := range k.rows.strings {
				least = min(least, k.cost(int32(i), int32(j)))
			}
		}
		k.cols.least = append(k.cols.least, least)
	}
	k.rows.sum()
	k.cols.sum()
	size := len(target) + 2
	k.before, k.row = slices.Grow(k.before[:0], size)[:size], slices.Grow(k.row[:0], size)[:size]
	k.begins = slices.Grow(k.begins[:0], len(source))[:len(source)]
}

// cost is the distance of two different strings of the text.
func (k *warp) cost(row, col int32) int32 {
	known := &k.costs[int(row)*len(k.cols.strings)+int(col)]
	if *known == 0 {
		*known = k.distance(k.rows.strings[row], k.cols.strings[col]) + 1
	}
	return int32(*known) - 1
}

// distance is the edit distance of two strings; no vocabulary has strings of 65,535 characters, whose distance counts as
// 65,534.
func (k *warp) distance(a, b int32) uint16 {
	if a == b {
		return 0
	}
	if k.set != a {
		k.pattern.Set(k.word(a))
		k.set = a
	}
	return uint16(min(k.pattern.Distance(k.word(b)), math.MaxUint16-1))
}

// bound is D at the end of the cheapest path in a band around equal shares of characters: an upper bound of the whole
// matrix's.
func (k *warp) bound() int32 {
	n, m := len(k.rows.tokens), len(k.cols.tokens)
	total := func(s *side) (sum int) {
		for _, t := range s.tokens {
			sum += len(k.word(s.strings[t]))
		}
		return sum
	}
	rowTotal, colTotal := max(1, total(&k.rows)), max(1, total(&k.cols))
	for j := range k.before {
		k.before[j], k.row[j] = dead, dead
	}
	k.before[0] = 0
	rowSum, colSum, center := 0, 0, 0
	for i, r := range k.rows.tokens {
		first := max(0, center-bandSize)
		rowSum += len(k.word(k.rows.strings[r]))
		for center < m-1 && (colSum+len(k.word(k.cols.strings[k.cols.tokens[center]])))*rowTotal <= rowSum*colTotal {
			colSum += len(k.word(k.cols.strings[k.cols.tokens[center]]))
			center++
		}
		last := min(m-1, center+bandSize)
		if i == n-1 {
			last = m - 1
		}
		k.row[first] = dead
		for j := first; j <= last; j++ {
			k.row[j+1] = min(dead, min(k.before[j], k.before[j+1], k.row[j])+k.cost(r, k.cols.tokens[j]))
		}
		k.before, k.row = k.row, k.before // the band never goes back: what is right of it is dead in both
	}
	return k.before[m]
}

// sweep computes the cells from which the end is reached at no more than limit.
func (k *warp) sweep(limit int32) {
	m := len(k.cols.tokens)
	k.steps = k.steps[:0]
	k.before[0], k.before[1] = 0, dead
	first, last := -1, -1 // the living columns of the row before, and those between
	for i, r := range k.rows.tokens {
		costs := k.costs[int(r)*len(k.cols.strings):][:len(k.cols.strings)]
		rest := k.rows.rest[i]
		from := max(0, first)
		k.begins[i] = begin{from, len(k.steps)}
		left := int32(dead)
		first, last = -1, min(m-1, last+1)
		k.row[from] = dead
		j, alive := from, -1
		for ; j < m && (j <= last || left < dead); j++ {
			best, step := left, stepLeft
			if j <= last {
				if up := k.before[j+1]; up <= best {
					best, step = up, stepUp
				}
				if diagonal := k.before[j]; diagonal <= best {
					best, step = diagonal, stepDiagonal
				}
			}
			left = dead
			if best < dead {
				col := k.cols.tokens[j]
				c := int32(costs[col]) - 1
				if c < 0 {
					c = k.cost(r, col)
				}
				if d := best + c; d+max(rest, k.cols.rest[j]) <= limit {
					left, alive = d, j
					if first < 0 {
						first = j
					}
				}
			}
			k.row[j+1] = left
			k.steps = append(k.steps, step)
		}
		last = alive
		if j+1 < len(k.row) {
			k.row[j+1] = dead
		}
		k.before, k.row = k.row, k.before
	}
}

// trace follows the steps back from the end.
func (k *warp) trace(out Warped) {
	i, j := len(k.rows.tokens)-1, len(k.cols.tokens)-1
	out.Last[j] = int32(i)
	for i > 0 || j > 0 {
		b := k.begins[i]
		switch k.steps[b.at+j-b.column] {
		case stepDiagonal:
			out.First[j] = int32(i)
			i, j = i-1, j-1
			out.Last[j] = int32(i)
		case stepUp:
			i--
		default:
			out.First[j] = int32(i)
			j--
			out.Last[j] = int32(i)
		}
	}
	out.First[0] = 0
}
