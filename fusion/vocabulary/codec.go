package vocabulary

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// Key says which map a file holds.
type Key struct {
	// Method made the map.
	Method Method `json:"method"`
	// Source and Target are the fingerprints of the two tokenizers, of their id → bytes tables.
	Source string `json:"source"`
	Target string `json:"target"`
	// Strings is a digest of what the string methods read besides; "" for Spelling.
	Strings string `json:"strings,omitempty"`
}

// Digest is a SHA-256, in hex, of the vocabularies' strings and markers.
func Digest(vocabularies ...*Strings) string {
	hash := sha256.New()
	var row []byte
	for _, s := range vocabularies {
		row = binary.AppendUvarint(append(row[:0], s.marker...), uint64(len(s.tokens)))
		hash.Write(row)
		for _, token := range s.tokens {
			row = append(binary.AppendUvarint(row[:0], uint64(len(token))), token...)
			hash.Write(row)
		}
	}
	return hex.EncodeToString(hash.Sum(nil))
}

const mapMagic = "profuser vocabulary map 1\n"

// header is the line of JSON after the magic.
type header struct {
	Key
	Size    int `json:"size"`
	Entries int `json:"entries"`
}

// Encode gives a map as bytes: a line of text, a line of JSON with the key, the lists as little-endian 32-bit numbers, and
// the SHA-256 of all that.
func (m *Map) Encode(key Key) ([]byte, error) {
	line, err := json.Marshal(header{key, len(m.Costs), len(m.IDs)})
	if err != nil {
		return nil, fmt.Errorf("encoding a vocabulary map: %w", err)
	}
	out := append([]byte(mapMagic), line...)
	out = append(out, '\n')
	for _, x := range m.Offsets {
		out = binary.LittleEndian.AppendUint32(out, uint32(x))
	}
	for _, x := range m.IDs {
		out = binary.LittleEndian.AppendUint32(out, uint32(x))
	}
	for _, x := range m.Costs {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	sum := sha256.Sum256(out)
	return append(out, sum[:]...), nil
}

// Decode reads what Encode gave for the same key, into a target vocabulary of so many tokens. Errors say what is wrong:
// another kind of file, another key, damage.
func Decode(data []byte, key Key, target int) (*Map, error) {
	rest, ok := bytes.CutPrefix(data, []byte(mapMagic))
	if !ok || len(rest) < sha256.Size {
		return nil, errors.New("vocabulary map: the beginning is that of something else, or the file is cut off")
	}
	body := len(data) - sha256.Size
	if sum := sha256.Sum256(data[:body]); !bytes.Equal(sum[:], data[body:]) {
		return nil, errors.New("vocabulary map: the checksum is wrong, the file is damaged")
	}
	line, lists, ok := bytes.Cut(rest[:len(rest)-sha256.Size], []byte{'\n'})
	var h header
	if err := json.Unmarshal(line, &h); !ok || err != nil {
		return nil, fmt.Errorf("vocabulary map: reading its header, %.80q: %w", line, err)
	}
	if h.Key != key {
		return nil, fmt.Errorf("vocabulary map: is of %+v, want %+v", h.Key, key)
	}
	if h.Size < 0 || h.Entries < 0 || h.Size > len(lists) || h.Entries > len(lists) || len(lists) != 4*(2*h.Size+1+h.Entries) {
		return nil, fmt.Errorf("vocabulary map: %d bytes for %d tokens with %d targets", len(lists), h.Size, h.Entries)
	}
	m := &Map{Method: key.Method, Offsets: make([]int32, h.Size+1), IDs: make([]int32, h.Entries), Costs: make([]float32, h.Size)}
	next := func() uint32 {
		x := binary.LittleEndian.Uint32(lists)
		lists = lists[4:]
		return x
	}
	for i := range m.Offsets {
		m.Offsets[i] = int32(next())
	}
	for i := range m.IDs {
		m.IDs[i] = int32(next())
	}
	for i := range m.Costs {
		m.Costs[i] = math.Float32frombits(next())
	}
	return m, m.Validate(target)
}
