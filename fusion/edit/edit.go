package edit

import (
	"math/bits"
	"unicode/utf8"
)

// Alphabet numbers the code points of all strings that are compared with each other, from 0. The zero value is empty.
type Alphabet struct{ numbers map[rune]int32 }

// Size is how many different symbols the alphabet has seen.
func (a *Alphabet) Size() int { return len(a.numbers) }

// Append adds the symbols of s, one a code point, to symbols. New code points get the next number.
func (a *Alphabet) Append(symbols []int32, s string) []int32 {
	if a.numbers == nil {
		a.numbers = map[rune]int32{}
	}
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 {
			r = unicodeEnd + rune(s[0])
		}
		number, known := a.numbers[r]
		if !known {
			number = int32(len(a.numbers))
			a.numbers[r] = number
		}
		symbols = append(symbols, number)
		s = s[size:]
	}
	return symbols
}

// unicodeEnd is the first number after all code points: there stand the bytes that are no UTF-8.
const unicodeEnd = utf8.MaxRune + 1

// word is the number of symbols that one machine word compares at once.
const word = 64

// Pattern is one string that is compared with many. It belongs to one goroutine.
type Pattern struct {
	symbols []int32
	places  []uint64 // by symbol: the bits of the places where the pattern has it
	row     []int    // work space of patterns longer than a word
}

// NewPattern makes an empty pattern over the symbols 0 to size-1.
func NewPattern(size int) *Pattern { return &Pattern{places: make([]uint64, size)} }

// Set makes symbols the pattern.
func (p *Pattern) Set(symbols []int32) {
	for _, s := range p.symbols {
		p.places[s] = 0
	}
	p.symbols = append(p.symbols[:0], symbols...)
	if len(symbols) > word {
		return
	}
	for i, s := range symbols {
		p.places[s] |= 1 << i
	}
}

// Distance is the edit distance of the pattern from a string [n] of symbols: the fewest insertions, deletions and
// replacements of one code point, each at cost 1, that turn one into the other.
//
//	D[i, 0] = i, D[0, j] = j
//	D[i, j] = min(D[i-1, j] + 1, D[i, j-1] + 1, D[i-1, j-1] + [p_i ≠ s_j])
//
// An empty string is as far away as the other is long. It costs O(n) for patterns of at most 64 symbols.
//
// Source: Levenshtein (1966); the columns as bit vectors: Myers (1999), in the form of Hyyrö (2003) for distances.
func (p *Pattern) Distance(text []int32) int {
	m := len(p.symbols)
	switch {
	case m == 0:
		return len(text)
	case m > word:
		return p.long(text)
	}
	up, down := ^uint64(0), uint64(0) // where D grows by one, falls by one, from a place to the next
	last := uint64(1) << (m - 1)
	distance := m
	for _, s := range text {
		equal := p.places[s]
		vertical := equal | down
		horizontal := (((equal & up) + up) ^ up) | equal
		grow := down | ^(horizontal | up)
		fall := up & horizontal
		if grow&last != 0 {
			distance++
		}
		if fall&last != 0 {
			distance--
		}
		grow = grow<<1 | 1
		up = fall<<1 | ^(vertical | grow)
		down = grow & vertical
	}
	return distance
}

// long is Distance by the definition, row by row.
func (p *Pattern) long(text []int32) int {
	row := p.row[:0]
	for j := range len(text) + 1 {
		row = append(row, j)
	}
	p.row = row
	for i, s := range p.symbols {
		diagonal := row[0]
		row[0] = i + 1
		for j, t := range text {
			replace := diagonal
			if s != t {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(text)]
}

// Signature gives the set of symbols of a string, 64 classes of them.
func Signature(symbols []int32) uint64 {
	var set uint64
	for _, s := range symbols {
		set |= 1 << (uint32(s) % word)
	}
	return set
}

// AtLeast is a lower bound of the distance of two strings with these signatures: a step of the edit takes away at most
// one symbol of the one and brings at most one of the other.
func AtLeast(a, b uint64) int {
	return max(bits.OnesCount64(a&^b), bits.OnesCount64(b&^a))
}
