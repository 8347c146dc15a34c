package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// maxHeader bounds the JSON header, as the reference implementation does.
const maxHeader = 100 << 20

// Tensor describes one tensor of a File.
type Tensor struct {
	// Name is the tensor's key.
	Name string
	// DType is the storage type, such as F32 or BF16.
	DType string
	// Shape are the dimensions, outermost first; empty for a scalar.
	Shape []int

	file       *os.File
	start, end int64
}

// Len is the number of elements.
func (t Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// File is an open set of tensors: one file, or all shards of a model directory.
type File struct {
	path    string
	files   []*os.File
	tensors map[string]Tensor
}

// Open opens a .safetensors file, or a directory that holds model.safetensors or model.safetensors.index.json with its
// shards. It reads headers only and checks all sizes; a file cut short is an error that names it and both sizes.
func Open(path string) (*File, error) {
	shards, err := shardPaths(path)
	if err != nil {
		return nil, err
	}
	f := &File{path: path, tensors: map[string]Tensor{}}
	for _, s := range shards {
		if err := f.add(s); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

// shardPaths lists the files behind a path.
func shardPaths(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("opening weights: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	single := filepath.Join(path, "model.safetensors")
	if _, err := os.Stat(single); err == nil {
		return []string{single}, nil
	}
	index := filepath.Join(path, "model.safetensors.index.json")
	b, err := os.ReadFile(index)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening weights: %s has neither model.safetensors nor model.safetensors.index.json", path)
	} else if err != nil {
		return nil, fmt.Errorf("opening weights: %w", err)
	}
	var x struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(b, &x); err != nil {
		return nil, fmt.Errorf("reading %s: %w", index, err)
	}
	seen := map[string]bool{}
	for name, s := range x.WeightMap {
		if s != filepath.Base(s) {
			return nil, fmt.Errorf("reading %s: tensor %s is in %q, which is not a file name", index, name, s)
		}
		seen[filepath.Join(path, s)] = true
	}
	if len(seen) == 0 {
		return nil, fmt.Errorf("reading %s: weight_map is empty", index)
	}
	shards := make([]string, 0, len(seen))
	for s := range seen {
		shards = append(shards, s)
	}
	sort.Strings(shards)
	return shards, nil
}

// add opens one file and takes its tensors in.
func (f *File) add(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening weights: %w", err)
	}
	f.files = append(f.files, file)
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("opening weights %s: %w", path, err)
	}
	size := info.Size()
	var head [8]byte
	if _, err := file.ReadAt(head[:], 0); err != nil {
		return fmt.Errorf("reading %s: %d bytes are too few for a safetensors file", path, size)
	}
	n := binary.LittleEndian.Uint64(head[:])
	if n > maxHeader || int64(n) > size-8 {
		return fmt.Errorf("reading %s: header of %d bytes in a file of %d: cut short, or not a safetensors file", path, n, size)
	}
	raw := make([]byte, n)
	if _, err := file.ReadAt(raw, 8); err != nil {
		return fmt.Errorf("reading the header of %s: %w", path, err)
	}
	ts, err := ParseHeader(raw, size-8-int64(n))
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	for _, t := range ts {
		if _, twice := f.tensors[t.Name]; twice {
			return fmt.Errorf("reading %s: tensor %s is in two shards", path, t.Name)
		}
		t.file = file
		t.start += 8 + int64(n)
		t.end += 8 + int64(n)
		f.tensors[t.Name] = t
	}
	return nil
}

// ParseHeader reads a JSON header and checks it against the number of data bytes that follow it. The tensors come back
// in the order of their data; together they must cover it exactly.
func ParseHeader(raw []byte, dataBytes int64) ([]Tensor, error) {
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(raw, &entries); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	ts := make([]Tensor, 0, len(entries))
	for name, e := range entries {
		if name == "__metadata__" {
			continue
		}
		var x struct {
			DType   string  `json:"dtype"`
			Shape   []int   `json:"shape"`
			Offsets []int64 `json:"data_offsets"`
		}
		if err := json.Unmarshal(e, &x); err != nil {
			return nil, fmt.Errorf("header of tensor %q: %w", name, err)
		}
		size, known := elementSize[x.DType]
		if !known {
			return nil, fmt.Errorf("tensor %q: unknown type %q", name, x.DType)
		}
		for _, d := range x.Shape {
			if d < 0 || (d > 0 && size > math.MaxInt64/int64(d)) {
				return nil, fmt.Errorf("tensor %q: shape %v is not possible", name, x.Shape)
			}
			size *= int64(d)
		}
		if len(x.Offsets) != 2 || x.Offsets[0] < 0 || x.Offsets[1]-x.Offsets[0] != size {
			return nil, fmt.Errorf("tensor %q: data_offsets %v do not hold %s %v (%d bytes)", name, x.Offsets, x.DType, x.Shape, size)
		}
		ts = append(ts, Tensor{Name: name, DType: x.DType, Shape: x.Shape, start: x.Offsets[0], end: x.Offsets[1]})
	}
	slices.SortFunc(ts, func(a, b Tensor) int {
		if a.start != b.start {
			return int(min(1, max(-1, a.start-b.start)))
		}
		if a.end != b.end {
			return int(min(1, max(-1, a.end-b.end)))
		}
		return strings.Compare(a.Name, b.Name)
	})
	var at int64
	for _, t := range ts {
		if t.start != at {
			return nil, fmt.Errorf("tensor %q starts at byte %d of the data, %d is next: tensors overlap or leave a hole", t.Name, t.start, at)
		}
		at = t.end
	}
	if at != dataBytes {
		return nil, fmt.Errorf("the header describes %d bytes of data, the file has %d: cut short or damaged", at, dataBytes)
	}
	return ts, nil
}

// Tensors lists the tensors by name.
func (f *File) Tensors() []Tensor {
	out := make([]Tensor, 0, len(f.tensors))
	for _, t := range f.tensors {
		out = append(out, t)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// Lookup finds a tensor's description.
func (f *File) Lookup(name string) (Tensor, bool) {
	t, ok := f.tensors[name]
	return t, ok
}

// Float32 reads one tensor's values in row-major order.
func (f *File) Float32(name string) ([]float32, error) {
	t, ok := f.tensors[name]
	if !ok {
		return nil, fmt.Errorf("reading %s: no tensor %s", f.path, name)
	}
	raw := make([]byte, t.end-t.start)
	if err := t.ReadAt(raw, 0); err != nil {
		return nil, err
	}
	x := make([]float32, t.Len())
	if err := Decode(x, t.DType, raw); err != nil {
		return nil, fmt.Errorf("reading tensor %s of %s: %w", name, t.file.Name(), err)
	}
	return x, nil
}

// Path is the file that holds the tensor.
func (t Tensor) Path() string { return t.file.Name() }

// Bytes is the size of the tensor's data.
func (t Tensor) Bytes() int64 { return t.end - t.start }

// ReadAt reads bytes of the tensor's data, from an offset within it, for any number of goroutines at a time. Fewer bytes
// than asked for are an error.
func (t Tensor) ReadAt(b []byte, offset int64) error {
	if offset < 0 || offset+int64(len(b)) > t.Bytes() {
		return fmt.Errorf("reading tensor %s of %s: bytes %d to %d are outside its %d", t.Name, t.file.Name(), offset, offset+int64(len(b)), t.Bytes())
	}
	if _, err := t.file.ReadAt(b, t.start+offset); err != nil {
		return fmt.Errorf("reading tensor %s of %s: %w", t.Name, t.file.Name(), err)
	}
	return nil
}

// Close closes the files.
func (f *File) Close() error {
	var err error
	for _, file := range f.files {
		err = errors.Join(err, file.Close())
	}
	return err
}
