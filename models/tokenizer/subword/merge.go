package subword

// merge says that two neighbours become id; the lowest rank goes first, then the leftmost.
type merge struct{ rank, id int32 }

var noMerge = merge{rank: 1<<31 - 1}

// mergeTable is an open-addressing hash table from a pair of ids to its merge, at most half full.
type mergeTable struct {
	slots []mergeSlot
	shift uint
	mask  uint64
}

type mergeSlot struct {
	key   uint64 // pair + 1; 0: free
	value merge
}

func newMergeTable(pairs int) *mergeTable {
	bits := uint(4)
	for 1<<bits < 2*pairs {
		bits++
	}
	return &mergeTable{make([]mergeSlot, 1<<bits), 64 - bits, 1<<bits - 1}
}

// find is the slot of a pair: its own or the free one where it belongs.
func (m *mergeTable) find(left, right int32) (slot *mergeSlot, key uint64) {
	key = (uint64(uint32(left))<<32 | uint64(uint32(right))) + 1
	at := (key * 0x9E3779B97F4A7C15) >> m.shift // Fibonacci hashing
	for {
		slot = &m.slots[at]
		if slot.key == 0 || slot.key == key {
			return slot, key
		}
		at = (at + 1) & m.mask
	}
}

// set keeps the last of equal pairs, as the reference does.
func (m *mergeTable) set(left, right int32, value merge) {
	slot, key := m.find(left, right)
	*slot = mergeSlot{key, value}
}

func (m *mergeTable) get(left, right int32) merge {
	if slot, _ := m.find(left, right); slot.key != 0 {
		return slot.value
	}
	return noMerge
}

// scanLimit is the piece length up to which scanning all pairs is faster than a heap (measured).
const scanLimit = 48

// merge merges w.Tokens in place until no pair has a merge.
func (w *Work) merge(table *mergeTable) {
	if len(w.Tokens) > scanLimit {
		w.mergeByHeap(table)
		return
	}
	s, pairs := w.Tokens, w.pairs[:0]
	for i := 0; i+1 < len(s); i++ {
		pairs = append(pairs, table.get(s[i].ID, s[i+1].ID))
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
		s[at] = Token{pairs[at].id, s[at].Size + s[at+1].Size}
		s = append(s[:at+1], s[at+2:]...)
		pairs = append(pairs[:at], pairs[at+1:]...)
		if at > 0 {
			pairs[at-1] = table.get(s[at-1].ID, s[at].ID)
		}
		if at < len(pairs) {
			pairs[at] = table.get(s[at].ID, s[at+1].ID)
		}
	}
	w.Tokens, w.pairs = s, pairs
}

// link is a symbol in a list from which merged neighbours are taken out; their ID is -1.
type link struct {
	Token
	previous, next int32
}

// mergeByHeap merges long pieces: a heap of rank<<32 | position; entries that a merge made stale are
// recognised by their rank and skipped.
func (w *Work) mergeByHeap(table *mergeTable) {
	w.links, w.heap = w.links[:0], w.heap[:0]
	for i, token := range w.Tokens {
		w.links = append(w.links, link{token, int32(i) - 1, int32(i) + 1})
	}
	links := w.links
	links[len(links)-1].next = -1
	for i := range links {
		w.pushPair(table, int32(i))
	}
	for len(w.heap) > 0 {
		top := w.pop()
		i := int32(uint32(top))
		next := links[i].next
		if links[i].ID < 0 || next < 0 {
			continue
		}
		found := table.get(links[i].ID, links[next].ID)
		if found == noMerge || uint64(found.rank) != top>>32 {
			continue
		}
		links[i].Token = Token{found.id, links[i].Size + links[next].Size}
		links[i].next = links[next].next
		links[next].ID = -1
		if after := links[i].next; after >= 0 {
			links[after].previous = i
		}
		w.pushPair(table, i)
		if before := links[i].previous; before >= 0 {
			w.pushPair(table, before)
		}
	}
	w.Tokens = w.Tokens[:0]
	for i := int32(0); i >= 0; i = links[i].next {
		w.Tokens = append(w.Tokens, links[i].Token)
	}
}

// pushPair puts the merge of link i and its neighbour on the heap, if there is one.
func (w *Work) pushPair(table *mergeTable, i int32) {
	next := w.links[i].next
	if next < 0 {
		return
	}
	found := table.get(w.links[i].ID, w.links[next].ID)
	if found == noMerge {
		return
	}
	h := append(w.heap, uint64(found.rank)<<32|uint64(i))
	for child := len(h) - 1; child > 0; {
		parent := (child - 1) / 2
		if h[parent] <= h[child] {
			break
		}
		h[parent], h[child] = h[child], h[parent]
		child = parent
	}
	w.heap = h
}

// pop takes the lowest entry off the heap.
func (w *Work) pop() uint64 {
	h := w.heap
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
	w.heap = h
	return top
}
