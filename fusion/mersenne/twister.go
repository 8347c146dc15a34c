package mersenne

import "math/bits"

const (
	size   = 624
	offset = 397
)

// Twister is MT19937. The zero value is not seeded: take New.
type Twister struct {
	state [size]uint32
	at    int
}

// New returns the generator of Python's random.Random(seed).
//
// Effect: initialisation by an array of the one key seed. Boundary: seeds below 2³², of which Python takes one word.
// Source: M. Matsumoto and T. Nishimura (1998), "Mersenne Twister", mt19937ar.c, init_by_array; CPython's
// Modules/_randommodule.c, random_seed. The same numbers.
func New(seed uint32) *Twister {
	t := new(Twister)
	s := &t.state
	s[0] = 19650218
	for i := 1; i < size; i++ {
		s[i] = 1812433253*(s[i-1]^s[i-1]>>30) + uint32(i)
	}
	i := 1
	for range size {
		s[i] = (s[i] ^ (s[i-1]^s[i-1]>>30)*1664525) + seed // the key's one word, whose index is 0
		if i++; i == size {
			s[0], i = s[size-1], 1
		}
	}
	for range size - 1 {
		s[i] = (s[i] ^ (s[i-1]^s[i-1]>>30)*1566083941) - uint32(i)
		if i++; i == size {
			s[0], i = s[size-1], 1
		}
	}
	s[0] = 1 << 31
	t.at = size
	return t
}

// Uint32 is the next number of 32 bits.
func (t *Twister) Uint32() uint32 {
	if t.at == size {
		t.turn()
	}
	y := t.state[t.at]
	t.at++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

// turn makes the next 624 numbers.
func (t *Twister) turn() {
	s := &t.state
	for i := range size {
		y := s[i]&(1<<31) | s[(i+1)%size]&(1<<31-1)
		s[i] = s[(i+offset)%size] ^ y>>1
		if y&1 == 1 {
			s[i] ^= 0x9908b0df
		}
	}
	t.at = 0
}

// below draws from [0, n), n from 1 to 2³²-1: as many bits as n has, again while they are too large.
func (t *Twister) below(n int) int {
	shift := 32 - bits.Len32(uint32(n))
	for {
		if r := int(t.Uint32() >> shift); r < n {
			return r
		}
	}
}
