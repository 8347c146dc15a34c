package batch

import (
	"math/rand/v2"
)

// Stream deals sequences out in batches of about equal numbers of tokens, for ever: each epoch visits every sequence
// once in an order that follows from the seed and the epoch; a bucket that has gathered a batch's worth gives one.
// What remains in the buckets at an epoch's end stays for the next, so no batch is short.
type Stream struct {
	lengths []int
	tokens  int
	seed    uint64
	epoch   int
	order   []int
	next    int
	waiting map[int][]int
}

// NewStream deals the sequences with these input lengths in batches of at most tokens positions (at least one row).
func NewStream(lengths []int, tokens int, seed int64) *Stream {
	return &Stream{lengths: lengths, tokens: tokens, seed: uint64(seed), waiting: map[int][]int{}}
}

// RowsFor is the number of rows of a batch whose rows have s positions.
func (t *Stream) RowsFor(s int) int { return max(1, t.tokens/s) }

// Next returns the numbers of the next batch's sequences and their bucket's length.
func (t *Stream) Next() (members []int, s int) {
	for {
		if t.next == len(t.order) {
			t.order = Permutation(len(t.lengths), t.seed, t.epoch)
			t.epoch++
			t.next = 0
		}
		i := t.order[t.next]
		t.next++
		s := Bucket(t.lengths[i])
		t.waiting[s] = append(t.waiting[s], i)
		if len(t.waiting[s]) == t.RowsFor(s) {
			members = t.waiting[s]
			delete(t.waiting, s)
			return members, s
		}
	}
}

// Epoch is the number of passes begun.
func (t *Stream) Epoch() int { return t.epoch }

// Permutation is the order of n things in an epoch: a function of the seed and the epoch only.
func Permutation(n int, seed uint64, epoch int) []int {
	return rand.New(rand.NewPCG(seed, 0x65706f6368<<16|uint64(epoch))).Perm(n)
}
