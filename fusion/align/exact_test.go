package align

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/tensor"
	"pgregory.net/rapid"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/schemas"
)

// toy is a vocabulary of byte strings, tokenised by the longest match; its last id is the end-of-turn.
type toy [][]byte

func (v toy) Bytes(id int32) []byte { return v[id] }
func (v toy) Special(id int32) bool { return int(id) == len(v)-1 }
func (v toy) Size() int             { return len(v) }
func (v toy) EncodeMidText(text []byte) []int32 {
	var out []int32
	for len(text) > 0 {
		best := -1
		for id, b := range v {
			if len(b) > 0 && bytes.HasPrefix(text, b) && (best < 0 || len(b) > len(v[best])) {
				best = id
			}
		}
		if best < 0 {
			return out
		}
		out, text = append(out, int32(best)), text[len(v[best]):]
	}
	return out
}

func (v toy) endOfTurn() int32 { return int32(len(v) - 1) }

// tokens cuts text with the vocabulary, the first token with glued template bytes.
func (v toy) tokens(template, text []byte, closed bool) Tokens {
	t := Tokens{IDs: v.EncodeMidText(slices.Concat(template, text)), Closed: closed}
	at := -len(template)
	for _, id := range t.IDs {
		t.Starts = append(t.Starts, int32(at))
		at += len(v[id])
	}
	for len(t.Starts) > 1 && t.Starts[1] <= 0 && len(template) > 0 && t.Starts[0] < 0 && int(t.Starts[0])+len(v[t.IDs[0]]) <= 0 && !slices.Contains(t.Starts, 0) {
		t.IDs, t.Starts = t.IDs[1:], t.Starts[1:]
	}
	if closed {
		t.IDs, t.Starts = append(t.IDs, v.endOfTurn()), append(t.Starts, int32(len(text)))
	}
	return t
}

func drawToy(t *rapid.T, name string) toy {
	v := toy{[]byte("a"), []byte("b"), []byte("c"), []byte(" ")}
	for _, s := range rapid.SliceOfNDistinct(rapid.StringOfN(rapid.RuneFrom([]rune("abc ")), 2, 4, -1), 0, 8, rapid.ID).Draw(t, name) {
		v = append(v, []byte(s))
	}
	return append(v, nil)
}

// drawDist makes a distribution at every position: full, or cut to some entries with the text's token among them.
func drawDist(t *rapid.T, v toy, ids []int32, full bool) (dist.Sparse, []int32) {
	var s dist.Sparse
	var rank []int32
	for k, id := range ids {
		weights := rapid.SliceOfN(rapid.Float64Range(0.01, 1), len(v), len(v)).Draw(t, fmt.Sprint("weights", k))
		var total float64
		for _, w := range weights {
			total += w
		}
		keep := len(v)
		if !full {
			keep = rapid.IntRange(1, len(v)).Draw(t, fmt.Sprint("keep", k))
		}
		order := make([]int32, len(v))
		for i := range order {
			order[i] = int32(i)
		}
		slices.SortStableFunc(order, func(a, b int32) int { return cmpFloat(weights[b], weights[a]) })
		at := int32(slices.Index(order[:keep], id))
		order = order[:keep]
		if at < 0 {
			order = append(order, id)
		}
		rank = append(rank, at)
		var lp []float32
		for _, o := range order {
			lp = append(lp, float32(math.Log(weights[o]/total)))
		}
		s.Append(order, lp)
	}
	return s, rank
}

func cmpFloat(a, b float64) int {
	if a < b {
		return -1
	} else if a > b {
		return 1
	}
	return 0
}

type example struct {
	source, target toy
	text           []byte
	s, t           Tokens
	d              dist.Sparse
	rank           []int32
}

func drawExample(t *rapid.T, full bool) example {
	var x example
	x.source, x.target = drawToy(t, "source"), drawToy(t, "target")
	x.text = []byte(rapid.StringOfN(rapid.RuneFrom([]rune("abc ")), 0, 10, -1).Draw(t, "text"))
	closed := rapid.Bool().Draw(t, "closed")
	template := func(name string) []byte {
		if rapid.Bool().Draw(t, name) {
			return []byte(" ")
		}
		return nil
	}
	x.s, x.t = x.source.tokens(template("source glue"), x.text, closed), x.target.tokens(template("target glue"), x.text, closed)
	x.d, x.rank = drawDist(t, x.source, x.s.IDs, full)
	return x
}

func (x example) align(t interface{ Fatal(...any) }) Aligned {
	e := NewExact(x.source, []int32{x.source.endOfTurn()}, "s", x.target, x.target.endOfTurn(), "t")
	got, err := e.Align(x.text, x.s, x.d, x.rank, x.t)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

type span struct{ start, end int }

// spans clips the tokens' spans to the text.
func spans(t Tokens, size int) []span {
	out := make([]span, len(t.Starts))
	end := size
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = span{max(0, int(t.Starts[i])), end}
		end = out[i].start
	}
	return out
}

// glue is what token i has of the template.
func glue(v toy, t Tokens, i int) []byte {
	return v[t.IDs[i]][:max(0, -int(t.Starts[i]))]
}

// oracle is the definition, written out: every cover with all its target tokens, compared with the text's at every
// boundary from the start; no sweep, no logs.
func (x example) oracle() (p []map[int32]float64, none []bool) {
	a, c := spans(x.s, len(x.text)), spans(x.t, len(x.text))
	path := []float64{1}
	offsets := x.d.Offsets()
	for l, id := range x.s.IDs {
		for k := offsets[l]; k < offsets[l+1]; k++ {
			if x.d.IDs[k] == id {
				path = append(path, path[l]*math.Exp(float64(x.d.LogProbs[k])))
			}
		}
	}
	owner := make([]int, len(a)) // of each source boundary: the first target token that reaches past it or begins there
	for l := range a {
		owner[l] = len(c)
		for i := len(c) - 1; i >= 0; i-- {
			sourceEnd, targetEnd := x.s.Closed && l == len(a)-1, x.t.Closed && i == len(c)-1
			if targetEnd || !sourceEnd && (a[l].start == c[i].start || a[l].start < c[i].end) {
				owner[l] = i
			}
		}
	}
	own := func(i int) float64 { // probability of the text's own path up to the boundaries that later tokens own
		n := 0
		for n < len(a) && owner[n] < i {
			n++
		}
		return path[n]
	}
	type full struct {
		weight float64
		at     int
		tokens []int32
	}
	var covers []full
	for l := range a {
		if owner[l] == len(c) {
			continue
		}
		i := owner[l]
		for k := offsets[l]; k < offsets[l+1]; k++ {
			v, w := x.d.IDs[k], path[l]*math.Exp(float64(x.d.LogProbs[k]))
			switch {
			case v == x.s.IDs[l]:
			case v == x.source.endOfTurn():
				if a[l].start == c[i].start {
					covers = append(covers, full{w, i, []int32{x.target.endOfTurn(), -1}})
				}
			default:
				said, ok := bytes.CutPrefix(x.source[v], glue(x.source, x.s, l))
				if ok {
					before := x.text[min(c[i].start, a[l].start):a[l].start]
					covers = append(covers, full{w, i, x.target.EncodeMidText(slices.Concat(glue(x.target, x.t, i), before, said))})
				}
			}
		}
	}
	for i := range c {
		evidence, reached := own(i), false
		q := map[int32]float64{}
		for _, v := range covers {
			n := i - v.at
			if n < 0 || len(v.tokens) < n || !slices.Equal(v.tokens[:n], x.t.IDs[v.at:i]) || (n == 0 && len(v.tokens) == 0) {
				continue
			}
			if n > 0 {
				evidence += v.weight
				reached = true
			}
			if len(v.tokens) > n && v.tokens[n] >= 0 {
				q[v.tokens[n]] += v.weight
			}
		}
		q[x.t.IDs[i]] += own(i + 1)
		for id := range q {
			q[id] /= evidence
		}
		p = append(p, q)
		j := -1
		inner := true
		for l := range a {
			if owner[l] < i {
				j = l
			}
			if a[l].start == c[i].start && owner[l] == i {
				inner = false
			}
		}
		inside := j >= 0 && a[j].start <= c[i].start && c[i].start < a[j].end
		none = append(none, inner && !reached && (!inside || x.rank[j] < 0))
	}
	return p, none
}

func TestAlignEqualsTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := drawExample(t, rapid.Bool().Draw(t, "full"))
		got := x.align(t)
		want, none := x.oracle()
		if len(got.Status) != len(x.t.IDs) || got.Dist.Len() != len(x.t.IDs) {
			t.Fatalf("%d statuses and %d positions for %d tokens", len(got.Status), got.Dist.Len(), len(x.t.IDs))
		}
		for i := range want {
			ids, lps := got.Dist.At(i)
			if (got.Status[i] == schemas.StatusNone) != none[i] {
				t.Fatalf("position %d: status %d, none by definition: %v", i, got.Status[i], none[i])
			}
			if none[i] {
				if len(ids) > 0 {
					t.Fatalf("position %d is none and has entries", i)
				}
				continue
			}
			if len(ids) != len(want[i]) {
				t.Fatalf("position %d: entries %v, want %v", i, ids, want[i])
			}
			for k, id := range ids {
				if math.Abs(math.Exp(float64(lps[k]))-want[i][id]) > 1e-5 {
					t.Fatalf("position %d, token %d: %g, want %g", i, id, math.Exp(float64(lps[k])), want[i][id])
				}
			}
		}
	})
}

func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		full := rapid.Bool().Draw(t, "full")
		x := drawExample(t, full)
		got := x.align(t)
		var target, source float64
		nothing := false
		for i, id := range x.t.IDs {
			ids, lps := got.Dist.At(i)
			if got.Status[i] == schemas.StatusNone {
				nothing = true
				continue
			}
			var sum float64
			for k, id := range ids {
				if id < 0 || int(id) >= len(x.target) {
					t.Fatalf("position %d: id %d is not the target's", i, id)
				}
				sum += math.Exp(float64(lps[k]))
			}
			if sum > 1+1e-6 {
				t.Fatalf("position %d: mass %g", i, sum)
			}
			k := slices.Index(ids, id)
			if k < 0 {
				t.Fatalf("position %d: the text's token is missing", i)
			}
			target += float64(lps[k])
		}
		offsets := x.d.Offsets()
		for l, id := range x.s.IDs {
			k := slices.Index(x.d.IDs[offsets[l]:offsets[l+1]], id)
			source += float64(x.d.LogProbs[int(offsets[l])+k])
		}
		if full && nothing && x.s.inText() > 0 {
			t.Fatal("a position is none with full distributions")
		}
		if !nothing && target < source*(1+1e-6)-1e-6 {
			t.Fatalf("likelihood lost: %g nats by target tokens, %g by source tokens", target, source)
		}
	})
}

func TestOrderOfEntriesDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := drawExample(t, rapid.Bool().Draw(t, "full"))
		want := x.align(t)
		x.d = x.d.Clone()
		offsets := x.d.Offsets()
		for l := range x.s.IDs {
			order := rapid.Permutation(slices.Collect(between(offsets[l], offsets[l+1]))).Draw(t, "order")
			ids, logProbs := slices.Clone(x.d.IDs), slices.Clone(x.d.LogProbs)
			for k, from := range order {
				x.d.IDs[int(offsets[l])+k], x.d.LogProbs[int(offsets[l])+k] = ids[from], logProbs[from]
			}
		}
		if d := cmp.Diff(want, x.align(t)); d != "" { // to the last bit
			t.Fatal(d)
		}
	})
}

func between(from, to int32) func(func(int32) bool) {
	return func(yield func(int32) bool) {
		for i := from; i < to && yield(i); i++ {
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	x := rapid.Custom(func(t *rapid.T) example { return drawExample(t, true) }).Example(7)
	e := NewExact(x.source, []int32{x.source.endOfTurn()}, "s", x.target, x.target.endOfTurn(), "t")
	want := x.align(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				got, err := e.Align(x.text, x.s, x.d, x.rank, x.t)
				if d := cmp.Diff(want, got); err != nil || d != "" {
					t.Error(err, d)
					return
				}
			}
		})
	}
	group.Wait()
}

func TestSameVocabularyIsCopied(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := drawExample(t, false)
		x.target, x.t = x.source, x.s
		e := NewExact(x.source, []int32{x.source.endOfTurn()}, "same", x.source, x.source.endOfTurn(), "same")
		got, err := e.Align(x.text, x.s, x.d, x.rank, x.t)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(x.d, got.Dist); d != "" {
			t.Fatal(d)
		}
		for i, s := range got.Status {
			if s != schemas.StatusExact {
				t.Fatalf("position %d: status %d", i, s)
			}
		}
	})
}

// TestAnythingIsAccepted: bytes without tokens, tokens that share a start or say nothing, any log-probs; the result is
// valid, the text's token is there, no likelihood is lost.
func TestAnythingIsAccepted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string, size int, closed bool) (toy, Tokens) {
			v := toy{[]byte("a"), {0xC3}, []byte("é"), {0xFF}}
			for _, s := range rapid.SliceOfN(rapid.SliceOfN(rapid.SampledFrom([]byte("ab \xC3\xA9\xFF")), 0, 3), 0, 6).Draw(t, name) {
				v = append(v, s)
			}
			v = append(v, nil)
			k := Tokens{Closed: closed}
			k.Starts = rapid.SliceOfN(rapid.Int32Range(-2, int32(size)), 0, 8).Draw(t, name+" starts")
			slices.Sort(k.Starts)
			for range k.Starts {
				k.IDs = append(k.IDs, rapid.Int32Range(0, int32(len(v)-1)).Draw(t, name+" id"))
			}
			if closed {
				k.IDs, k.Starts = append(k.IDs, v.endOfTurn()), append(k.Starts, int32(size))
			}
			return v, k
		}
		x := example{text: rapid.SliceOfN(rapid.SampledFrom([]byte("ab \xC3\xA9\xFFz")), 0, 8).Draw(t, "text")}
		closed := rapid.Bool().Draw(t, "closed")
		x.source, x.s = draw("source", len(x.text), closed)
		x.target, x.t = draw("target", len(x.text), closed)
		rounded := rapid.Bool().Draw(t, "rounded")
		var source, target float64
		for range x.s.IDs {
			scale := rapid.SampledFrom([]float64{0, 1, 20, 3000}).Draw(t, "scale")
			logits := make([]float32, len(x.source))
			for k := range logits {
				logits[k] = float32(scale * rapid.Float64Range(-1, 1).Draw(t, "logit"))
			}
			own := x.s.IDs[x.d.Len()]
			one, _, rank, err := dist.FromLogits(tensor.New(tensor.WithShape(1, len(logits)), tensor.WithBacking(logits)), []int32{own}, dist.Truncate{Mass: 1, TopK: rapid.IntRange(0, 9).Draw(t, "top")})
			if err != nil {
				t.Fatal(err)
			}
			if !rounded {
				all := make([]float64, len(logits))
				for v, x := range logits {
					all[v] = float64(x) - float64(slices.Max(logits))
				}
				for k, id := range one.IDs {
					one.LogProbs[k] = float32(all[id] - dist.LogSumExp(all))
				}
			}
			source += float64(one.LogProbs[slices.Index(one.IDs, own)])
			x.d.Append(one.IDs, one.LogProbs)
			x.rank = append(x.rank, rank[0])
		}
		got := x.align(t)
		stored := got.Dist.Clone()
		for k, x := range stored.LogProbs {
			stored.LogProbs[k] = dist.RoundBFloat16(x)
		}
		if err := stored.Validate(len(x.target)); err != nil {
			t.Fatal(err)
		}
		nothing := false
		for i, id := range x.t.IDs {
			ids, logProbs := got.Dist.At(i)
			sum := 0.0
			for _, x := range logProbs {
				sum += math.Exp(float64(x))
			}
			k := slices.Index(ids, id)
			if (got.Status[i] == schemas.StatusNone) != (len(ids) == 0) || len(ids) > 0 && k < 0 || sum > 1+1e-6 {
				t.Fatalf("position %d: status %d, text's token at %d, mass %v", i, got.Status[i], k, sum)
			}
			if nothing = nothing || k < 0; k >= 0 {
				target += float64(logProbs[k])
			}
		}
		if !nothing && !rounded && target < source*(1+1e-6)-1e-6 {
			t.Fatalf("likelihood lost: %g nats by target tokens, %g by source tokens", target, source)
		}
	})
}

// TestPaddedVocabulary: ids beyond the source's tokenizer, which a padded embedding has, leave their mass to the rest and
// change nothing else.
func TestPaddedVocabulary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := drawExample(t, false)
		want := x.align(t)
		var padded dist.Sparse
		offsets := x.d.Offsets()
		for l := range x.s.IDs {
			ids, logProbs := slices.Clone(x.d.IDs[offsets[l]:offsets[l+1]]), slices.Clone(x.d.LogProbs[offsets[l]:offsets[l+1]])
			if rapid.Bool().Draw(t, "padded") {
				ids, logProbs = append(ids, int32(len(x.source)+l)), append(logProbs, -12)
			}
			padded.Append(ids, logProbs)
		}
		x.d = padded
		if d := cmp.Diff(want, x.align(t)); d != "" {
			t.Fatal(d)
		}
	})
}

func TestFaults(t *testing.T) {
	v := toy{[]byte("a"), []byte("b"), nil}
	e := NewExact(v, []int32{2}, "s", v, 2, "t")
	one := dist.Sparse{Counts: []int32{1}, IDs: []int32{0}, LogProbs: []float32{-1}}
	a := Tokens{IDs: []int32{0}, Starts: []int32{0}}
	for name, c := range map[string]struct {
		source, target Tokens
		d              dist.Sparse
		rank           []int32
	}{
		"closed differs":    {a, Tokens{IDs: []int32{2}, Starts: []int32{1}, Closed: true}, one, []int32{0}},
		"no starts":         {Tokens{IDs: []int32{0}}, a, one, []int32{0}},
		"descending starts": {a, Tokens{IDs: []int32{0, 0}, Starts: []int32{1, 0}}, one, []int32{0}},
		"past the end":      {a, Tokens{IDs: []int32{0}, Starts: []int32{9}}, one, []int32{0}},
		"no distribution":   {a, a, dist.Sparse{}, nil},
		"text not stored":   {Tokens{IDs: []int32{1}, Starts: []int32{0}}, a, one, []int32{0}},
		"id out of range":   {a, Tokens{IDs: []int32{7}, Starts: []int32{0}}, one, []int32{0}},
		"padding as text":   {Tokens{IDs: []int32{3}, Starts: []int32{0}}, a, dist.Sparse{Counts: []int32{1}, IDs: []int32{3}, LogProbs: []float32{-1}}, []int32{0}},
		"not finite":        {a, a, dist.Sparse{Counts: []int32{1}, IDs: []int32{0}, LogProbs: []float32{float32(math.NaN())}}, []int32{0}},
	} {
		if _, err := e.Align([]byte("a"), c.source, c.d, c.rank, c.target); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
