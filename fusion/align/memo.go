package align

import (
	"sync"
	"sync/atomic"
)

// memoLimit bounds the alternatives remembered with a prefix; at the limit all of them are forgotten.
const memoLimit = 1 << 18

// memo remembers target(r) for r = prefix + bytes(v) without the first cut bytes of v. Most covers begin at a target
// boundary, with neither prefix nor cut: their tokens stand in a table by source id, read without a lock.
type memo struct {
	source Source
	target Target
	plain  []atomic.Pointer[[]int32]

	mu       sync.RWMutex
	size     int
	prefixed map[place]map[int32][]int32
}

// place is where a cover begins.
type place struct {
	prefix string
	cut    int
}

func newMemo(source Source, target Target) *memo {
	return &memo{
		source:   source,
		target:   target,
		plain:    make([]atomic.Pointer[[]int32], source.Size()),
		prefixed: map[place]map[int32][]int32{},
	}
}

// tokens gives the target tokens of bytes(v); the result is shared and must not be changed.
func (m *memo) tokens(v int32) []int32 {
	if known := m.plain[v].Load(); known != nil {
		return *known
	}
	tokens := m.target.EncodeMidText(m.source.Bytes(v))
	m.plain[v].Store(&tokens)
	return tokens
}

// known puts into found [alternatives] what is remembered of the alternatives that begin at one place, nil for the others;
// one lookup of the place and one lock serve all of them.
func (m *memo) known(prefix []byte, cut int, alternatives []share, found [][]int32) [][]int32 {
	found = found[:0]
	m.mu.RLock()
	defer m.mu.RUnlock()
	tokens := m.prefixed[place{string(prefix), cut}]
	for _, a := range alternatives {
		found = append(found, tokens[a.id])
	}
	return found
}

// tokensAfter makes and remembers the target tokens of prefix + bytes(v)[cut:]; the result is shared and must not be changed.
func (m *memo) tokensAfter(prefix []byte, cut int, v int32) []int32 {
	text := append(prefix[:len(prefix):len(prefix)], m.source.Bytes(v)[cut:]...)
	tokens := m.target.EncodeMidText(text)
	if tokens == nil {
		tokens = []int32{} // nil is what is not known
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.size++; m.size > memoLimit {
		m.size = 1
		clear(m.prefixed)
	}
	key := place{string(prefix), cut}
	if m.prefixed[key] == nil {
		m.prefixed[key] = map[int32][]int32{}
	}
	m.prefixed[key][v] = tokens
	return tokens
}
