package align

import (
	"maps"
	"sync"

	"github.com/profuser/profuser/fusion/edit"
	"github.com/profuser/profuser/fusion/vocabulary"
)

// Warper lays two tokenisations of a text beside each other by dynamic time warping over token strings, as FuseLLM does, or
// as FuseChat for method statistics. One Warper serves one pair of vocabularies; it may be used by many goroutines.
type Warper struct {
	source, target []int32 // by id: the number of its bare string; equal strings have equal numbers
	sourceBytes    []int32 // by id: how many bytes it stands for
	targetBytes    []int32
	offsets        []int32 // [strings+1], of symbols
	symbols        []int32
	marked         []int32 // statistics, by string: the number of the string with its marker
	alphabet       int
	up, left       int32 // steps in their order of preference
	works          sync.Pool
}

// MaxWarp is the longest tokenisation that is warped, in tokens.
const MaxWarp = 1 << 15

// Warped is a warping path, target position by target position: First[j] to Last[j] are the source positions beside j.
type Warped struct{ First, Last []int32 }

// NewWarper reads the strings of two vocabularies. The method, one of the comparison methods, chooses the rule (Warp).
func NewWarper(method string, source, target *vocabulary.Strings) *Warper {
	w := &Warper{offsets: []int32{0}, up: stepSecond, left: stepThird}
	chat := method == MethodStatistics
	if chat {
		source, target = source.Plain(), target.Plain()
		w.left, w.up = stepSecond, stepThird
	}
	var alphabet edit.Alphabet
	type word struct{ bare, marked string } // marked is empty for FuseLLM
	numbers := map[word]int32{}
	add := func(s word) int32 {
		number, known := numbers[s]
		if !known {
			number = int32(len(numbers))
			numbers[s] = number
			w.symbols = alphabet.Append(w.symbols, s.bare)
			w.offsets = append(w.offsets, int32(len(w.symbols)))
		}
		return number
	}
	read := func(s *vocabulary.Strings) (out, bytes []int32) {
		out, bytes = make([]int32, s.Size()), make([]int32, s.Size())
		for id := range out {
			bytes[id] = int32(s.Bytes(int32(id)))
			token := word{bare: s.Bare(int32(id))}
			if chat {
				token.marked = s.As(target, int32(id))
			}
			out[id] = add(token)
		}
		return out, bytes
	}
	w.source, w.sourceBytes = read(source)
	w.target, w.targetBytes = read(target)
	if chat {
		w.marked = make([]int32, len(numbers))
		for token, number := range maps.Clone(numbers) {
			w.marked[number] = add(word{bare: token.marked})
		}
	}
	w.alphabet = alphabet.Size()
	w.works.New = func() any {
		return &warp{Warper: w, pattern: edit.NewPattern(w.alphabet), rows: newSide(len(numbers)), cols: newSide(len(numbers))}
	}
	return w
}

// Warp gives the cheapest path from the first tokens to the last ones through the matrix of pairs, source tokens [n] its
// rows, target tokens [m] its columns:
//
//	cost(i, j) = edit distance of the two token strings, word markers taken out
//	D[i, j] = cost(i, j) + min(D[i-1, j-1], D[i-1, j], D[i, j-1])
//
// traced back from the end; of equal ones the first in this order. Method statistics compares plain strings
// (vocabulary.Strings.Plain), keeps the markers, made the same, where a string is empty without, and of equal ones takes
// D[i, j-1] before D[i-1, j]. Without tokens on one side there is no path: every
// Last is -1. Ids are those of the vocabularies; at most MaxWarp tokens on each side, longer texts have no path either.
//
// Most of the matrix is never looked at, with the same result: pairs in a band around equal shares of the text's bytes give
// an upper bound U of D at the end; h(i, j), the sum over the later tokens of the one or the other side of the lowest
// cost that each has with any string of the text, bounds from below what is still to be paid; a cell with D + h > U lies on no cheapest path. As h falls by no more than a step costs, the cells that are left have the
// values of the whole matrix.
//
// Source: spec/alignment.md §3; Wan et al., "Knowledge fusion of large language models" (2024). Different from their code
// in speed only (docs/alignment.md, compared with FuseLLM's code; statistics with FuseChat's).
func (w *Warper) Warp(source, target []int32) Warped {
	k := w.works.Get().(*warp)
	defer w.works.Put(k)
	out := Warped{make([]int32, len(target)), make([]int32, len(target))}
	if len(source) == 0 || len(target) == 0 || len(source) > MaxWarp || len(target) > MaxWarp {
		for j := range out.Last {
			out.Last[j] = -1
		}
		return out
	}
	k.begin(source, target)
	k.sweep(k.bound(source, target))
	k.trace(out)
	return out
}
