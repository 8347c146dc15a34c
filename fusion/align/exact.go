package align

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/schemas"
)

// Exact aligns the texts of one pair of vocabularies. It may be used by many goroutines at once.
type Exact struct {
	source    Source
	target    Target
	stops     map[int32]bool
	endOfTurn int32
	same      bool
	memo      memo
	scratch   sync.Pool
}

// NewExact prepares a pair of vocabularies. sourceStops are all ids that end the source's turn, targetEndOfTurn the
// target's. Equal fingerprints mean one vocabulary: then equal ids are copied unchanged.
func NewExact(source Source, sourceStops []int32, sourceFingerprint string, target Target, targetEndOfTurn int32, targetFingerprint string) *Exact {
	e := &Exact{source: source, target: target, stops: map[int32]bool{}, endOfTurn: targetEndOfTurn, same: sourceFingerprint == targetFingerprint}
	for _, id := range sourceStops {
		e.stops[id] = true
	}
	e.memo.init(target, source.Size())
	e.scratch.New = func() any { return &work{mass: make([]float64, target.Size())} }
	return e
}

// cover is a path that followed the text to a source boundary and then said something else.
type cover struct {
	weight float64 // log of its probability from the text's start
	next   []int32 // its target tokens from here on; none: it has ended
}

// work is the memory of one call, used again.
type work struct {
	mass    []float64 // [V] probability at the current position, zero between positions
	touched []int32
	covers  []cover
	prefix  []byte
	entries []entry
	out     Aligned
}

type entry struct {
	id int32
	p  float64
}

// Align moves distributions of the source's tokens of text x to the target's tokens of x.
//
// With C_l the probability of the source's own tokens before l, a cover (l, v) is the path that follows the text to
// source boundary a_l and then says v ≠ s_l, of weight C_l·p_l(v); its target tokens are those of x[c:a_l] + bytes(v), c
// the start of the target token in which a_l lies. It is alive at a later target boundary as long as its tokens are the
// text's, and has ended where none is left. At target token i,
//
//	E_i    = own(c_i) + Σ weights of covers alive or ended at c_i
//	p_i(u) = (own(d_i)·[u = t_i] + Σ weights of covers alive before i or starting in it whose next token is u) / E_i
//
// own(c) = the probability of the source's tokens that start before c. So p_i(t_i) = E_{i+1}/E_i, and the product over
// the text is the source's likelihood of its own tokenisation and of the stored ones that spell the same target tokens.
//
// d holds the source's distributions [n], the text's token among the entries of each; textRank [n] is -1 where it was
// added from outside the top-k. Log-probs come back in nats, descending, not rounded to bfloat16. Special tokens: a stop
// id at a common boundary counts for the target's end-of-turn, all others for the rest. A position is none when it
// begins inside a source token outside the top-k and no cover reaches it. Empty text, invalid UTF-8 and tokens without
// bytes are fine. Errors name the side and the token that does not fit.
//
// Source: spec/alignment.md §2. Different from FuseLLM's alignment: nothing is matched by string similarity.
func (e *Exact) Align(text []byte, source Tokens, d dist.Sparse, textRank []int32, target Tokens) (Aligned, error) {
	if source.Closed != target.Closed {
		return Aligned{}, fmt.Errorf("aligning: the source's text ends its turn: %v, the target's: %v; they must agree", source.Closed, target.Closed)
	}
	if d.Len() != len(source.IDs) || len(textRank) != len(source.IDs) {
		return Aligned{}, fmt.Errorf("aligning: %d source tokens, %d distributions, %d ranks; they must be equally many", len(source.IDs), d.Len(), len(textRank))
	}
	if e.same && slices.Equal(source.IDs, target.IDs) {
		status := make([]schemas.Status, len(target.IDs))
		for i := range status {
			status[i] = schemas.StatusExact
		}
		return Aligned{Dist: d.Clone(), Status: status}, nil
	}
	a, err := source.spans("source", len(text))
	if err != nil {
		return Aligned{}, fmt.Errorf("aligning: %w", err)
	}
	c, err := target.spans("target", len(text))
	if err != nil {
		return Aligned{}, fmt.Errorf("aligning: %w", err)
	}
	path, err := ownPath(source, d, e.source.Size())
	if err != nil {
		return Aligned{}, fmt.Errorf("aligning: %w", err)
	}
	w := e.scratch.Get().(*work)
	defer e.scratch.Put(w)
	w.covers, w.out = w.covers[:0], Aligned{}
	s := sweep{e: e, work: w, text: text, source: source, target: target, a: a, c: c, d: d, offsets: d.Offsets(), path: path}
	for i := range target.IDs {
		if target.IDs[i] < 0 || int(target.IDs[i]) >= len(w.mass) {
			return Aligned{}, fmt.Errorf("aligning: target token %d has id %d of %d", i, target.IDs[i], len(w.mass))
		}
		s.position(i, textRank)
	}
	return w.out, nil
}

// ownPath gives C [n+1] in logs: the probability of the source's tokens before each of them.
func ownPath(source Tokens, d dist.Sparse, vocabulary int) ([]float64, error) {
	path := make([]float64, len(source.IDs)+1)
	at := 0
	for l, id := range source.IDs {
		end := at + int(d.Counts[l])
		k := slices.Index(d.IDs[at:end], id)
		if k < 0 {
			return nil, fmt.Errorf("source token %d (id %d) is not among its position's entries", l, id)
		}
		for _, v := range d.IDs[at:end] {
			if v < 0 || int(v) >= vocabulary {
				return nil, fmt.Errorf("source token %d has an entry of id %d; the vocabulary has %d", l, v, vocabulary)
			}
		}
		p := float64(d.LogProbs[at+k])
		if math.IsNaN(p) || math.IsInf(p, 0) {
			return nil, errors.New("a source token has a log-prob that is not finite")
		}
		path[l+1] = path[l] + p
		at = end
	}
	return path, nil
}

// sweep goes through the target's tokens once, and through the source's boundaries with them.
type sweep struct {
	e *Exact
	*work
	text           []byte
	source, target Tokens
	a, c           []span
	d              dist.Sparse
	offsets        []int32
	path           []float64
	l              int // the next source boundary; own(c_i) = path[l] when position i begins
}

// position makes the distribution of target token i.
func (s *sweep) position(i int, textRank []int32) {
	own, first := s.path[s.l], s.l
	total := own
	for _, v := range s.covers {
		total = dist.LogAdd(total, v.weight)
	}
	status := s.status(i)
	if status == schemas.StatusInner && len(s.covers) == 0 && first > 0 && textRank[first-1] < 0 {
		s.skip(i)
		s.out.Status = append(s.out.Status, schemas.StatusNone)
		s.out.Dist.Counts = append(s.out.Dist.Counts, 0)
		return
	}
	text := s.target.IDs[i]
	kept := s.covers[:0]
	for _, v := range s.covers {
		if len(v.next) == 0 {
			continue // ended: what follows it is unknown and stays in the rest
		}
		s.give(v.next[0], v.weight-total)
		if v.next[0] == text {
			kept = append(kept, cover{v.weight, v.next[1:]})
		}
	}
	s.covers = kept
	for ; s.owns(i); s.l++ {
		s.start(i, total)
	}
	s.give(text, s.path[s.l]-total)
	s.out.Status = append(s.out.Status, status)
	s.flush()
}

// owns says whether the next source boundary lies in target token i: at its start or before its end.
func (s *sweep) owns(i int) bool {
	return s.l < len(s.a) && (s.a[s.l].start <= s.c[i].start || s.a[s.l].start < s.c[i].end)
}

// skip passes the boundaries of a position of which nothing is known; its covers may still say something later on.
func (s *sweep) skip(i int) {
	for ; s.owns(i); s.l++ {
		s.start(i, math.Inf(1))
	}
	for _, id := range s.touched {
		s.mass[id] = 0
	}
	s.touched = s.touched[:0]
}

// start begins the covers of boundary l, which lies in target token i.
func (s *sweep) start(i int, total float64) {
	l, text := s.l, s.target.IDs[i]
	sourceGlue := glue(s.e.source, s.source, l)
	s.prefix = append(s.prefix[:0], glue(s.e.target, s.target, i)...)
	s.prefix = append(s.prefix, s.text[min(s.c[i].start, s.a[l].start):s.a[l].start]...)
	for k := s.offsets[l]; k < s.offsets[l+1]; k++ {
		v := s.d.IDs[k]
		if v == s.source.IDs[l] {
			continue
		}
		weight := s.path[l] + float64(s.d.LogProbs[k])
		if s.e.source.Special(v) || s.e.stops[v] {
			if s.e.stops[v] && s.a[l].start == s.c[i].start {
				s.give(s.e.endOfTurn, weight-total)
			}
			continue
		}
		said, fits := bytes.CutPrefix(s.e.source.Bytes(v), sourceGlue)
		if !fits {
			continue
		}
		next := s.e.memo.tokens(v, s.prefix, said, len(sourceGlue) == 0)
		if len(next) == 0 {
			continue
		}
		s.give(next[0], weight-total)
		if next[0] == text {
			s.covers = append(s.covers, cover{weight, next[1:]})
		}
	}
}

// status compares clipped spans.
func (s *sweep) status(i int) schemas.Status {
	for l := s.l; s.l < len(s.a) && l < len(s.a) && s.a[l].start <= s.c[i].start; l++ {
		if s.a[l].start == s.c[i].start && s.a[l].end == s.c[i].end {
			return schemas.StatusExact
		}
	}
	if s.l < len(s.a) && s.a[s.l].start == s.c[i].start {
		return schemas.StatusBoundary
	}
	return schemas.StatusInner
}

// give adds probability to a token of the current position.
func (s *sweep) give(id int32, logp float64) {
	p := math.Exp(logp)
	if p == 0 || id < 0 || int(id) >= len(s.mass) {
		return
	}
	if s.mass[id] == 0 {
		s.touched = append(s.touched, id)
	}
	s.mass[id] += p
}

// flush writes the position's entries, most probable first, equal ones by id.
func (s *sweep) flush() {
	s.entries = s.entries[:0]
	for _, id := range s.touched {
		s.entries = append(s.entries, entry{id, s.mass[id]})
		s.mass[id] = 0
	}
	s.touched = s.touched[:0]
	slices.SortFunc(s.entries, func(x, y entry) int {
		if x.p != y.p {
			return cmp.Compare(y.p, x.p)
		}
		return cmp.Compare(x.id, y.id)
	})
	for _, x := range s.entries {
		s.out.Dist.IDs = append(s.out.Dist.IDs, x.id)
		s.out.Dist.LogProbs = append(s.out.Dist.LogProbs, float32(math.Min(0, math.Log(x.p))))
	}
	s.out.Dist.Counts = append(s.out.Dist.Counts, int32(len(s.entries)))
}
