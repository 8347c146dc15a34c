package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// file lays out a header and data as a .safetensors file.
func file(header string, data []byte) []byte {
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...), data...)
}

func save(t *testing.T, dir, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// read opens a path and reads every tensor.
func read(t *testing.T, path string) map[string][]float32 {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := map[string][]float32{}
	for _, d := range f.Tensors() {
		x, err := f.Float32(d.Name)
		if err != nil {
			t.Fatal(err)
		}
		if len(x) != d.Len() {
			t.Errorf("%s has %d values, its shape %v says %d", d.Name, len(x), d.Shape, d.Len())
		}
		all[d.Name] = x
	}
	return all
}

var sample = []Named{
	{Name: "b.weight", DType: F32, Shape: []int{2, 3}, Data: []float32{1, -2, 3.5, 0, 1e-30, float32(math.Inf(1))}},
	{Name: "a.weight", DType: BF16, Shape: []int{2}, Data: []float32{1.5, -0.25}},
	{Name: "scalar", DType: F16, Data: []float32{2}},
	{Name: "empty", DType: F32, Shape: []int{0, 4}, Data: []float32{}},
}

func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.safetensors")
	if err := Write(path, sample); err != nil {
		t.Fatal(err)
	}
	want := map[string][]float32{}
	for _, n := range sample {
		want[n.Name] = n.Data
	}
	for _, from := range []string{path, dir} {
		if d := cmp.Diff(want, read(t, from)); d != "" {
			t.Errorf("%s: written (-) and read (+) differ:\n%s", filepath.Base(from), d)
		}
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	listed := []Tensor{
		{Name: "a.weight", DType: BF16, Shape: []int{2}},
		{Name: "b.weight", DType: F32, Shape: []int{2, 3}},
		{Name: "empty", DType: F32, Shape: []int{0, 4}},
		{Name: "scalar", DType: F16, Shape: []int{}},
	}
	if d := cmp.Diff(listed, f.Tensors(), cmpopts.IgnoreUnexported(Tensor{})); d != "" {
		t.Errorf("tensors (-want +got):\n%s", d)
	}
	if _, err := f.Float32("c"); err == nil || !strings.Contains(err.Error(), "no tensor c") {
		t.Errorf("reading a tensor that is not there: %v", err)
	}
}

// TestWriteLeavesOnlyTheFile also holds for a write that fails: the old file stays as it was.
func TestWriteLeavesOnlyTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.safetensors")
	if err := Write(path, sample); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, faulty := range map[string][]Named{
		"type I32 cannot be written": {{Name: "x", DType: I32, Shape: []int{1}, Data: []float32{1}}},
		"wants 4 values, got 1":      {{Name: "x", DType: F32, Shape: []int{4}, Data: []float32{1}}},
		"used twice":                 {{Name: "x", DType: F32, Data: []float32{1}}, {Name: "x", DType: F32, Data: []float32{1}}},
		"reserved":                   {{Name: "__metadata__", DType: F32, Data: []float32{1}}},
	} {
		err := Write(path, faulty)
		name = strings.Replace(name, "I32", `"I32"`, 1)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), path) {
			t.Errorf("want an error with %q and the path, got %v", name, err)
		}
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, after); d != "" {
		t.Error("a failed write changed the file")
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 {
		t.Errorf("the folder holds %v, want model.safetensors alone", left)
	}
}

// TestEqualInputGivesEqualBytes whatever the order of the tensors.
func TestEqualInputGivesEqualBytes(t *testing.T) {
	dir := t.TempDir()
	var files [2][]byte
	for i, tensors := range [][]Named{{sample[0], sample[1], sample[2]}, {sample[2], sample[0], sample[1]}} {
		path := filepath.Join(dir, "x.safetensors")
		if err := Write(path, tensors); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[i] = b
	}
	if d := cmp.Diff(files[0], files[1]); d != "" {
		t.Error("the order of the tensors changes the file")
	}
	if n := binary.LittleEndian.Uint64(files[0]); n%8 != 0 {
		t.Errorf("header of %d bytes, want a multiple of 8", n)
	}
}

// TestFileCutShort at every length: each is an error that names the file, none a panic or a short tensor.
func TestFileCutShort(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.safetensors")
	if err := Write(path, sample); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		cut := save(t, dir, "cut.safetensors", whole[:n])
		if _, err := Open(cut); err == nil || !strings.Contains(err.Error(), cut) {
			t.Fatalf("%d of %d bytes: error %v", n, len(whole), err)
		}
	}
	longer := save(t, dir, "longer.safetensors", append(whole, 0))
	if _, err := Open(longer); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a byte too many: error %v", err)
	}
}

func TestHeaderFaults(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ header, want string }{
		"no JSON":            {`{"a":`, "header"},
		"not an object":      {`[1]`, "header"},
		"unknown type":       {`{"a":{"dtype":"F3","shape":[2],"data_offsets":[0,8]}}`, `unknown type "F3"`},
		"no type":            {`{"a":{"shape":[2],"data_offsets":[0,8]}}`, `unknown type ""`},
		"negative dimension": {`{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}`, "not possible"},
		"overflow":           {`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, "not possible"},
		"wrong size":         {`{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`, "12 bytes"},
		"no offsets":         {`{"a":{"dtype":"F32","shape":[2]}}`, "data_offsets"},
		"three offsets":      {`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}`, "data_offsets"},
		"negative offset":    {`{"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}`, "data_offsets"},
		"outside the file":   {`{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`, "16 bytes of data, the file has 8"},
		"hole at the start":  {`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, "leave a hole"},
		"overlap":            {`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, "overlap"},
		"bytes left over":    {`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, "4 bytes of data, the file has 8"},
	} {
		t.Run(name, func(t *testing.T) {
			path := save(t, dir, "x.safetensors", file(c.header, make([]byte, 8)))
			_, err := Open(path)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("want an error with %q and the path, got %v", c.want, err)
			}
		})
	}
	if _, err := Open(save(t, dir, "x", append(binary.LittleEndian.AppendUint64(nil, math.MaxUint64), '{', '}'))); err == nil {
		t.Error("a header of 2^64-1 bytes was taken")
	}
}

func TestShards(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, tensors ...Named) {
		t.Helper()
		if err := Write(filepath.Join(dir, name), tensors); err != nil {
			t.Fatal(err)
		}
	}
	index := func(m map[string]string) {
		t.Helper()
		b, err := json.Marshal(map[string]any{"metadata": map[string]int{"total_size": 1}, "weight_map": m})
		if err != nil {
			t.Fatal(err)
		}
		save(t, dir, "model.safetensors.index.json", b)
	}
	fails := func(want string) {
		t.Helper()
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
	fails("neither model.safetensors nor")
	write("one.safetensors", Named{Name: "a", DType: F32, Shape: []int{1}, Data: []float32{1}})
	write("two.safetensors", Named{Name: "b", DType: BF16, Shape: []int{2}, Data: []float32{2, 3}})
	index(map[string]string{"a": "one.safetensors", "b": "two.safetensors"})
	if d := cmp.Diff(map[string][]float32{"a": {1}, "b": {2, 3}}, read(t, dir)); d != "" {
		t.Errorf("tensors of two shards (-want +got):\n%s", d)
	}
	index(map[string]string{"a": "one.safetensors", "b": "three.safetensors"})
	fails("three.safetensors")
	index(map[string]string{"a": "../one.safetensors"})
	fails("not a file name")
	index(nil)
	fails("weight_map is empty")
	write("two.safetensors", Named{Name: "a", DType: F32, Data: []float32{1}})
	index(map[string]string{"a": "one.safetensors", "b": "two.safetensors"})
	fails("tensor a is in two shards")
	save(t, dir, "model.safetensors.index.json", []byte("{"))
	fails("model.safetensors.index.json")
}

func TestIntegersAreNotWeights(t *testing.T) {
	path := save(t, t.TempDir(), "x.safetensors", file(`{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}`, make([]byte, 8)))
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Float32("a"); err == nil || !strings.Contains(err.Error(), "I64") {
		t.Errorf("reading I64 as float32: %v", err)
	}
}

func TestFloat64IsRounded(t *testing.T) {
	data := binary.LittleEndian.AppendUint64(nil, math.Float64bits(math.Pi))
	path := save(t, t.TempDir(), "x.safetensors", file(`{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}`, data))
	if got := read(t, path)["a"][0]; got != float32(math.Pi) {
		t.Errorf("read %g", got)
	}
}

// TestRounding compares both narrow types with the nearest of all 65,536 values, ties to the even one.
func TestRounding(t *testing.T) {
	for name, c := range map[string]struct {
		narrow func(float32) uint16
		widen  func(uint16) float32
		limit  float32 // the first value that becomes infinite
	}{
		"bfloat16": {float32ToBFloat16, func(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }, math.Float32frombits(0x7f7f8000)},
		"float16":  {float32ToHalf, halfToFloat32, 65520},
	} {
		t.Run(name, func(t *testing.T) {
			for h := range 1 << 16 { // every narrow value comes back
				v := c.widen(uint16(h))
				if got := c.narrow(v); v == v && got != uint16(h) || v != v && c.widen(got) == c.widen(got) {
					t.Fatalf("%#04x is %g, which becomes %#04x", h, v, got)
				}
			}
			rapid.Check(t, func(t *rapid.T) {
				v := math.Float32frombits(rapid.Uint32().Draw(t, "bits") & 0x7fffffff)
				if v != v {
					return
				}
				h := c.narrow(v)
				if v >= c.limit {
					if !math.IsInf(float64(c.widen(h)), 1) {
						t.Fatalf("%g became %g, want infinity", v, c.widen(h))
					}
					return
				}
				if minus := c.narrow(-v); minus != h|0x8000 {
					t.Fatalf("%g becomes %#04x, its negative %#04x", v, h, minus)
				}
				off := math.Abs(float64(c.widen(h)) - float64(v))
				for _, n := range []uint16{h - 1, h + 1} {
					if n>>15 != 0 || math.IsInf(float64(c.widen(n)), 0) {
						continue
					}
					other := math.Abs(float64(c.widen(n)) - float64(v))
					if other < off || other == off && h&1 == 1 {
						t.Fatalf("%g becomes %#04x, %#04x is nearer or even", v, h, n)
					}
				}
			})
		})
	}
}

func BenchmarkRead(b *testing.B) {
	path := filepath.Join(b.TempDir(), "x.safetensors")
	x := make([]float32, 1<<20)
	if err := Write(path, []Named{{Name: "x", DType: BF16, Shape: []int{1 << 10, 1 << 10}, Data: x}}); err != nil {
		b.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	b.SetBytes(2 << 20)
	for b.Loop() {
		if _, err := f.Float32("x"); err != nil {
			b.Fatal(err)
		}
	}
}

// TestConvert compares the conversions of whole slices, which may run as vector instructions, with single elements, for
// every bfloat16 and for float32 around all places where rounding turns.
func TestConvert(t *testing.T) {
	var x []float32
	for u := range uint32(1 << 16) {
		for _, low := range []uint32{0, 1, 0x7fff, 0x8000, 0x8001, 0xffff} {
			x = append(x, math.Float32frombits(u<<16|low))
		}
	}
	whole := make([]byte, 2*len(x))
	if err := Encode(whole, BF16, x); err != nil {
		t.Fatal(err)
	}
	back := make([]float32, len(x))
	if err := Decode(back, BF16, whole); err != nil {
		t.Fatal(err)
	}
	for i, v := range x {
		want := float32ToBFloat16(v)
		if got := binary.LittleEndian.Uint16(whole[2*i:]); got != want {
			t.Fatalf("%x becomes %x, want %x", math.Float32bits(v), got, want)
		}
		if math.Float32bits(back[i]) != uint32(want)<<16 {
			t.Fatalf("%x is read as %x", want, math.Float32bits(back[i]))
		}
	}
	for _, c := range []struct {
		dtype string
		want  []byte
	}{{F32, []byte{0, 0, 0xc0, 0x3f}}, {F16, []byte{0, 0x3e}}, {BF16, []byte{0xc0, 0x3f}}} {
		b, v := make([]byte, ElementSize(c.dtype)), make([]float32, 1)
		if err := Encode(b, c.dtype, []float32{1.5}); err != nil || string(b) != string(c.want) {
			t.Errorf("%s: 1.5 is %x, %v, want %x", c.dtype, b, err, c.want)
		}
		if err := Decode(v, c.dtype, b); err != nil || v[0] != 1.5 {
			t.Errorf("%s: %x is %v, %v", c.dtype, b, v[0], err)
		}
		if Encode(b[1:], c.dtype, v) == nil || Decode(v, c.dtype, b[1:]) == nil {
			t.Errorf("%s: too little room is no error", c.dtype)
		}
	}
	if Encode(nil, "F8_E4M3", nil) == nil || Decode(nil, "I32", nil) == nil || Float("I64") || !Float(F64) {
		t.Error("types that cannot be converted are converted")
	}
}

// TestWriter writes tensors out of order, in pieces, into shards that appear with their index only at Commit.
func TestWriter(t *testing.T) {
	tensors := []Outline{{"b", F32, []int{3}}, {"a", BF16, []int{2, 2}}, {"big", F32, []int{10}}, {"none", F32, []int{0}}, {"i", "I64", []int{1}}}
	shards := Split(tensors, 20)
	if d := cmp.Diff([][]Outline{{tensors[0], tensors[1]}, {tensors[2]}, {tensors[3], tensors[4]}}, shards); d != "" {
		t.Fatal(d)
	}
	dir := t.TempDir()
	w, err := Create(dir, shards)
	if err != nil {
		t.Fatal(err)
	}
	fill := func(w *Writer) {
		for _, x := range tensors {
			for at := x.Bytes() - 1; at >= 0; at-- {
				if err := w.WriteAt(x.Name, []byte{byte(at)}, at); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	fill(w)
	if w.WriteAt("b", make([]byte, 5), 8) == nil || w.WriteAt("c", nil, 0) == nil || w.WriteAt("b", nil, -1) == nil {
		t.Error("writing outside of a tensor is no error")
	}
	if _, err := Open(dir); err == nil {
		t.Error("the weights load before Commit")
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if len(f.Tensors()) != len(tensors) {
		t.Errorf("%d tensors", len(f.Tensors()))
	}
	for _, x := range tensors {
		d, ok := f.Lookup(x.Name)
		raw := make([]byte, x.Bytes())
		if err := d.ReadAt(raw, 0); err != nil || !ok || d.Bytes() != x.Bytes() || d.DType != x.DType {
			t.Fatalf("%s: %v %v", x.Name, d, err)
		}
		for i, b := range raw {
			if int(b) != i {
				t.Errorf("%s: byte %d is %d", x.Name, i, b)
			}
		}
		if d.ReadAt(make([]byte, 2), x.Bytes()-1) == nil {
			t.Errorf("%s: reading beyond its end is no error", x.Name)
		}
	}
	single := t.TempDir()
	if w, err = Create(single, Split(tensors, 1<<20)); err != nil {
		t.Fatal(err)
	}
	fill(w)
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(single); err != nil || len(left) > 0 {
		t.Errorf("Abort leaves %v, %v", left, err)
	}
	if _, err := Create(single, [][]Outline{{tensors[0]}, {tensors[0]}}); err == nil {
		t.Error("a tensor in two shards is no error")
	}
	if _, err := Create(single, [][]Outline{{{"x", "F3", []int{1}}}}); err == nil {
		t.Error("an unknown type is no error")
	}
}
