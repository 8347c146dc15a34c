package vocabulary

import (
	"cmp"
	"math"
	"slices"

	"github.com/profuser/profuser/fusion/edit"
)

// MinEditDistance maps every source token x to the target token of smallest edit distance, FuseLLM's "soft" map (MinED):
//
//	x' = x, its word marker replaced by the target's everywhere
//	map(x) = x' if the target's vocabulary has it, else argmin over target tokens y of distance(x', y), ties to the lowest id
//
// The distance is unit-cost Levenshtein on code points, and the token's cost. Strings are the vocabularies' own, special
// tokens and byte tokens among them, so that every source token is mapped and tokens with equal x' share one target.
//
// Target tokens are compared in order of their difference in length, which is a lower bound of the distance, and only if
// the symbols that they share allow a distance that would win.
//
// Source: spec/alignment.md §3; Wan et al., "Knowledge fusion of large language models" (2024). Different from their code
// in speed only, and in ties, which it leaves to the order of a hash table.
func MinEditDistance(source, target *Strings) *Map {
	m := newMap(MethodMinEditDistance, source.Size())
	n := newNearest(source, target)
	known := map[string]neighbour{}
	for id := range int32(source.Size()) {
		if source.Token(id) == "" || n.empty() {
			m.add(0)
			continue
		}
		x := source.As(target, id)
		best, ok := known[x]
		if same, is := target.ID(x); is {
			best, ok = neighbour{same, 0}, true
		}
		if !ok {
			best = n.find(x)
			known[x] = best
		}
		m.add(float32(best.distance), best.id)
	}
	return m
}

// neighbour is a target token and its distance.
type neighbour struct {
	id       int32
	distance int
}

// nearest finds the nearest target token of a string. Tokens are sorted by length, then id.
type nearest struct {
	alphabet   edit.Alphabet
	pattern    *edit.Pattern
	ids        []int32  // [tokens]
	signatures []uint64 // [tokens]
	offsets    []int32  // [tokens+1], of symbols
	symbols    []int32
	lengths    []int32 // [longest+2]: the first token of each length
	work       []int32
}

func newNearest(source, target *Strings) *nearest {
	n := &nearest{}
	words := make([][]int32, 0, target.Size())
	var all []int32
	for id := range int32(target.Size()) {
		if target.Token(id) == "" {
			continue
		}
		start := len(all)
		all = n.alphabet.Append(all, target.Token(id))
		words = append(words, all[start:len(all):len(all)])
		n.ids = append(n.ids, id)
	}
	for id := range int32(source.Size()) { // so that the pattern knows all symbols
		n.work = n.alphabet.Append(n.work[:0], source.As(target, id))
	}
	order := make([]int, len(words))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(words[a]), len(words[b])) })
	ids := n.ids
	n.ids, n.offsets = make([]int32, 0, len(ids)), []int32{0}
	for _, i := range order {
		for len(n.lengths) <= len(words[i]) {
			n.lengths = append(n.lengths, int32(len(n.ids)))
		}
		n.ids = append(n.ids, ids[i])
		n.signatures = append(n.signatures, edit.Signature(words[i]))
		n.symbols = append(n.symbols, words[i]...)
		n.offsets = append(n.offsets, int32(len(n.symbols)))
	}
	n.lengths = append(n.lengths, int32(len(n.ids)))
	n.pattern = edit.NewPattern(n.alphabet.Size())
	return n
}

func (n *nearest) empty() bool { return len(n.ids) == 0 }

// find gives the nearest token of x, of several the lowest id.
func (n *nearest) find(x string) neighbour {
	n.work = n.alphabet.Append(n.work[:0], x)
	n.pattern.Set(n.work)
	signature := edit.Signature(n.work)
	best := neighbour{math.MaxInt32, math.MaxInt}
	for apart := 0; apart <= best.distance && apart <= max(len(n.work), len(n.lengths)); apart++ {
		n.scan(len(n.work)-apart, signature, &best)
		if apart > 0 {
			n.scan(len(n.work)+apart, signature, &best)
		}
	}
	return best
}

// scan compares the tokens of one length.
func (n *nearest) scan(length int, signature uint64, best *neighbour) {
	if length < 0 || length+1 >= len(n.lengths) {
		return
	}
	first, end := n.lengths[length], n.lengths[length+1]
	for k, other := range n.signatures[first:end] {
		bound := edit.AtLeast(signature, other)
		if bound > best.distance {
			continue
		}
		at := int(first) + k
		if bound == best.distance && n.ids[at] > best.id {
			continue
		}
		d := n.pattern.Distance(n.symbols[n.offsets[at]:n.offsets[at+1]])
		if d < best.distance || d == best.distance && n.ids[at] < best.id {
			*best = neighbour{n.ids[at], d}
		}
	}
}
