package tokenizer

// symbol is a token in the making and its size in normalised bytes.
type symbol struct{ id, size int32 }

// merge says that two neighbours become id; the lowest rank goes first, then the leftmost.
type merge struct{ rank, id int32 }

var noMerge = merge{rank: 1<<31 - 1}

// mergeTable is an open-addressing hash table from a pair of ids to its merge, at most half full.
type mergeTable struct {
	keys   []uint64 // pair + 1; 0: free
	values []merge
	shift  uint
	mask   uint64
}

func newMergeTable(pairs int) *mergeTable {
	bits := uint(4)
	for 1<<bits < 2*pairs {
		bits++
	}
	return &mergeTable{make([]uint64, 1<<bits), make([]merge, 1<<bits), 64 - bits, 1<<bits - 1}
}

// find is the slot of a pair: its own or the free one where it belongs.
func (m *mergeTable) find(left, right int32) (slot, key uint64) {
	key = (uint64(uint32(left))<<32 | uint64(uint32(right))) + 1
	slot = (key * 0x9E3779B97F4A7C15) >> m.shift // Fibonacci hashing
	for m.keys[slot] != 0 && m.keys[slot] != key {
		slot = (slot + 1) & m.mask
	}
	return slot, key
}

// set keeps the last of equal pairs, as the reference does.
func (m *mergeTable) set(left, right int32, value merge) {
	slot, key := m.find(left, right)
	m.keys[slot], m.values[slot] = key, value
}

func (m *mergeTable) get(left, right int32) merge {
	slot, key := m.find(left, right)
	if m.keys[slot] == key {
		return m.values[slot]
	}
	return noMerge
}

// scanLimit is the piece length up to which scanning all pairs is faster than a heap (measured).
const scanLimit = 48

// merge merges e.symbols in place until no pair has a merge.
func (e *encoder) merge() {
	if len(e.symbols) > scanLimit {
		e.mergeByHeap()
		return
	}
	table, s, pairs := e.t.merges, e.symbols, e.merges[:0]
	for i := 0; i+1 < len(s); i++ {
		pairs = append(pairs, table.get(s[i].id, s[i+1].id))
	}
	for {
		best, at := noMerge.rank, -1
		for i := range pairs {
			if pairs[i].rank < best {
				best, at = pairs[i].rank, i
			}
		}
		if at < 0 {
			break
		}
		s[at] = symbol{pairs[at].id, s[at].size + s[at+1].size}
		s = append(s[:at+1], s[at+2:]...)
		pairs = append(pairs[:at], pairs[at+1:]...)
		if at > 0 {
			pairs[at-1] = table.get(s[at-1].id, s[at].id)
		}
		if at < len(pairs) {
			pairs[at] = table.get(s[at].id, s[at+1].id)
		}
	}
	e.symbols, e.merges = s, pairs
}

// link is a symbol in a list from which merged neighbours are taken out; their id is -1.
type link struct {
	symbol
	previous, next int32
}

// mergeByHeap merges long pieces: a heap of rank<<32 | position; entries that a merge made stale are
// recognised by their rank and skipped.
func (e *encoder) mergeByHeap() {
	e.links, e.heap = e.links[:0], e.heap[:0]
	for i, symbol := range e.symbols {
		e.links = append(e.links, link{symbol, int32(i) - 1, int32(i) + 1})
	}
	links := e.links
	links[len(links)-1].next = -1
	for i := range links {
		e.pushPair(int32(i))
	}
	for len(e.heap) > 0 {
		top := e.pop()
		i := int32(uint32(top))
		next := links[i].next
		if links[i].id < 0 || next < 0 {
			continue
		}
		found := e.t.merges.get(links[i].id, links[next].id)
		if found == noMerge || uint64(found.rank) != top>>32 {
			continue
		}
		links[i].symbol = symbol{found.id, links[i].size + links[next].size}
		links[i].next = links[next].next
		links[next].id = -1
		if after := links[i].next; after >= 0 {
			links[after].previous = i
		}
		e.pushPair(i)
		if before := links[i].previous; before >= 0 {
			e.pushPair(before)
		}
	}
	e.symbols = e.symbols[:0]
	for i := int32(0); i >= 0; i = links[i].next {
		e.symbols = append(e.symbols, links[i].symbol)
	}
}

// pushPair puts the merge of link i and its neighbour on the heap, if there is one.
func (e *encoder) pushPair(i int32) {
	next := e.links[i].next
	if next < 0 {
		return
	}
	found := e.t.merges.get(e.links[i].id, e.links[next].id)
	if found == noMerge {
		return
	}
	h := append(e.heap, uint64(found.rank)<<32|uint64(i))
	for child := len(h) - 1; child > 0; {
		parent := (child - 1) / 2
		if h[parent] <= h[child] {
			break
		}
		h[parent], h[child] = h[child], h[parent]
		child = parent
	}
	e.heap = h
}

// pop takes the lowest entry off the heap.
func (e *encoder) pop() uint64 {
	h := e.heap
	top, last := h[0], len(h)-1
	h[0] = h[last]
	h = h[:last]
	for parent := 0; ; {
		child := 2*parent + 1
		if child >= last {
			break
		}
		if child+1 < last && h[child+1] < h[child] {
			child++
		}
		if h[parent] <= h[child] {
			break
		}
		h[parent], h[child] = h[child], h[parent]
		parent = child
	}
	e.heap = h
	return top
}
