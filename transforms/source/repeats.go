package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/profuser/profuser/transforms/sink"
)

func init() {
	register.DoFn3x1[context.Context, Chunk, func(int64, []byte), error](&fingerprintsFn{})
	register.DoFn3x1[int64, func(*[]byte) bool, func(int64, []byte), error](&suspectsFn{})
	register.DoFn5x1[context.Context, int64, func(*Chunk) bool, func(*[]byte) bool, func(int64, []byte), error](&recordsFn{})
	register.DoFn3x1[int64, func(*[]byte) bool, func(int64, []byte), error](&repeatsFn{})
}

// Prompts that repeat are found in two rounds, because a runner may hold in memory what it groups. The first groups a
// fingerprint of each key, the second whole records, but only of keys whose fingerprint came twice.
//
// Keys are 16 bytes of the prompt's id and, of a second kind, of the hash of an external id and its turn. A fingerprint is
// a key's first bytes. Buckets 0 to 3 have keys of the first kind, 4 to 7 of the second.
const (
	keyBytes         = 16
	fingerprintBytes = 5
	// A record is a key, 8 bytes of the prompt's id, 8 bytes of position (part, then ordinal in the part).
	recordBytes = keyBytes + 8 + 8
	// buckets is how many a kind has.
	buckets = 4
)

// keys calls f for the keys of a chunk's prompts, with their bucket, the prompt's id and its ordinal in the part.
func (c Chunk) keys(ctx context.Context, columns Columns, turns string, f func(bucket int64, key, id []byte, ordinal int)) error {
	ordinal := 0
	return c.lines(ctx, func(line []byte, _ int64) error {
		for _, e := range entries(line, columns, turns) {
			if e.fault == nil {
				id, err := hex.DecodeString(e.prompt.ID)
				if err != nil {
					return err
				}
				f(int64(id[0]%buckets), id[:keyBytes], id, ordinal)
				if e.prompt.ExternalID != "" {
					key := sha256.Sum256(fmt.Appendf(nil, "%s\x1f%d", e.prompt.ExternalID, e.turn))
					f(buckets+int64(key[0]%buckets), key[:keyBytes], id, ordinal)
				}
			}
			ordinal++
		}
		return nil
	})
}

// fingerprintsFn is the first look at a chunk.
type fingerprintsFn struct {
	Columns Columns
	Turns   string
}

// ProcessElement emits, for each bucket, the part's number in 4 bytes and its fingerprints.
func (f *fingerprintsFn) ProcessElement(ctx context.Context, c Chunk, emit func(int64, []byte)) error {
	packed := map[int64][]byte{}
	err := c.keys(ctx, f.Columns, f.Turns, func(bucket int64, key, _ []byte, _ int) {
		if packed[bucket] == nil {
			packed[bucket] = binary.BigEndian.AppendUint32(nil, uint32(c.Part))
		}
		packed[bucket] = append(packed[bucket], key[:fingerprintBytes]...)
	})
	if err != nil {
		return sink.Fault(err)
	}
	emitSorted(packed, emit)
	return nil
}

func emitSorted(lists map[int64][]byte, emit func(int64, []byte)) {
	for _, number := range slices.Sorted(maps.Keys(lists)) {
		emit(number, lists[number])
	}
}

// suspectsFn finds, in one bucket, the fingerprints that came twice.
type suspectsFn struct{}

// ProcessElement emits, for each part concerned, the bucket in 8 bytes and the part's fingerprints among them.
func (f *suspectsFn) ProcessElement(bucket int64, lists func(*[]byte) bool, emit func(int64, []byte)) error {
	var all [][]byte
	for list := []byte(nil); lists(&list); {
		all = append(all, list)
	}
	for part, suspects := range suspects(all) {
		emit(part, append(binary.BigEndian.AppendUint64(nil, uint64(bucket)), suspects...))
	}
	return nil
}

// suspects returns, by part, the fingerprints that occur more than once in the lists of fingerprintsFn.
func suspects(lists [][]byte) map[int64][]byte {
	var all []uint64
	for _, list := range lists {
		for print := range slices.Chunk(list[4:], fingerprintBytes) {
			all = append(all, number40(print))
		}
	}
	slices.Sort(all)
	twice := map[uint64]bool{}
	for i := 1; i < len(all); i++ {
		if all[i] == all[i-1] {
			twice[all[i]] = true
		}
	}
	found := map[int64][]byte{}
	for _, list := range lists {
		part := int64(binary.BigEndian.Uint32(list))
		for print := range slices.Chunk(list[4:], fingerprintBytes) {
			if twice[number40(print)] {
				found[part] = append(found[part], print...)
			}
		}
	}
	return found
}

// number40 is a fingerprint as a number.
func number40(print []byte) uint64 {
	return uint64(print[0])<<32 | uint64(binary.BigEndian.Uint32(print[1:]))
}

// recordsFn is the second look at a chunk, if it has suspects.
type recordsFn struct {
	Columns Columns
	Turns   string
}

// ProcessElement emits, for each bucket, the records of the keys with these fingerprints.
func (f *recordsFn) ProcessElement(ctx context.Context, part int64, chunks func(*Chunk) bool, lists func(*[]byte) bool, emit func(int64, []byte)) error {
	type suspect struct {
		bucket int64
		print  uint64
	}
	wanted := map[suspect]bool{}
	for list := []byte(nil); lists(&list); {
		bucket := int64(binary.BigEndian.Uint64(list))
		for print := range slices.Chunk(list[8:], fingerprintBytes) {
			wanted[suspect{bucket, number40(print)}] = true
		}
	}
	var chunk Chunk
	if len(wanted) == 0 || !chunks(&chunk) {
		return nil
	}
	packed := map[int64][]byte{}
	err := chunk.keys(ctx, f.Columns, f.Turns, func(bucket int64, key, id []byte, ordinal int) {
		if !wanted[suspect{bucket, number40(key)}] {
			return
		}
		record := append(packed[bucket], key...)
		record = append(record, id[:8]...)
		packed[bucket] = binary.BigEndian.AppendUint64(record, uint64(part)<<32|uint64(ordinal))
	})
	if err != nil {
		return sink.Fault(err)
	}
	emitSorted(packed, emit)
	return nil
}

// repeatsFn finds, in one bucket, the prompts that may not stay.
type repeatsFn struct{}

// ProcessElement emits, for each part concerned, ordinals with a bit that says conflict, 8 bytes each.
func (f *repeatsFn) ProcessElement(bucket int64, lists func(*[]byte) bool, emit func(int64, []byte)) error {
	var all, list []byte
	for lists(&list) {
		all = append(all, list...)
	}
	for part, marks := range repeats(all, bucket >= buckets) {
		emit(part, marks)
	}
	return nil
}

// repeats returns the marks of each part: of records with one key the first by position stays; of the others those
// are marked that have the same id (conflicts false), or another one (conflicts true).
func repeats(all []byte, conflicts bool) map[int64][]byte {
	records := make([][]byte, 0, len(all)/recordBytes)
	for record := range slices.Chunk(all, recordBytes) {
		records = append(records, record)
	}
	slices.SortFunc(records, func(a, b []byte) int {
		if c := bytes.Compare(a[:keyBytes], b[:keyBytes]); c != 0 {
			return c
		}
		return bytes.Compare(a[keyBytes+8:], b[keyBytes+8:])
	})
	marks := map[int64][]byte{}
	var first []byte
	for _, record := range records {
		if first == nil || !bytes.Equal(first[:keyBytes], record[:keyBytes]) {
			first = record
			continue
		}
		if same := bytes.Equal(first[keyBytes:keyBytes+8], record[keyBytes:keyBytes+8]); same == conflicts {
			continue
		}
		position := binary.BigEndian.Uint64(record[keyBytes+8:])
		part, mark := int64(position>>32), position&(1<<32-1)<<1
		if conflicts {
			mark |= 1
		}
		marks[part] = binary.BigEndian.AppendUint64(marks[part], mark)
	}
	return marks
}
