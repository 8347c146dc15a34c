package board

import (
	"encoding/binary"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// masked is the CRC-32C of data, turned by 15 bits and shifted, so that a checksum of bytes that hold checksums is one.
// Source: TensorFlow, tsl/lib/hash/crc32c.h.
func masked(data []byte) uint32 {
	c := crc32.Checksum(data, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// appendRecord appends data as a TFRecord: its length (8 bytes), that length's checksum, the data, its checksum.
// Source: TensorFlow, core/lib/io/record_writer.h.
func appendRecord(to, data []byte) []byte {
	start := len(to)
	to = binary.LittleEndian.AppendUint64(to, uint64(len(data)))
	to = binary.LittleEndian.AppendUint32(to, masked(to[start:]))
	to = append(to, data...)
	return binary.LittleEndian.AppendUint32(to, masked(data))
}
