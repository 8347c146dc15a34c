package subword

import "encoding/binary"

const (
	cacheBits   = 12 // 4,096 pieces, 256 KiB for each Work
	cachedBytes = 16 // longer pieces are rare and not kept
	cachedIDs   = 4
)

// cached is a piece with its tokens: words come again and again.
type cached struct {
	low, high uint64 // the bytes of the piece
	size      uint8  // their number; 0: free
	count     uint8
	tokens    [cachedIDs]Token
}

// Find puts the tokens of a piece into w.Tokens, from what w remembers if it does. A Work that has found
// pieces of one model must not be used with another.
func (w *Work) Find(m Model, piece string) {
	if len(piece) > cachedBytes || w.Forbid != nil {
		m.Tokenize(w, piece)
		return
	}
	if w.cache == nil {
		w.cache = make([]cached, 1<<cacheBits)
	}
	var bytes [cachedBytes]byte
	copy(bytes[:], piece)
	low, high := binary.LittleEndian.Uint64(bytes[:8]), binary.LittleEndian.Uint64(bytes[8:])
	hash := (low ^ high*0xC2B2AE3D27D4EB4F ^ uint64(len(piece))) * 0x9E3779B97F4A7C15
	c := &w.cache[hash>>(64-cacheBits)]
	if c.low == low && c.high == high && int(c.size) == len(piece) {
		w.Tokens = append(w.Tokens[:0], c.tokens[:c.count]...)
		return
	}
	m.Tokenize(w, piece)
	if len(w.Tokens) <= cachedIDs {
		c.low, c.high, c.size = low, high, uint8(len(piece))
		c.count = uint8(copy(c.tokens[:], w.Tokens))
	}
}
