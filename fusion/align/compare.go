package align

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/fusion/vocabulary"
	"github.com/profuser/profuser/schemas"
)

// Methods of alignment, the values of align.method.
const (
	MethodExact           = "exact"
	MethodExactMatch      = "exact_match"
	MethodMinEditDistance = "min_edit_distance"
	MethodStatistics      = "statistics"
	MethodTransport       = "transport"
)

// Fallbacks, the values of align.fallback: what a comparison method puts where it does not copy a source's row.
const (
	// FallbackNone leaves the position without entries and weight.
	FallbackNone = "none"
	// FallbackNext is a one-hot on the token that the row predicts, which is right, and FuseChat's choice.
	FallbackNext = "next"
	// FallbackCurrent is a one-hot on the token that the row follows, FuseLLM's choice.
	FallbackCurrent = "current"
)

// Comparison aligns by dynamic time warping and a map of token strings, as FuseLLM, FuseChat and PTA-LLM do. It is kept to
// compare exact alignment with. One Comparison serves one pair of vocabularies; it may be used by many goroutines.
type Comparison struct {
	method, fallback string
	source, target   *vocabulary.Strings
	spaced           bool // the source is byte-level: its first token has no marker where the target's has
	m                *vocabulary.Map
	warper           *Warper
	renamed          map[string]int32       // MinED: the lowest source id by its string with the target's marker
	plain            [2]*vocabulary.Strings // statistics: the source's, the target's
	costs            *planCosts             // transport
}

// NewComparison prepares a comparison method for two vocabularies. m is the map of the method: vocabulary.SameString for
// exact_match, MinEditDistance for min_edit_distance and transport, Statistics for statistics.
func NewComparison(method, fallback string, source, target vocabulary.Vocabulary, m *vocabulary.Map) (*Comparison, error) {
	a, b := vocabulary.NewStrings(source), vocabulary.NewStrings(target)
	want, known := mapOf[method]
	switch {
	case !known:
		return nil, fmt.Errorf("alignment method %q: want exact_match, min_edit_distance, statistics or transport", method)
	case fallback != FallbackNone && fallback != FallbackNext && fallback != FallbackCurrent:
		return nil, fmt.Errorf("alignment fallback %q: want none, next or current", fallback)
	case m.Method != want || m.Size() != a.Size():
		return nil, fmt.Errorf("alignment method %s needs the vocabulary map of %s of %d source tokens, got that of %s of %d", method, want, a.Size(), m.Method, m.Size())
	}
	if err := m.Validate(b.Size()); err != nil {
		return nil, err
	}
	c := &Comparison{method: method, fallback: fallback, source: a, target: b, m: m, warper: NewWarper(method, a, b), spaced: a.Marker() == vocabulary.MarkerByteLevel}
	switch method {
	case MethodMinEditDistance, MethodTransport:
		c.renamed = make(map[string]int32, a.Size())
		for id := int32(a.Size()) - 1; id >= 0; id-- {
			c.renamed[a.As(b, id)] = id
		}
		if method == MethodTransport {
			c.costs = newPlanCosts(b)
		}
	case MethodStatistics:
		c.plain = [2]*vocabulary.Strings{a.Plain(), b.Plain()}
	}
	return c, nil
}

// mapOf names the vocabulary map that a method uses.
var mapOf = map[string]vocabulary.Method{
	MethodExactMatch:      vocabulary.MethodSameString,
	MethodMinEditDistance: vocabulary.MethodMinEditDistance,
	MethodTransport:       vocabulary.MethodMinEditDistance,
	MethodStatistics:      vocabulary.MethodStatistics,
}

// MapOf is the vocabulary map that a method of alignment uses; false for a name that is no method.
func MapOf(method string) (vocabulary.Method, bool) {
	if method == MethodExact {
		return vocabulary.MethodSpelling, true
	}
	m, ok := mapOf[method]
	return m, ok
}

// Rows applies the rule row by row, unshifted. Target position i with the source positions J beside it (Warper):
//
//	exact_match        J = {j} and the strings of i and j are equal, their markers made the same
//	min_edit_distance  that, or map(j) = i
//	transport          as min_edit_distance
//	statistics         the first j of J of which one string ends with the other: plain ones, the markers made the same if J
//	                   is one position, taken out if there are more
//
// then row i is a copy of row j: its entries in their order, each id mapped; entries without a target are dropped, of two
// on one target the first stays. Otherwise, or if j has no row, row i is the fallback. A first token of a byte-level source
// has no marker where the target's has one: there the marker is put before it.
//
// transport replaces a copy of ten or more entries by the plan to the target's own row i (own; see transport.go); without
// that row it stays a copy.
//
// Source: spec/alignment.md §3; Wan et al., "Knowledge fusion of large language models" (2024) and "FuseChat" (2024); Zeng
// et al., "Probabilistic token alignment for large language model fusion" (2025). FuseChat's code has one more rule, for a run
// of source tokens that spells the target token, which is never reached: the run's last token ends the target token.
func (c *Comparison) Rows(source, target Input) (Rows, error) {
	if err := c.check(source, target); err != nil {
		return Rows{}, err
	}
	warped := c.warper.Warp(source.IDs, target.IDs)
	var out Rows
	k := c.copier(source, target)
	for i := range target.IDs {
		start := len(out.IDs)
		if j := c.beside(source.IDs, target.IDs, i, warped); j >= 0 && j < len(source.Counts) {
			k.copyRow(&out, j, i)
			out.close(start, schemas.StatusExact)
			continue
		}
		switch c.fallback {
		case FallbackCurrent:
			out.add(target.IDs[i], -1, 1)
		case FallbackNext: // FuseChat repeats the last token
			out.add(target.IDs[min(i+1, len(target.IDs)-1)], -1, 1)
		}
		out.close(start, schemas.StatusOneHot)
	}
	return out, nil
}

// check refuses lists that do not fit each other and ids outside the vocabularies; source entries may lie outside, as
// models pad their vocabulary.
func (c *Comparison) check(source, target Input) error {
	for _, side := range []struct {
		name string
		Input
		size int
	}{{"source", source, c.source.Size()}, {"target", target, c.target.Size()}} {
		if len(side.IDs) > MaxWarp {
			return fmt.Errorf("the %s has %d tokens: method %s takes at most %d", side.name, len(side.IDs), c.method, MaxWarp)
		}
		for i, id := range side.IDs {
			if id < 0 || int(id) >= side.size {
				return fmt.Errorf("%s token %d has id %d: the tokenizer has 0 to %d", side.name, i, id, side.size-1)
			}
		}
		if err := checkCounts(side.name, side.Counts, len(side.Entries)); err != nil {
			return err
		}
		if len(side.Counts) > len(side.IDs) {
			return fmt.Errorf("the %s has %d tokens and %d distributions", side.name, len(side.IDs), len(side.Counts))
		}
		if c.method == MethodTransport && len(side.Values) != len(side.Entries) {
			return fmt.Errorf("the %s has %d entries and %d values: transport needs as many", side.name, len(side.Entries), len(side.Values))
		}
	}
	return nil
}

// checkCounts refuses counts that do not cut so many entries.
func checkCounts(name string, counts []int32, entries int) error {
	sum := 0
	for i, count := range counts {
		if count < 0 || sum+int(count) > entries {
			return fmt.Errorf("%s position %d: count is %d with %d entries left", name, i, count, entries-sum)
		}
		sum += int(count)
	}
	if sum != entries {
		return fmt.Errorf("the %s's counts add up to %d, but %d entries are stored", name, sum, entries)
	}
	return nil
}

// beside is the source position that target position i copies, -1: none.
func (c *Comparison) beside(source, target []int32, i int, warped Warped) int {
	first, last := int(warped.First[i]), int(warped.Last[i])
	if c.method == MethodStatistics {
		s, t := c.plain[0], c.plain[1]
		for j := first; j <= last; j++ {
			a, b := s.Bare(source[j]), t.Bare(target[i])
			if first == last {
				a, b = s.As(t, source[j]), t.Token(target[i])
			}
			if strings.HasSuffix(a, b) || strings.HasSuffix(b, a) {
				return j
			}
		}
		return -1
	}
	if first != last {
		return -1
	}
	if c.same(source[first], target[i], i == 0) {
		return first
	}
	if c.renamed != nil {
		if id, ok := c.renamed[c.renamedAt(source[first], target[i], i == 0)]; ok && c.m.Target(id) == target[i] {
			return first
		}
	}
	return -1
}

// same says whether two tokens have the same string, markers made the same.
func (c *Comparison) same(source, target int32, first bool) bool {
	return c.renamedAt(source, target, first) == c.target.Token(target)
}

// renamedAt is the string of a source token with the target's marker, which is put before the first one where only the
// target's has it.
func (c *Comparison) renamedAt(source, target int32, first bool) string {
	token := c.source.As(c.target, source)
	if marker := c.target.Marker(); first && c.spaced && marker != "" && strings.HasPrefix(c.target.Token(target), marker) && !strings.HasPrefix(token, marker) {
		return marker + token
	}
	return token
}

// CoAligned counts the pairs that the warping of a text lays beside each other; Statistics maps by such counts. A source
// token that lies beside a target position twice counts once there, as in FuseChat's code.
func (w *Warper) CoAligned(source, target []int32, counts *vocabulary.Counts) {
	warped := w.Warp(source, target)
	for i, id := range target {
		for j := warped.First[i]; j <= warped.Last[i]; j++ {
			if !slices.Contains(source[warped.First[i]:j], source[j]) {
				counts.Add(id, source[j], 1)
			}
		}
	}
}

// Align has the arguments and results of Exact.Align. Stored entries are distributions of tokens, rows follow them: row j
// is entry j+1, and so row i becomes entry i+1. Entry 0 is a copy of the source's entry 0 if the first tokens have the
// same string, else the fallback, a one-hot of the first token. A one-hot has log-prob 0.
func (c *Comparison) Align(text []byte, source Tokens, d dist.Sparse, textRank []int32, target Tokens) (Aligned, error) {
	return c.AlignBeside(text, source, d, textRank, target, dist.Sparse{})
}

// AlignBeside is Align with the target's own distributions [m] of its tokens, which transport plans to; without any, and
// with other methods, it is Align.
func (c *Comparison) AlignBeside(text []byte, source Tokens, d dist.Sparse, textRank []int32, target Tokens, own dist.Sparse) (Aligned, error) {
	rows, err := c.rowsBeside(text, source, d, textRank, target, own)
	if err != nil {
		return Aligned{}, fmt.Errorf("aligning a text of %d bytes: %w", len(text), err)
	}
	var out Aligned
	if len(target.IDs) > 0 {
		out.append(c.first(source.IDs, d, target.IDs, own), d, 0, 1)
		skipped := 0
		if len(d.Counts) > 0 {
			skipped = int(d.Counts[0])
		}
		out.append(rows, d, skipped, len(target.IDs)-1)
	}
	return out, nil
}

// rowsBeside checks stored distributions and applies the rule to them.
func (c *Comparison) rowsBeside(text []byte, source Tokens, d dist.Sparse, textRank []int32, target Tokens, own dist.Sparse) (Rows, error) {
	if err := checkInput(text, source, d, textRank, target, c.target.Size()); err != nil {
		return Rows{}, err
	}
	if err := checkCounts("source", d.Counts, len(d.IDs)); err != nil {
		return Rows{}, err
	}
	if err := checkCounts("target", own.Counts, len(own.IDs)); err != nil {
		return Rows{}, err
	}
	if len(own.Counts) != 0 && len(own.Counts) != len(target.IDs) || len(own.IDs) != len(own.LogProbs) {
		return Rows{}, fmt.Errorf("%d target tokens, %d distributions of the target's own, with %d ids and %d log-probs: want as many of each", len(target.IDs), len(own.Counts), len(own.IDs), len(own.LogProbs))
	}
	return c.Rows(after(source.IDs, d), after(target.IDs, own))
}

// first makes entry 0.
func (c *Comparison) first(source []int32, d dist.Sparse, target []int32, own dist.Sparse) Rows {
	var out Rows
	switch {
	case len(source) > 0 && c.same(source[0], target[0], true):
		k := c.copier(Input{Counts: d.Counts, Entries: d.IDs, Values: widened(d.LogProbs)}, Input{Counts: own.Counts, Entries: own.IDs, Values: widened(own.LogProbs)})
		k.copyRow(&out, 0, 0)
		out.close(0, schemas.StatusExact)
	case c.fallback == FallbackNone:
		out.close(0, schemas.StatusNone)
	default:
		out.add(target[0], -1, 1)
		out.close(0, schemas.StatusOneHot)
	}
	return out
}

// copier copies rows of one text.
type copier struct {
	*Comparison
	source, target Input
	sourceOffsets  []int32
	targetOffsets  []int32
	seen           []int32 // target ids of the row
}

func (c *Comparison) copier(source, target Input) *copier {
	return &copier{
		Comparison: c, source: source, target: target,
		sourceOffsets: dist.Sparse{Counts: source.Counts}.Offsets(), targetOffsets: dist.Sparse{Counts: target.Counts}.Offsets(),
	}
}

// copyRow appends the mapped entries of source row j as the entries of target row i.
func (k *copier) copyRow(out *Rows, j, i int) {
	start := len(out.IDs)
	k.seen = k.seen[:0]
	for at := k.sourceOffsets[j]; at < k.sourceOffsets[j+1]; at++ {
		id := k.m.Target(k.source.Entries[at])
		if id < 0 || slices.Contains(k.seen, id) {
			continue
		}
		k.seen = append(k.seen, id)
		out.add(id, at, 0)
	}
	if k.method == MethodTransport && i < len(k.target.Counts) {
		k.plan(out, start, j, i)
	}
}

// append adds the first n rows as stored positions, log-probs from d's entries after skipped; entries stand highest first,
// equal ones by id.
func (a *Aligned) append(rows Rows, d dist.Sparse, skipped, n int) {
	type entry struct {
		id      int32
		logProb float32
	}
	var entries []entry
	start := int32(0)
	for i := range n {
		entries = entries[:0]
		for at := start; at < start+rows.Counts[i]; at++ {
			logProb := float32(math.Log(rows.Mass[at]))
			if from := rows.From[at]; from >= 0 {
				logProb = d.LogProbs[int(from)+skipped]
			}
			if !math.IsInf(float64(logProb), -1) {
				entries = append(entries, entry{rows.IDs[at], min(0, logProb)})
			}
		}
		slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(b.logProb, a.logProb) })
		for _, e := range entries {
			a.Dist.IDs, a.Dist.LogProbs = append(a.Dist.IDs, e.id), append(a.Dist.LogProbs, e.logProb)
		}
		status := rows.Status[i]
		if len(entries) == 0 {
			status = schemas.StatusNone
		}
		a.Dist.Counts, a.Status = append(a.Dist.Counts, int32(len(entries))), append(a.Status, status)
		start += rows.Counts[i]
	}
}
