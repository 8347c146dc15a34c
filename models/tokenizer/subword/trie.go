package subword

// trie is a tree of byte strings, kept as a hash table of its edges, at most half full.
type trie struct {
	edges []edge
	shift uint
	mask  uint64
	nodes int32
	ids   []int32 // by node; -1: no token ends here
}

type edge struct {
	key   uint64 // node<<8 | byte, + 1; 0: free
	child int32
}

// newTrie makes an empty tree that can take size bytes of tokens in all.
func newTrie(size int) *trie {
	bits := uint(4)
	for 1<<bits < size {
		bits++
	}
	return &trie{edges: make([]edge, 1<<bits), shift: 64 - bits, mask: 1<<bits - 1, nodes: 1, ids: []int32{-1}}
}

func (t *trie) find(node int32, b byte) *edge {
	key := (uint64(uint32(node))<<8 | uint64(b)) + 1
	at := (key * 0x9E3779B97F4A7C15) >> t.shift
	for {
		e := &t.edges[at]
		if e.key == key || e.key == 0 {
			return e
		}
		at = (at + 1) & t.mask
	}
}

// add puts a token into the tree; the last of equal ones counts.
func (t *trie) add(token string, id int32) {
	node := int32(0)
	for i := range len(token) {
		e := t.find(node, token[i])
		if e.key == 0 {
			if 2*int(t.nodes) >= len(t.edges) {
				t.grow()
				e = t.find(node, token[i])
			}
			*e = edge{(uint64(uint32(node))<<8 | uint64(token[i])) + 1, t.nodes}
			t.nodes++
			t.ids = append(t.ids, -1)
		}
		node = e.child
	}
	t.ids[node] = id
}

func (t *trie) grow() {
	old := t.edges
	t.edges, t.shift, t.mask = make([]edge, 2*len(old)), t.shift-1, t.mask<<1|1
	for _, e := range old {
		if e.key != 0 {
			*t.find(int32((e.key-1)>>8), byte(e.key-1)) = e
		}
	}
}

// child is the node after a byte, -1: none.
func (t *trie) child(node int32, b byte) int32 {
	if e := t.find(node, b); e.key != 0 {
		return e.child
	}
	return -1
}
