package normalize

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// maxCharsmap bounds a charsmap; the largest published one has 370 kB.
const maxCharsmap = 16 << 20

// Charsmap is SentencePiece's precompiled table of replacements: a double array of byte strings, whose
// values are places in a pool of strings that end with a zero byte.
//
// Source: the format of normalizer_spec.precompiled_charsmap of SentencePiece (size of the trie in bytes,
// little-endian; its units; the pool) and of the double array of Darts-clone (Yata 2007): a unit has a
// label in bits 0-7 (bit 31 marks a value), bit 8 for "a value follows", and an offset in bits 10-30,
// shifted by 8 more if bit 9 is set.
type Charsmap struct {
	units []uint32
	pool  []byte
	ascii [utf8.RuneSelf]asciiRule
}

// asciiRule is what a character of ASCII becomes by itself.
type asciiRule struct {
	text    string
	changes bool
}

// ReadCharsmap reads the table.
func ReadCharsmap(data []byte) (*Charsmap, error) {
	if len(data) > maxCharsmap {
		return nil, fmt.Errorf("charsmap of %d bytes, at most %d are allowed", len(data), maxCharsmap)
	}
	if len(data) < 4 {
		return nil, errors.New("charsmap is shorter than its size field")
	}
	size := int(binary.LittleEndian.Uint32(data))
	if size%4 != 0 || size > len(data)-4 || size == 0 {
		return nil, fmt.Errorf("charsmap says that its trie has %d of its %d bytes", size, len(data))
	}
	m := &Charsmap{units: make([]uint32, size/4), pool: data[4+size:]}
	for i := range m.units {
		m.units[i] = binary.LittleEndian.Uint32(data[4+4*i:])
	}
	for b := range m.ascii {
		text, found := m.first(string(rune(b)))
		m.ascii[b] = asciiRule{text, found && text != string(rune(b))}
	}
	return m, nil
}

// walk calls visit with the length and the value of every key that s begins with, shortest first, until
// visit says stop.
func (m *Charsmap) walk(s string, visit func(length int, value uint32) (stop bool)) {
	offset := func(unit uint32) uint32 { return (unit >> 10) << ((unit & (1 << 9)) >> 6) }
	at := offset(m.units[0])
	for i := range len(s) {
		if s[i] == 0 {
			return
		}
		at ^= uint32(s[i])
		if int(at) >= len(m.units) {
			return
		}
		unit := m.units[at]
		if unit&(1<<31|0xFF) != uint32(s[i]) {
			return
		}
		at ^= offset(unit)
		if unit&(1<<8) == 0 {
			continue
		}
		if int(at) >= len(m.units) || visit(i+1, m.units[at]&(1<<31-1)) {
			return
		}
	}
}

// text is the string at a place of the pool.
func (m *Charsmap) text(value uint32) (string, bool) {
	if int64(value) >= int64(len(m.pool)) {
		return "", false
	}
	text := m.pool[value:]
	if end := bytes.IndexByte(text, 0); end >= 0 {
		text = text[:end]
	}
	return string(text), utf8.Valid(text)
}

// first is the replacement of the shortest key that s begins with.
func (m *Charsmap) first(s string) (text string, found bool) {
	m.walk(s, func(_ int, value uint32) bool {
		text, found = m.text(value)
		return true
	})
	return text, found
}

// Longest is the replacement of the longest key that s begins with, and its length; 0: none.
func (m *Charsmap) Longest(s string) (text string, length int) {
	m.walk(s, func(n int, value uint32) bool {
		if t, ok := m.text(value); ok {
			text, length = t, n
		}
		return false
	})
	return text, length
}

// precompiled makes the step of a charsmap in base64. As the reference does, and unlike SentencePiece, it
// replaces a whole grapheme of fewer than six bytes by what its shortest key becomes, and else looks at
// single characters.
func precompiled(encoded string) (step, error) {
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("Precompiled: precompiled_charsmap: %w", err)
	}
	if len(data) == 0 {
		return nil, nil
	}
	m, err := ReadCharsmap(data)
	if err != nil {
		return nil, fmt.Errorf("Precompiled: precompiled_charsmap: %w", err)
	}
	return m.graphemes, nil
}

// graphemes rewrites text grapheme by grapheme.
func (m *Charsmap) graphemes(s string, track bool) (string, []int32) {
	if m.unchanged(s) {
		return s, nil
	}
	w := Writer{Track: track, out: make([]byte, 0, len(s)+len(s)/8)}
	for i := 0; i < len(s); {
		if end := m.plain(s, i); end > i {
			w.Add(s[i:end], i, end)
			i = end
			continue
		}
		size := 1
		if s[i] >= utf8.RuneSelf || i+1 < len(s) && (s[i+1] >= utf8.RuneSelf || s[i] == '\r') {
			cluster, _, _, _ := uniseg.FirstGraphemeClusterInString(s[i:], -1)
			size = len(cluster)
		}
		m.grapheme(&w, s, i, i+size)
		i += size
	}
	return w.Finish(len(s))
}

// unchanged says whether s is ASCII that the map leaves alone.
func (m *Charsmap) unchanged(s string) bool { return m.plain(s, 0) == len(s) && isASCII(s) }

// plain is the end of the characters of ASCII from i on that are graphemes by themselves and stay.
func (m *Charsmap) plain(s string, i int) int {
	for i < len(s) && s[i] < utf8.RuneSelf && s[i] != '\r' && !m.ascii[s[i]].changes && (i+1 == len(s) || s[i+1] < utf8.RuneSelf) {
		i++
	}
	return i
}

// grapheme rewrites one grapheme.
func (m *Charsmap) grapheme(w *Writer, s string, start, end int) {
	if end-start < 6 {
		if text, found := m.first(s[start:end]); found {
			w.Add(text, start, end)
			return
		}
	}
	for i := start; i < end; {
		_, size := utf8.DecodeRuneInString(s[i:])
		if text, found := m.first(s[i : i+size]); found {
			w.Add(text, i, i+size)
		} else {
			w.Add(s[i:i+size], i, i+size)
		}
		i += size
	}
}
