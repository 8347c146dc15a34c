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
	register.DoFn3x1[context.Context, Chunk, func(int64, []byte), error](&keysFn{})
	register.DoFn3x1[int64, func(*[]byte) bool, func(int64, []byte), error](&repeatsFn{})
}

// Records of the GroupByKey: a key of 16 bytes, 8 bytes of the prompt's id, 8 bytes of position (part, then ordinal in
// the part). Buckets 0 to 15 have the ids as keys, 16 to 31 the external ids.
const (
	keyBytes    = 16
	recordBytes = keyBytes + 8 + 8
	buckets     = 16
)

// keysFn packs the ids of one chunk: one []byte for each bucket.
type keysFn struct {
	Columns Columns
	Turns   string
}

// ProcessElement emits (bucket, records).
func (f *keysFn) ProcessElement(ctx context.Context, c Chunk, emit func(int64, []byte)) error {
	packed := map[int64][]byte{}
	add := func(first int64, key, id []byte, ordinal int) {
		bucket := first + int64(key[0]%buckets)
		record := append(packed[bucket], key[:keyBytes]...)
		record = append(record, id[:8]...)
		packed[bucket] = binary.BigEndian.AppendUint64(record, uint64(c.Part)<<32|uint64(ordinal))
	}
	ordinal := 0
	err := c.lines(ctx, func(line []byte, _ int64) error {
		for _, e := range entries(line, f.Columns, f.Turns) {
			if e.fault == nil {
				id, err := hex.DecodeString(e.prompt.ID)
				if err != nil {
					return err
				}
				add(0, id, id, ordinal)
				if e.prompt.ExternalID != "" {
					key := sha256.Sum256(fmt.Appendf(nil, "%s\x1f%d", e.prompt.ExternalID, e.turn))
					add(buckets, key[:], id, ordinal)
				}
			}
			ordinal++
		}
		return nil
	})
	if err != nil {
		return sink.Fault(err)
	}
	for _, bucket := range slices.Sorted(maps.Keys(packed)) {
		emit(bucket, packed[bucket])
	}
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
