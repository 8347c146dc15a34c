package source

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestSuspects checks that the marks do not change when only records whose fingerprints came twice are looked at.
func TestSuspects(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []byte
		var lists [][]byte
		records := map[int64][][]byte{}
		for part := range int64(rapid.IntRange(1, 5).Draw(t, "parts")) {
			list := binary.BigEndian.AppendUint32(nil, uint32(part))
			for ordinal := range rapid.IntRange(0, 8).Draw(t, "rows") {
				key := make([]byte, keyBytes) // few different fingerprints, several keys of each
				key[0], key[keyBytes-1] = byte(rapid.IntRange(0, 9).Draw(t, "first")), byte(rapid.IntRange(0, 1).Draw(t, "last"))
				record := binary.BigEndian.AppendUint64(key, uint64(rapid.IntRange(0, 1).Draw(t, "id")))
				record = binary.BigEndian.AppendUint64(record, uint64(part)<<32|uint64(ordinal))
				list = append(list, key[:fingerprintBytes]...)
				records[part] = append(records[part], record)
				all = append(all, record...)
			}
			lists = append(lists, list)
		}
		found := suspects(lists)
		var looked []byte
		for _, part := range slices.Sorted(maps.Keys(found)) {
			for _, record := range records[part] {
				if slices.ContainsFunc(slices.Collect(slices.Chunk(found[part], fingerprintBytes)), func(print []byte) bool { return bytes.HasPrefix(record, print) }) {
					looked = append(looked, record...)
				}
			}
		}
		for _, conflicts := range []bool{false, true} {
			if diff := cmp.Diff(repeats(all, conflicts), repeats(looked, conflicts)); diff != "" {
				t.Fatalf("conflicts %v: -all +suspects\n%s", conflicts, diff)
			}
		}
		if seen := map[string]bool{}; len(looked) == 0 {
			for print := range slices.Chunk(all, recordBytes) {
				if seen[string(print[:fingerprintBytes])] {
					t.Fatal("a fingerprint that came twice was not found")
				}
				seen[string(print[:fingerprintBytes])] = true
			}
		}
	})
}
