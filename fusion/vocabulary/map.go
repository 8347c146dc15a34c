package vocabulary

import "fmt"

// Method names a way to map a vocabulary, as align.method does.
type Method string

// The methods. Transport uses the map of MinEditDistance.
const (
	MethodSpelling        Method = "exact"
	MethodSameString      Method = "exact_match"
	MethodMinEditDistance Method = "min_edit_distance"
	MethodStatistics      Method = "statistics"
)

// Vocabulary is what maps ask of a tokenizer.
type Vocabulary interface {
	// Size is the highest id plus one.
	Size() int
	// Token is the token's own string in the vocabulary, "" for ids that no token has.
	Token(id int32) string
	// Bytes are what the token stands for, nil for special tokens. Callers do not change them.
	Bytes(id int32) []byte
}

// Map gives the target tokens of every source token, in CSR form: those of id are IDs[Offsets[id]:Offsets[id+1]]. The
// maps by token strings have at most one.
type Map struct {
	// Method made the map.
	Method Method
	// Offsets [source vocabulary + 1] starts at 0 and never falls.
	Offsets []int32
	// IDs are target tokens.
	IDs []int32
	// Costs [source vocabulary] say how badly the target tokens fit, 0 or more: their number less one for Spelling, the
	// edit distance for MinEditDistance, d · sigmoid(count) for Statistics; 0 for tokens that are not mapped.
	Costs []float32
}

// Size is the size of the source's vocabulary.
func (m *Map) Size() int { return len(m.Costs) }

// Targets are the target tokens of a source token, none for ids outside the vocabulary. Callers do not change them.
func (m *Map) Targets(id int32) []int32 {
	if id < 0 || int(id) >= len(m.Costs) {
		return nil
	}
	return m.IDs[m.Offsets[id]:m.Offsets[id+1]]
}

// Target is the one target token of a source token; -1: none, or several.
func (m *Map) Target(id int32) int32 {
	if targets := m.Targets(id); len(targets) == 1 {
		return targets[0]
	}
	return -1
}

// Covered is the number of source tokens that have target tokens.
func (m *Map) Covered() int {
	n := 0
	for id := range m.Costs {
		if m.Offsets[id+1] > m.Offsets[id] {
			n++
		}
	}
	return n
}

// Validate checks that the lists fit each other and that every target token lies in [0, target).
func (m *Map) Validate(target int) error {
	if len(m.Offsets) != len(m.Costs)+1 || m.Offsets[0] != 0 {
		return fmt.Errorf("vocabulary map: %d offsets for %d source tokens: want one more, the first 0", len(m.Offsets), len(m.Costs))
	}
	for id := range m.Costs {
		if m.Offsets[id+1] < m.Offsets[id] || int(m.Offsets[id+1]) > len(m.IDs) {
			return fmt.Errorf("vocabulary map: source token %d ends at entry %d, of %d: want offsets that never fall and end there", id, m.Offsets[id+1], len(m.IDs))
		}
		if !(m.Costs[id] >= 0) {
			return fmt.Errorf("vocabulary map: source token %d has cost %v: want 0 or more", id, m.Costs[id])
		}
	}
	if int(m.Offsets[len(m.Costs)]) != len(m.IDs) {
		return fmt.Errorf("vocabulary map: the source tokens have %d target tokens, %d are there", m.Offsets[len(m.Costs)], len(m.IDs))
	}
	for k, id := range m.IDs {
		if id < 0 || int(id) >= target {
			return fmt.Errorf("vocabulary map: entry %d is target token %d: want 0 to %d", k, id, target-1)
		}
	}
	return nil
}

// newMap makes an empty map for a source vocabulary of size tokens, of about one target token each.
func newMap(method Method, size int) *Map {
	return &Map{Method: method, Offsets: append(make([]int32, 0, size+1), 0), IDs: make([]int32, 0, size), Costs: make([]float32, 0, size)}
}

// add maps the next source token.
func (m *Map) add(cost float32, targets ...int32) {
	m.IDs = append(m.IDs, targets...)
	m.Offsets = append(m.Offsets, int32(len(m.IDs)))
	m.Costs = append(m.Costs, cost)
}
