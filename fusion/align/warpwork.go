package align

import (
	"math"
	"slices"

	"github.com/profuser/profuser/fusion/edit"
)

const (
	// dead is D of cells that lie on no cheapest path.
	dead = 1 << 28
	// maxCost bounds the cost of a pair, and MaxWarp the tokens of a side, so that no sum reaches dead. No vocabulary has
	// strings of thousands of characters.
	maxCost = 4095
	// bandSize is how many columns on each side belong to the band that gives the upper bound.
	bandSize = 8
)

// Steps of a path, in the order of preference; the numbers stand in two bits.
const (
	stepDiagonal = iota
	stepSecond
	stepThird
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

// distance is the edit distance of two strings, at most maxCost.
func (k *warp) distance(a, b int32) uint16 {
	if a == b {
		return 0
	}
	if k.marked != nil && (len(k.word(a)) == 0 || len(k.word(b)) == 0) {
		a, b = k.marked[a], k.marked[b]
	}
	if k.set != a {
		k.pattern.Set(k.word(a))
		k.set = a
	}
	return uint16(min(k.pattern.Distance(k.word(b)), maxCost))
}

// bound is D at the end of the cheapest path in a band around equal shares of the text's bytes: an upper bound of the
// whole matrix's.
func (k *warp) bound(source, target []int32) int32 {
	n, m := len(source), len(target)
	for j := range k.before {
		k.before[j], k.row[j] = dead, dead
	}
	k.before[0] = 0
	rowTotal, colTotal := total(source, k.sourceBytes), total(target, k.targetBytes)
	rowEnd, colEnd, center := 0, int(k.targetBytes[target[0]]), 0
	for i, r := range k.rows.tokens {
		first := max(0, center-bandSize)
		rowEnd += int(k.sourceBytes[source[i]])
		for center < m-1 && colEnd*rowTotal < rowEnd*colTotal {
			center++
			colEnd += int(k.targetBytes[target[center]])
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

// total is the number of bytes that tokens stand for, at least 1.
func total(ids, lengths []int32) int {
	sum := 0
	for _, id := range ids {
		sum += int(lengths[id])
	}
	return max(1, sum)
}

// sweep computes the cells from which the end is reached at no more than limit, and some between them. D stands with the
// step that led to it in its two low bits, so that the lowest of three is also the first of equals.
func (k *warp) sweep(limit int32) {
	k.steps = k.steps[:0]
	k.before[0], k.before[1] = 0, dead<<2
	first, last := 0, -1 // the living columns of the row before
	for i, r := range k.rows.tokens {
		k.begins[i] = begin{first, len(k.steps)}
		rest := k.rows.rest[i]
		last = k.sweepRow(r, first, min(len(k.cols.tokens)-1, last+1), rest, limit)
		for first < last && k.row[first+1]>>2+max(rest, k.cols.rest[first]) > limit {
			first++
		}
		for last > first && k.row[last+1]>>2+max(rest, k.cols.rest[last]) > limit {
			last--
		}
		k.row[first] = dead << 2
		if last+2 < len(k.row) {
			k.row[last+2] = dead << 2
		}
		k.before, k.row = k.row, k.before
	}
}

// sweepRow computes the columns from first to last of the row of a string, and those after it as far as a path can go
// on; it gives the last one.
func (k *warp) sweepRow(r int32, first, last int, rest, limit int32) int {
	costs := k.costs[int(r)*len(k.cols.strings):][:len(k.cols.strings)]
	cols := k.cols.tokens[first : last+1]
	before, row := k.before[first:][:len(cols)+1], k.row[first+1:][:len(cols)]
	at := len(k.steps)
	k.steps = slices.Grow(k.steps, len(cols))[:at+len(cols)]
	steps := k.steps[at:][:len(cols)]
	left := int32(dead << 2)
	stepUp, stepLeft := k.up, k.left
	for j, col := range cols {
		c := costs[col]
		if c == 0 {
			c = uint16(k.cost(r, col) + 1)
		}
		best := min(before[j], before[j+1]|stepUp, left|stepLeft) // stepDiagonal is 0
		steps[j] = uint8(best & 3)
		left = min(best&^3+int32(c-1)<<2, dead<<2)
		row[j] = left
	}
	for last+1 < len(k.cols.tokens) && left>>2+max(rest, k.cols.rest[last]) <= limit {
		last++
		left += k.cost(r, k.cols.tokens[last]) << 2
		k.row[last+1] = left
		k.steps = append(k.steps, uint8(stepLeft))
	}
	return last
}

// trace follows the steps back from the end.
func (k *warp) trace(out Warped) {
	i, j := len(k.rows.tokens)-1, len(k.cols.tokens)-1
	out.Last[j] = int32(i)
	for i > 0 || j > 0 {
		b := k.begins[i]
		switch step := int32(k.steps[b.at+j-b.column]); step {
		case stepDiagonal:
			out.First[j] = int32(i)
			i, j = i-1, j-1
			out.Last[j] = int32(i)
		case k.up:
			i--
		default:
			out.First[j] = int32(i)
			j--
			out.Last[j] = int32(i)
		}
	}
	out.First[0] = 0
}
