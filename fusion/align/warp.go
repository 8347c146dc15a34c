package align

import (
	"sync"

	"github.com/profuser/profuser/fusion/edit"
	"github.com/profuser/profuser/fusion/vocabulary"
)

// Warper lays two tokenisations of a text beside each other by dynamic time warping over token strings, as FuseLLM does.
// One Warper serves one pair of vocabularies; it may be used by many goroutines.
type Warper struct {
	source, target []int32 // by id: the number of its bare string; equal strings have equal numbers
	sourceBytes    []int32 // by id: how many bytes it stands for
	targetBytes    []int32
	offsets        []int32 // [strings+1], of symbols
	symbols        []int32
	alphabet       int
	works          sync.Pool
}

// MaxWarp is the longest tokenisation that is warped, in tokens.
const MaxWarp = 1 << 15

// Warped is a warping path, target position by target position: First[j] to Last[j] are the source positions beside j.
type Warped struct{ First, Last []int32 }

// NewWarper reads the strings of two vocabularies without their markers.
func NewWarper(source, target *vocabulary.Strings) *Warper {
	w := &Warper{offsets: []int32{0}}
	var alphabet edit.Alphabet
	numbers := map[string]int32{}
	read := func(s *vocabulary.Strings) (out, bytes []int32) {
		out, bytes = make([]int32, s.Size()), make([]int32, s.Size())
		for id := range out {
			bytes[id] = int32(s.Bytes(int32(id)))
			bare := s.Bare(int32(id))
			number, known := numbers[bare]
			if !known {
				number = int32(len(numbers))
				numbers[bare] = number
				w.symbols = alphabet.Append(w.symbols, bare)
				w.offsets = append(w.offsets, int32(len(w.symbols)))
			}
			out[id] = number
		}
		return out, bytes
	}
	w.source, w.sourceBytes = read(source)
	w.target, w.targetBytes = read(target)
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
// traced back from the end; of equal ones the first in this order. Without tokens on one side there is no path: every
// Last is -1. Ids are those of the vocabularies; at most MaxWarp tokens on each side, longer texts have no path either.
//
// Most of the matrix is never looked at, with the same result: pairs in a band around equal shares of the text's bytes give
// an upper bound U of D at the end; h(i, j), the sum over the later tokens of the one or the other side of the lowest
// cost that each has with any string of the text, bounds from below what is still to be paid; a cell with D + h > U lies on no cheapest path. As h falls by no more than a step costs, the cells that are left have the
// values of the whole matrix.
//
// Source: spec/alignment.md §3; Wan et al., "Knowledge fusion of large language models" (2024). Different from their code
// in speed only.
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
