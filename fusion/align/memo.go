package align

import (
	"sync"
	"sync/atomic"
)

// maxMemo bounds the remembered byte strings; a full memo is emptied.
const maxMemo = 1 << 18

// memo remembers the target's tokens of byte strings: of every source token alone, and of strings seen before.
type memo struct {
	target Target
	alone  []atomic.Pointer[[]int32] // [source vocabulary]
	mu     sync.RWMutex
	seen   map[string][]int32
}

func (m *memo) init(target Target, size int) {
	m.target, m.alone, m.seen = target, make([]atomic.Pointer[[]int32], size), map[string][]int32{}
}

// tokens gives the target's tokens of prefix + said. whole says that said is all of source token v's bytes.
func (m *memo) tokens(v int32, prefix, said []byte, whole bool) []int32 {
	if len(prefix) == 0 && whole {
		if p := m.alone[v].Load(); p != nil {
			return *p
		}
		ids := m.target.EncodeMidText(said)
		m.alone[v].Store(&ids)
		return ids
	}
	var room [64]byte
	key := append(append(room[:0], prefix...), said...)
	m.mu.RLock()
	ids, ok := m.seen[string(key)]
	m.mu.RUnlock()
	if ok {
		return ids
	}
	ids = m.target.EncodeMidText(key)
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.seen) >= maxMemo {
		clear(m.seen)
	}
	m.seen[string(key)] = ids
	return ids
}
