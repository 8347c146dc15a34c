package align

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/schemas"
)

// walk is the work of one Align: it goes through the target positions once, from left to right, with the covers that
// are alive. Invariant between steps: boundaries before `next` lie before the current target boundary and have started
// their covers.
type walk struct {
	*Exact
	text           []byte
	source, target Tokens
	dist           dist.Sparse
	textRank       []int32
	out            Aligned

	sourceBounds []int32   // [n+1] clipped starts, then the end of the text
	targetBounds []int32   // [m+1]
	offsets      []int32   // [n+1] of the source's entries
	logOwn       []float64 // [n+1] log C_l
	template     []byte    // what the source's first tokens have of the template
	next         int       // first boundary that has not started its covers

	alive, survivors []cover
	position         position
	prefix           []byte
	ordered          []share
	known            [][]int32
	weights          []float64
}

// cover is an alternative that has followed the text so far.
type cover struct {
	logWeight float64
	rest      []int32 // its target tokens from here on; none: ended
}

// begin loads a text and computes the weights of its own path.
func (w *walk) begin(e *Exact, text []byte, source Tokens, d dist.Sparse, textRank []int32, target Tokens) error {
	w.Exact, w.text, w.source, w.target, w.dist, w.textRank = e, text, source, target, d, textRank
	w.sourceBounds = source.clipped(w.sourceBounds, len(text))
	w.targetBounds = target.clipped(w.targetBounds, len(text))
	w.alive, w.survivors, w.next = w.alive[:0], w.survivors[:0], 0
	w.readTemplate()
	n := len(source.IDs)
	w.offsets = append(w.offsets[:0], 0)
	w.logOwn = append(w.logOwn[:0], 0)
	total := 0
	for l := range n {
		start := total
		total += int(d.Counts[l])
		if d.Counts[l] < 0 || total > len(d.IDs) {
			return fmt.Errorf("source position %d: count is %d with %d entries left", l, d.Counts[l], len(d.IDs)-start)
		}
		own, err := w.ownLogProb(d.IDs[start:total], d.LogProbs[start:total], source.IDs[l])
		if err != nil {
			return fmt.Errorf("source position %d: %w", l, err)
		}
		w.offsets = append(w.offsets, int32(total))
		w.logOwn = append(w.logOwn, w.logOwn[l]+own)
	}
	if total != len(d.IDs) {
		return fmt.Errorf("the source's counts add up to %d, but %d entries are stored", total, len(d.IDs))
	}
	return nil
}

// release drops what belongs to the caller.
func (w *walk) release() {
	w.Exact, w.text, w.dist, w.textRank = nil, nil, dist.Sparse{}, nil
	w.source, w.target, w.out = Tokens{}, Tokens{}, Aligned{}
	clear(w.alive[:cap(w.alive)])
	clear(w.survivors[:cap(w.survivors)])
	clear(w.known[:cap(w.known)])
}

// ownLogProb finds the text's token among the entries of a position and checks all of them.
func (w *walk) ownLogProb(ids []int32, logProbs []float32, token int32) (float64, error) {
	const slack = 1e-6
	own := -1
	for k, id := range ids {
		if id < 0 || id == token && int(id) >= len(w.kinds) {
			return 0, fmt.Errorf("entry %d has id %d: the source's tokenizer has 0 to %d", k, id, len(w.kinds)-1)
		}
		if x := logProbs[k]; !(x <= slack && x >= -math.MaxFloat32) {
			return 0, fmt.Errorf("entry %d has log-prob %v: want a finite number of at most 0", k, x)
		}
		if id == token {
			own = k
		}
	}
	if own < 0 {
		return 0, fmt.Errorf("the text's token %d is not stored", token)
	}
	return min(0, float64(logProbs[own])), nil
}

// readTemplate collects the bytes that the source's first tokens have of the template.
func (w *walk) readTemplate() {
	w.template = w.template[:0]
	if len(w.source.Starts) == 0 || w.source.Starts[0] >= 0 {
		return
	}
	size := int(-w.source.Starts[0])
	for l, start := range w.source.Starts {
		if start >= 0 {
			break
		}
		w.template = append(w.template, w.Exact.source.Bytes(w.source.IDs[l])...)
	}
	w.template = w.template[:min(size, len(w.template))]
}

// step makes the distribution of target position i.
func (w *walk) step(i int) {
	start, end := w.targetBounds[i], w.targetBounds[i+1]
	last := w.source.inText() // the end-of-turn position takes the source's
	if i == w.target.inText() {
		end, last = end+1, len(w.source.IDs)
	}
	for w.next < last && w.sourceBounds[w.next] < start {
		w.next++ // bytes for which the target has no token at all
	}
	status := w.status(start, w.targetBounds[i+1], last)
	logEvidence := w.evidence()
	token := w.target.IDs[i]
	w.position.reset()
	w.survivors = w.survivors[:0]
	for _, c := range w.alive {
		w.say(c, token)
	}
	for w.next < last && (w.sourceBounds[w.next] < end || w.sourceBounds[w.next] == start) {
		w.startCovers(i)
		w.next++
	}
	w.position.add(token, w.logOwn[w.next])
	w.alive, w.survivors = w.survivors, w.alive
	w.out.Status = append(w.out.Status, status)
	if status == schemas.StatusNone {
		w.position.reset()
	}
	w.position.appendTo(&w.out.Dist, logEvidence)
}

// status compares the target token [start, end) with the source's before last.
func (w *walk) status(start, end int32, last int) schemas.Status {
	l := w.next
	if l < last && w.sourceBounds[l] == start {
		for ; l < last && w.sourceBounds[l] == start; l++ {
			if w.sourceBounds[l+1] == end {
				return schemas.StatusExact
			}
		}
		return schemas.StatusBoundary
	}
	inside := l > 0 && w.sourceBounds[l] > start
	if len(w.alive) == 0 && (!inside || w.textRank[l-1] < 0) {
		return schemas.StatusNone
	}
	return schemas.StatusInner
}

// evidence gives log E_i: the own path and the covers alive or ended here.
func (w *walk) evidence() float64 {
	own := w.logOwn[w.next]
	if len(w.alive) == 0 {
		return own
	}
	w.weights = append(w.weights[:0], own)
	for _, c := range w.alive {
		w.weights = append(w.weights, c.logWeight)
	}
	return dist.LogSumExp(w.weights)
}

// say gives a cover's weight to its next target token; it lives on if that is the text's token. An ended cover's weight
// stays with the rest.
func (w *walk) say(c cover, token int32) {
	if len(c.rest) == 0 {
		return
	}
	w.position.add(c.rest[0], c.logWeight)
	if c.rest[0] == token {
		w.survivors = append(w.survivors, cover{c.logWeight, c.rest[1:]})
	}
}

// startCovers lets every alternative at boundary w.next say its first target token at position i.
func (w *walk) startCovers(i int) {
	l := w.next
	own, token := w.source.IDs[l], w.target.IDs[i]
	start, at := w.targetBounds[i], w.sourceBounds[l]
	w.prefix = w.prefix[:0]
	if begin := w.target.Starts[i]; begin < 0 {
		content := w.Exact.target.Bytes(token)
		w.prefix = append(w.prefix, content[:min(int(-begin), len(content))]...)
	}
	w.prefix = append(w.prefix, w.text[start:at]...)
	var template []byte
	if begin := int(-w.source.Starts[l]); begin > 0 {
		template = w.template[max(0, len(w.template)-begin):]
	}
	alternatives := w.alternatives(l)
	plain := len(template) == 0 && len(w.prefix) == 0
	if !plain {
		w.known = w.memo.known(w.prefix, len(template), alternatives, w.known)
	}
	for k, alternative := range alternatives {
		id, logWeight := alternative.id, w.logOwn[l]+alternative.logWeight
		switch {
		case id == own || w.kind(id) == silent:
		case w.kind(id) == stop:
			if at == start {
				w.position.add(w.targetEnd, logWeight)
			}
		case plain:
			w.say(cover{logWeight, w.memo.tokens(id)}, token)
		case bytes.HasPrefix(w.Exact.source.Bytes(id), template):
			tokens := w.known[k]
			if tokens == nil {
				tokens = w.memo.tokensAfter(w.prefix, len(template), id)
			}
			w.say(cover{logWeight, tokens}, token)
		}
	}
}

// alternatives gives the entries of source position l in the order that makes sums reproducible.
func (w *walk) alternatives(l int) []share {
	w.ordered = w.ordered[:0]
	sorted := true
	for k := w.offsets[l]; k < w.offsets[l+1]; k++ {
		s := share{min(0, float64(w.dist.LogProbs[k])), w.dist.IDs[k]}
		if n := len(w.ordered); n > 0 {
			last := w.ordered[n-1]
			sorted = sorted && (last.logWeight > s.logWeight || last.logWeight == s.logWeight && last.id < s.id)
		}
		w.ordered = append(w.ordered, s)
	}
	if !sorted {
		slices.SortFunc(w.ordered, compareShares)
	}
	return w.ordered
}
