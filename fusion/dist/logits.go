package dist

import (
	"fmt"
	"math"
	"runtime"
	"slices"

	"gorgonia.org/tensor"
)

// Truncate says which entries of a distribution are stored: the most probable ones until their mass reaches Mass, at
// most TopK of them, none below MinProb, and always the text's token. The zero value stores the text's token only.
type Truncate struct {
	// Mass is the probability mass to reach, 0 to 1; 1 and above: no limit by mass. Default of the configuration 0.99.
	Mass float64
	// TopK is the largest number of entries, 0 or more, the text's token not counted where it comes from outside.
	// Default of the configuration 32.
	TopK int
	// MinProb is the smallest probability stored, 0 to 1. Default of the configuration 1e-3.
	MinProb float64
	// Exact keeps stored log-probs as they are, for somebody who truncates again, instead of rounding them to bfloat16.
	Exact bool
}

// stored is a log-prob as it is kept.
func (t Truncate) stored(x float32) float32 {
	if t.Exact {
		return x
	}
	return RoundBFloat16(x)
}

// Validate checks the ranges of the fields and names the first that is out of range.
func (t Truncate) Validate() error {
	switch {
	case !(t.Mass >= 0):
		return fmt.Errorf("truncate.mass is %v: want 0 to 1", t.Mass)
	case t.TopK < 0:
		return fmt.Errorf("truncate.top_k is %d: want 0 or more", t.TopK)
	case !(t.MinProb >= 0 && t.MinProb <= 1):
		return fmt.Errorf("truncate.min_prob is %v: want 0 to 1", t.MinProb)
	}
	return nil
}

// FromLogits turns logits [T, V] into T truncated distributions, text [T] being the tokens that came.
//
//	log p(v) = (x_v - m) - log Σ_u exp(x_u - m),  m = max x,  sums in float64 over the whole vocabulary
//
// Entries are stored in the order of their log-probs, equal ones by id, as Truncate says; a text token outside of them
// is added last. tokenLogProbs [T] are the text's log-probs in nats, as float32 and not rounded further; the stored
// LogProbs are rounded to bfloat16, nearest even, unless Exact. textRank [T] is the text token's place among the stored entries, -1
// where it was added from outside.
//
// T = 0 (nil logits allowed) gives empty results; TopK > V stores at most V entries. Errors name the position: a logit
// that is NaN or infinite, a text token outside 0..V-1; and a tensor that is not a contiguous [T, V] of float32.
//
// Source: spec/schemas.md, "What keeps them small". Different from vLLM's and FuseLLM's top-k: the cut adapts to the
// mass, and log-probs are those of the whole softmax, not renormalised over the top-k.
func FromLogits(logits *tensor.Dense, text []int32, t Truncate) (s Sparse, tokenLogProbs []float32, textRank []int32, err error) {
	if err := t.Validate(); err != nil {
		return Sparse{}, nil, nil, err
	}
	rows, vocab, err := matrix(logits, len(text))
	if err != nil {
		return Sparse{}, nil, nil, err
	}
	expected := len(text) * (min(t.TopK, vocab, 16) + 1)
	s = Sparse{Counts: make([]int32, 0, len(text)), IDs: make([]int32, 0, expected), LogProbs: make([]float32, 0, expected)}
	tokenLogProbs = make([]float32, len(text))
	textRank = make([]int32, len(text))
	top := selection{limit: min(t.TopK, vocab)}
	for i, token := range text {
		row := rows[i*vocab : (i+1)*vocab]
		if token < 0 || int(token) >= vocab {
			return Sparse{}, nil, nil, fmt.Errorf("position %d: the text's token is %d, the logits have entries 0 to %d", i, token, vocab-1)
		}
		largest, logSum, err := normaliser(row)
		if err != nil {
			return Sparse{}, nil, nil, fmt.Errorf("position %d: %w", i, err)
		}
		logProb := func(x float32) float64 { return float64(x) - largest - logSum }
		tokenLogProbs[i] = float32(logProb(row[token]))
		top.collect(row, largest+logSum+math.Log(t.MinProb))
		textRank[i] = s.appendTop(top.sorted(), token, t, logProb)
		if textRank[i] < 0 {
			s.IDs = append(s.IDs, token)
			s.LogProbs = append(s.LogProbs, t.stored(tokenLogProbs[i]))
			s.Counts[i]++
		}
	}
	return s, tokenLogProbs, textRank, nil
}

// appendTop adds a position with the entries of ranked until their mass reaches t.Mass, and gives the place of token
// among them, or -1.
func (s *Sparse) appendTop(ranked []entry, token int32, t Truncate, logProb func(float32) float64) int32 {
	rank, sum := int32(-1), 0.0
	kept := 0
	for _, e := range ranked {
		if sum >= t.Mass && t.Mass < 1 {
			break
		}
		if e.id == token {
			rank = int32(kept)
		}
		x := logProb(e.logit)
		sum += math.Exp(x)
		s.IDs = append(s.IDs, e.id)
		s.LogProbs = append(s.LogProbs, t.stored(float32(x)))
		kept++
	}
	s.Counts = append(s.Counts, int32(kept))
	return rank
}

// matrix gives the backing slice of a contiguous [T, V] of float32 and V.
func matrix(logits *tensor.Dense, positions int) (rows []float32, vocab int, err error) {
	if logits == nil {
		if positions > 0 {
			return nil, 0, fmt.Errorf("no logits for a text of %d tokens", positions)
		}
		return nil, 0, nil
	}
	shape := logits.Shape()
	if len(shape) != 2 || shape[0] != positions {
		return nil, 0, fmt.Errorf("logits have shape %v: want [%d, vocabulary]", shape, positions)
	}
	if logits.Dtype() != tensor.Float32 {
		return nil, 0, fmt.Errorf("logits are %v: want float32", logits.Dtype())
	}
	rows, ok := logits.Data().([]float32)
	runtime.KeepAlive(logits) // Data holds the values by an address that the collector does not see
	if !ok || logits.RequiresIterator() || logits.DataOrder().IsColMajor() || len(rows) != shape[0]*shape[1] {
		return nil, 0, fmt.Errorf("logits of shape %v are a view: want a contiguous row-major tensor", shape)
	}
	return rows, shape[1], nil
}

// Logits is a tensor [t, v] over values, which it shares. Use it instead of the library's own constructor, which holds the
// values, while it makes the tensor, by an address that the collector does not see: they must be in use until it returns.
func Logits(values []float32, t, v int) *tensor.Dense {
	logits := tensor.New(tensor.WithShape(t, v), tensor.WithBacking(values[:t*v]))
	runtime.KeepAlive(values)
	return logits
}

// normaliser gives the largest logit of a row and log Σ exp(x - largest).
func normaliser(row []float32) (largest, logSum float64, err error) {
	const exponent = 0x7F800000 // all ones: NaN or infinite
	top := row[0]
	for v, x := range row {
		if math.Float32bits(x)&exponent == exponent {
			return 0, 0, fmt.Errorf("the logit of token %d is %v: want finite numbers (a diverged or damaged model)", v, x)
		}
		if x > top {
			top = x
		}
	}
	largest = float64(top)
	return largest, math.Log(sumExp(row, largest)), nil
}

// entry is one candidate of the top-k.
type entry struct {
	id    int32
	logit float32
}

// before orders entries: higher logits first, equal ones by id.
func before(a, b entry) bool { return a.logit > b.logit || a.logit == b.logit && a.id < b.id }

// selection keeps the best entries of a row in a heap whose root is the worst of them.
type selection struct {
	limit int
	heap  []entry
}

// Largest lists the k largest of logits [V], all if there are fewer, in descending order, equal ones by id.
func Largest(logits []float32, k int) []int32 {
	top := selection{limit: min(k, len(logits))}
	top.collect(logits, math.Inf(-1))
	var ids []int32
	for _, e := range top.sorted() {
		ids = append(ids, e.id)
	}
	return ids
}

// collect fills the heap with the best entries of the row whose logit is at least lowest.
func (s *selection) collect(row []float32, lowest float64) {
	s.heap = s.heap[:0]
	if s.limit == 0 {
		return
	}
	bar := float32(math.Inf(-1))
	if lowest > math.Inf(-1) {
		// One float32 below: never stricter than lowest; the few entries between are dropped here.
		bar = math.Nextafter32(float32(lowest), bar)
	}
	for v, x := range row {
		if x < bar || float64(x) < lowest {
			continue
		}
		e := entry{int32(v), x}
		if len(s.heap) < s.limit {
			s.heap = append(s.heap, e)
			s.up(len(s.heap) - 1)
			continue
		}
		if before(e, s.heap[0]) {
			s.heap[0] = e
			s.down()
			bar = s.heap[0].logit
		}
	}
}

func (s *selection) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !before(s.heap[parent], s.heap[i]) {
			return
		}
		s.heap[parent], s.heap[i] = s.heap[i], s.heap[parent]
		i = parent
	}
}

func (s *selection) down() {
	for i := 0; ; {
		worst := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(s.heap); child++ {
			if before(s.heap[worst], s.heap[child]) {
				worst = child
			}
		}
		if worst == i {
			return
		}
		s.heap[i], s.heap[worst] = s.heap[worst], s.heap[i]
		i = worst
	}
}

// sorted gives the heap's entries, best first, in its own memory.
func (s *selection) sorted() []entry {
	slices.SortFunc(s.heap, func(a, b entry) int {
		if before(a, b) {
			return -1
		}
		return 1
	})
	return s.heap
}
