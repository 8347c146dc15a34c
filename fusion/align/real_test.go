package align_test

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/profuser/profuser/fusion/align"
	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/models/tokenizer"
	"github.com/profuser/profuser/schemas"
)

// openShared opens a file beside the repository; without it the test is skipped.
func openShared(t testing.TB, path ...string) io.Reader {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Skip("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	name := filepath.Join(append([]string{filepath.Dir(dir), "shared"}, path...)...)
	file, err := os.Open(name)
	if os.IsNotExist(err) {
		t.Skipf("real tokenizers and texts are not here: no ../shared/%s", filepath.Join(path...))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// model is a tokenizer with its end-of-turn and, once trained, a trigram model over its tokens.
type model struct {
	*tokenizer.Tokenizer
	end   int32
	types []int32           // tokens of the texts, the vocabulary of the trigrams
	grams [3]map[string]row // by the last 0, 1, 2 tokens
}

type row struct {
	total float64
	next  map[int32]float64
}

func loadModel(t testing.TB, name, end string) *model {
	t.Helper()
	data, err := io.ReadAll(openShared(t, "tokenizers", name+".json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	id, ok := tok.ID(end)
	if !ok {
		t.Fatalf("%s has no token %s", name, end)
	}
	return &model{Tokenizer: tok, end: id}
}

// tokens encodes a text as an answer that ended its turn.
func (m *model) tokens(text string) align.Tokens {
	ids, spans := m.EncodeSpans(text)
	t := align.Tokens{IDs: ids, Closed: true}
	for i, span := range spans {
		start := span.Start
		if dummy := len(m.Bytes(ids[i])) - (span.End - span.Start); i == 0 && dummy == 1 {
			start-- // a dummy prefix
		}
		t.Starts = append(t.Starts, int32(start))
	}
	t.IDs, t.Starts = append(t.IDs, m.end), append(t.Starts, int32(len(text)))
	return t
}

func context(ids []int32) string {
	var key []byte
	for _, id := range ids {
		key = append(key, byte(id), byte(id>>8), byte(id>>16))
	}
	return string(key)
}

// train counts the n-grams of texts; types are those of all.
func (m *model) train(texts, all []string) {
	for n := range m.grams {
		m.grams[n] = map[string]row{}
	}
	for _, text := range texts {
		ids := m.tokens(text).IDs
		for i, id := range ids {
			for n := 0; n <= min(2, i); n++ {
				key := context(ids[i-n : i])
				r, known := m.grams[n][key]
				if !known {
					r.next = map[int32]float64{}
				}
				r.total++
				r.next[id]++
				m.grams[n][key] = r
			}
		}
	}
	for _, text := range all {
		m.types = append(m.types, m.tokens(text).IDs...)
	}
	slices.Sort(m.types)
	m.types = slices.Compact(m.types)
}

// read gives the trigram model's distributions over a text, all types at each position, most probable first:
// Witten-Bell interpolation down to uniform over the types.
func (m *model) read(ids []int32) (d dist.Sparse, ranks []int32) {
	type candidate struct {
		id int32
		p  float64
	}
	p, sorted := make([]candidate, len(m.types)), make([]candidate, len(m.types))
	for i, own := range ids {
		for k, id := range m.types {
			p[k] = candidate{id, 1 / float64(len(m.types))}
		}
		for n := 0; n <= min(2, i); n++ {
			r := m.grams[n][context(ids[i-n:i])]
			kinds := float64(len(r.next))
			if kinds == 0 {
				continue
			}
			for k := range p {
				p[k].p *= kinds / (r.total + kinds)
			}
			for id, times := range r.next {
				k, _ := slices.BinarySearch(m.types, id)
				p[k].p += times / (r.total + kinds)
			}
		}
		copy(sorted, p)
		slices.SortFunc(sorted, func(a, b candidate) int { return cmp.Or(cmp.Compare(b.p, a.p), cmp.Compare(a.id, b.id)) })
		for k, c := range sorted {
			if c.id == own {
				ranks = append(ranks, int32(k))
			}
			d.IDs, d.LogProbs = append(d.IDs, c.id), append(d.LogProbs, float32(math.Log(c.p)))
		}
		d.Counts = append(d.Counts, int32(len(sorted)))
	}
	return d, ranks
}

// best keeps the top entries of each position and the text's token, at its rank or, outside the top, at -1.
func best(d dist.Sparse, ids, ranks []int32, top int) (cut dist.Sparse, cutRanks []int32) {
	for i := range ids {
		entries, logProbs := d.At(i)
		entries, logProbs = slices.Clone(entries[:top]), slices.Clone(logProbs[:top])
		rank := ranks[i]
		if int(rank) >= top {
			entries, rank = append(entries, ids[i]), -1
			_, all := d.At(i)
			logProbs = append(logProbs, all[ranks[i]])
		}
		cut.Append(entries, logProbs)
		cutRanks = append(cutRanks, rank)
	}
	return cut, cutRanks
}

// world holds the two models and the texts, loaded once: the last texts are not trained on but for their types.
type world struct {
	vicuna, mpt *model
	texts       []string
}

var (
	loading sync.Mutex
	loaded  *world
)

func load(t testing.TB) *world {
	t.Helper()
	loading.Lock()
	defer loading.Unlock()
	if loaded != nil {
		return loaded
	}
	w := &world{vicuna: loadModel(t, "vicuna", "</s>"), mpt: loadModel(t, "mptchat", "<|im_end|>")}
	lines := bufio.NewScanner(openShared(t, "data", "gsm8k_train_2000.jsonl.gz"))
	for lines.Scan() {
		var problem struct{ Answer string }
		if err := json.Unmarshal(lines.Bytes(), &problem); err != nil {
			t.Fatal(err)
		}
		w.texts = append(w.texts, problem.Answer)
	}
	w.vicuna.train(w.texts[:1900], w.texts)
	w.mpt.train(w.texts[:1900], w.texts)
	loaded = w
	return w
}

func newExact(source, target *model) *align.Exact {
	return align.NewExact(source, []int32{source.end}, source.Fingerprint(), target, target.end, target.Fingerprint())
}

// tally of one direction.
type tally struct {
	status         [5]float64
	n              float64
	source, target float64 // nats
	l1, listed     float64
}

func (s *tally) add(t *testing.T, source align.Tokens, d dist.Sparse, target align.Tokens, got align.Aligned, size int) {
	t.Helper()
	for l, offset := range d.Offsets()[:len(source.IDs)] {
		s.source -= float64(d.LogProbs[int(offset)+slices.Index(d.IDs[offset:], source.IDs[l])])
	}
	if err := got.Dist.Validate(size); err != nil {
		t.Fatal(err)
	}
	offsets := got.Dist.Offsets()
	for i, id := range target.IDs {
		ids, logProbs := got.Dist.IDs[offsets[i]:offsets[i+1]], got.Dist.LogProbs[offsets[i]:offsets[i+1]]
		s.n++
		s.status[got.Status[i]]++
		if got.Status[i] == schemas.StatusNone {
			continue
		}
		sum := 0.0
		for _, x := range logProbs {
			sum += math.Exp(float64(x))
		}
		if sum > 1+2e-6 { // float32 log-probs
			t.Fatalf("position %d has mass %v", i, sum)
		}
		k := slices.Index(ids, id)
		if k < 0 {
			t.Fatalf("position %d: the text's token is missing", i)
		}
		s.target -= float64(logProbs[k])
	}
}

// The yardstick is spec/alignment.md §2: a trigram model with MPT's tokens into Vicuna's keeps 0.9989 of the
// likelihood, 25 % of the positions are inner.
func TestRealTokenizersKeepTheLikelihood(t *testing.T) {
	w := load(t)
	for _, direction := range []struct {
		name           string
		source, target *model
		inner          [2]float64
	}{
		{"mpt to vicuna", w.mpt, w.vicuna, [2]float64{0.15, 0.35}},
		{"vicuna to mpt", w.vicuna, w.mpt, [2]float64{0, 0.05}},
	} {
		t.Run(direction.name, func(t *testing.T) {
			e := newExact(direction.source, direction.target)
			var full, top tally
			texts := w.texts[len(w.texts)-6:]
			if testing.Short() {
				texts = texts[:2]
			}
			for _, text := range texts {
				source, target := direction.source.tokens(text), direction.target.tokens(text)
				d, ranks := direction.source.read(source.IDs)
				whole, err := e.Align([]byte(text), source, d, ranks, target)
				if err != nil {
					t.Fatal(err)
				}
				full.add(t, source, d, target, whole, direction.target.Size())
				d, ranks = best(d, source.IDs, ranks, 10)
				cut, err := e.Align([]byte(text), source, d, ranks, target)
				if err != nil {
					t.Fatal(err)
				}
				top.add(t, source, d, target, cut, direction.target.Size())
				top.compare(cut, whole)
			}
			ratio, inner := full.target/full.source, full.status[schemas.StatusInner]/full.n
			t.Logf("full: likelihood %.5f; exact %.3f boundary %.3f inner %.3f none %.3f", ratio, full.status[1]/full.n, full.status[2]/full.n, inner, full.status[0]/full.n)
			t.Logf("top 10: none %.4f, L1 of listed probabilities %.4f", top.status[0]/top.n, top.l1/top.listed)
			if ratio < 0.995 || ratio > 1+1e-6 {
				t.Errorf("likelihood ratio %.6f, want 0.995 to 1", ratio)
			}
			if full.status[schemas.StatusNone] > 0 {
				t.Error("a position is none with full distributions")
			}
			if inner < direction.inner[0] || inner > direction.inner[1] {
				t.Errorf("%.3f of the positions are inner, want %v", inner, direction.inner)
			}
			if top.status[schemas.StatusNone] > 0.15*top.n {
				t.Errorf("%v of %v positions are none with the top 10", top.status[0], top.n)
			}
		})
	}
}

// compare adds the L1 distance of the listed probabilities from those of full distributions.
func (s *tally) compare(cut, whole align.Aligned) {
	for i := range cut.Status {
		if cut.Status[i] == schemas.StatusNone {
			continue
		}
		known := map[int32]float32{}
		ids, logProbs := whole.Dist.At(i)
		for k, id := range ids {
			known[id] = logProbs[k]
		}
		ids, logProbs = cut.Dist.At(i)
		s.listed++
		for k, id := range ids {
			s.l1 += math.Abs(math.Exp(float64(logProbs[k])) - math.Exp(float64(known[id])))
		}
	}
}

// Ids of other texts and templates, glued spaces and cut bytes: whatever comes, the result is valid.
func TestRealTokenizersTakeAnyBytes(t *testing.T) {
	w := load(t)
	e := newExact(w.mpt, w.vicuna)
	for _, text := range []string{"", " ", "7", "\n\n  x", "caf\xc3\xa9 \xff\xc3", "日本語🙂", "e\u0301 A\u030a", "</s> <|im_end|>", "                          deep"} {
		source, target := w.mpt.tokens(text), w.vicuna.tokens(text)
		var d dist.Sparse
		ranks := make([]int32, len(source.IDs))
		for _, own := range source.IDs {
			ids := []int32{own}
			for _, other := range []int32{187, 209, 50274, w.mpt.end, 50277, 84, 29, 1276} { // newline, space, spaces, specials, bytes
				if other != own {
					ids = append(ids, other)
				}
			}
			d.Append(ids, slices.Repeat([]float32{float32(-math.Log(9))}, len(ids)))
		}
		got, err := e.Align([]byte(text), source, d, ranks, target)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if err := got.Dist.Validate(w.vicuna.Size()); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if last := len(target.IDs) - 1; got.Status[last] != schemas.StatusExact {
			t.Errorf("%q: end-of-turn has status %d", text, got.Status[last])
		}
	}
}

func benchmark(b *testing.B, source, target *model, texts []string) {
	e := newExact(source, target)
	type job struct {
		text           []byte
		source, target align.Tokens
		d              dist.Sparse
		ranks          []int32
	}
	var jobs []job
	positions := 0
	for _, text := range texts {
		j := job{text: []byte(text), source: source.tokens(text), target: target.tokens(text)}
		d, ranks := source.read(j.source.IDs)
		j.d, j.ranks = best(d, j.source.IDs, ranks, 10)
		positions += len(j.target.IDs)
		jobs = append(jobs, j)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, j := range jobs {
			if _, err := e.Align(j.text, j.source, j.d, j.ranks, j.target); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(positions)*float64(b.N)/b.Elapsed().Seconds(), "positions/s")
}

func BenchmarkExactMPTToVicuna(b *testing.B) {
	w := load(b)
	benchmark(b, w.mpt, w.vicuna, w.texts[:100])
}

func BenchmarkExactVicunaToMPT(b *testing.B) {
	w := load(b)
	benchmark(b, w.vicuna, w.mpt, w.texts[:100])
}
