package vocabulary

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/profuser/profuser/fusion/edit"
)

// Counts say how often which target token lay beside which source token: C[target id, source id] over the target positions
// of a corpus, for each source token that the warping laid beside it. Sums of counts do not depend on how a corpus is split or in which order it is read. The
// zero value holds none.
type Counts struct{ pairs map[pair]int64 }

type pair struct{ source, target int32 }

// Add counts one pair n more times.
func (c *Counts) Add(target, source int32, n int64) {
	if c.pairs == nil {
		c.pairs = map[pair]int64{}
	}
	c.pairs[pair{source, target}] += n
}

// Merge adds the counts of other, which does not change.
func (c *Counts) Merge(other *Counts) {
	for p, n := range other.pairs {
		c.Add(p.target, p.source, n)
	}
}

// Count is C[target, source].
func (c *Counts) Count(target, source int32) int64 { return c.pairs[pair{source, target}] }

// Len is the number of different pairs.
func (c *Counts) Len() int { return len(c.pairs) }

// sorted lists the pairs by source, then target.
func (c *Counts) sorted() []pair {
	list := make([]pair, 0, len(c.pairs))
	for p := range c.pairs {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b pair) int {
		return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(a.target, b.target))
	})
	return list
}

// countsMagic begins encoded counts.
const countsMagic = "profuser counts 2\n"

// MarshalBinary gives the counts as bytes; equal counts give equal bytes.
func (c *Counts) MarshalBinary() ([]byte, error) {
	out := binary.AppendUvarint([]byte(countsMagic), uint64(len(c.pairs)))
	last := int32(0)
	for _, p := range c.sorted() {
		n := c.pairs[p]
		if p.source < 0 || p.target < 0 || n < 0 {
			return nil, fmt.Errorf("co-alignment counts: target token %d, source token %d, %d times: want none negative", p.target, p.source, n)
		}
		out = binary.AppendUvarint(out, uint64(p.source-last))
		out = binary.AppendUvarint(out, uint64(p.target))
		out = binary.AppendUvarint(out, uint64(n))
		last = p.source
	}
	return out, nil
}

// UnmarshalBinary reads what MarshalBinary gave, in place of what the counts hold.
func (c *Counts) UnmarshalBinary(data []byte) error {
	rest, ok := strings.CutPrefix(string(data), countsMagic)
	if !ok {
		return errors.New("co-alignment counts: the beginning is that of something else, or of another version's counts")
	}
	data = []byte(rest)
	next := func(limit uint64) (n uint64) {
		n, size := binary.Uvarint(data)
		if size <= 0 || n > limit {
			ok = false
			return 0
		}
		data = data[size:]
		return n
	}
	n := next(uint64(len(data)))
	c.pairs = make(map[pair]int64, min(n, uint64(len(data))/3))
	source, before := uint64(0), pair{-1, -1}
	for i := uint64(0); i < n && ok; i++ {
		source += next(math.MaxInt32)
		target, times := next(math.MaxInt32), next(math.MaxInt64)
		p := pair{int32(source), int32(target)}
		ok = ok && source <= math.MaxInt32 && (p.source > before.source || p.source == before.source && p.target > before.target)
		c.pairs[p], before = int64(times), p
	}
	if !ok || len(data) > 0 {
		return errors.New("co-alignment counts: damaged")
	}
	return nil
}

// Statistics maps every source token to the target token of the same string, word markers made the same, and one that has
// none to the target token t that lay beside it in the corpus and minimises
//
//	d(t, s) · sigmoid(C[t, s]), C[t, s] > 0
//
// d being the edit distance of the plain strings (Strings.Plain) without markers, or, if one is empty then, of the own
// strings with the target's marker; times 0.1 if one contains the other. Ties go to the lowest id. A source token that
// has neither is not mapped. Its cost is the minimum, 0 for the same string.
//
// Source: spec/alignment.md §3; Wan et al., "FuseChat" (2024), statistical mapping, and its code, which looks for the
// same string when it copies an entry. Different from the code: tokens that the corpus lacks are left out and not mapped to
// the unknown token, and beginning and end of text have no rule of their own.
func Statistics(source, target Vocabulary, counts *Counts) (*Map, error) {
	from, to := NewStrings(source), NewStrings(target)
	same := SameString(from, to)
	bare, beside := from.Plain(), to.Plain()
	compared := func(p pair) (x, y string) {
		x, y = bare.Bare(p.source), beside.Bare(p.target)
		if x == "" || y == "" {
			return from.As(to, p.source), to.Token(p.target)
		}
		return x, y
	}
	pairs := counts.sorted()
	var alphabet edit.Alphabet
	var a, b []int32
	for _, p := range pairs {
		if int(p.source) >= source.Size() || int(p.target) >= target.Size() || p.source < 0 || p.target < 0 {
			return nil, fmt.Errorf("co-alignment counts: target token %d and source token %d: the vocabularies have %d and %d tokens; the counts are of other tokenizers",
				p.target, p.source, target.Size(), source.Size())
		}
		x, y := compared(p)
		a, b = alphabet.Append(a[:0], x), alphabet.Append(b[:0], y)
	}
	best := make([]int32, source.Size())
	costs := make([]float64, source.Size())
	for id := range best {
		best[id] = -1
	}
	pattern := edit.NewPattern(alphabet.Size())
	for _, p := range pairs {
		n := counts.pairs[p]
		if n <= 0 {
			continue
		}
		x, y := compared(p)
		a, b = alphabet.Append(a[:0], x), alphabet.Append(b[:0], y)
		pattern.Set(a)
		d := float64(pattern.Distance(b))
		if strings.Contains(x, y) || strings.Contains(y, x) {
			d *= 0.1
		}
		if cost := d * (1 / (1 + math.Exp(-float64(n)))); best[p.source] < 0 || cost < costs[p.source] {
			best[p.source], costs[p.source] = p.target, cost
		}
	}
	m := newMap(MethodStatistics, source.Size())
	for id, t := range best {
		if s := same.Targets(int32(id)); len(s) > 0 || t < 0 {
			m.add(0, s...)
		} else {
			m.add(float32(costs[id]), t)
		}
	}
	return m, nil
}
