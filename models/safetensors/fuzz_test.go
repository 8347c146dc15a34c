package safetensors

import (
	"slices"
	"testing"
)

// FuzzParseHeader: whatever the header, the result is an error or tensors that tile the data exactly.
func FuzzParseHeader(f *testing.F) {
	for _, s := range []struct {
		header string
		data   int64
	}{
		{`{}`, 0},
		{`{"__metadata__":{"format":"pt"}}   `, 0},
		{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8},
		{`{"a":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]},"b":{"dtype":"F16","shape":[],"data_offsets":[8,10]}}`, 10},
		{`{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1},
		{`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, 0},
		{`{"a":{"dtype":"F32","shape":[2305843009213693951],"data_offsets":[4,-9223372036854775808]}}`, 8},
		{`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8},
		{`{"a":null}`, 0},
		{`null`, 0},
	} {
		f.Add([]byte(s.header), s.data)
	}
	f.Fuzz(func(t *testing.T, raw []byte, data int64) {
		ts, err := ParseHeader(raw, data)
		if err != nil {
			return
		}
		var at int64
		for _, d := range ts {
			if d.start != at || d.end < d.start {
				t.Fatalf("%s lies at [%d, %d), want it at %d", d.Name, d.start, d.end, at)
			}
			if slices.Min(append(d.Shape, 0)) < 0 || d.end-d.start != int64(d.Len())*elementSize[d.DType] {
				t.Fatalf("%s of %s %v has %d bytes", d.Name, d.DType, d.Shape, d.end-d.start)
			}
			at = d.end
		}
		if at != data {
			t.Fatalf("tensors cover %d of %d bytes", at, data)
		}
	})
}
