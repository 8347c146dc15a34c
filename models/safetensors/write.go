package safetensors

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Named is a tensor to write.
type Named struct {
	// Name is the tensor's key.
	Name string
	// DType is the storage type: F32, BF16 or F16. Values are rounded to nearest even.
	DType string
	// Shape are the dimensions; their product is len(Data).
	Shape []int
	// Data are the values in row-major order.
	Data []float32
}

type headerEntry struct {
	DType   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// Write makes a safetensors file that appears whole or not at all. Tensors are stored in order of their names, so that
// equal input gives equal bytes.
func Write(path string, tensors []Named) error {
	tensors = slices.Clone(tensors)
	slices.SortFunc(tensors, func(a, b Named) int { return strings.Compare(a.Name, b.Name) })
	outlines := make([]Outline, len(tensors))
	for i, t := range tensors {
		outlines[i] = Outline{Name: t.Name, DType: t.DType, Shape: t.Shape}
	}
	return WriteEach(path, outlines, func(i int) ([]float32, error) { return tensors[i].Data, nil })
}

// WriteEach is Write of tensors in this order, whose values are asked for one after the other, so that one at a time is in
// memory. The file is written under a temporary name in the same folder, synced and renamed.
func WriteEach(path string, outline []Outline, values func(i int) ([]float32, error)) (err error) {
	header, err := encodeHeader(outline)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-"+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing %s: %w", path, errors.Join(err, f.Close(), os.Remove(f.Name())))
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	if _, err = w.Write(header); err != nil {
		return err
	}
	var buf []byte
	for i, t := range outline {
		data, err := values(i)
		if err == nil && len(data) != t.Len() {
			err = fmt.Errorf("shape %v wants %d values, got %d", t.Shape, t.Len(), len(data))
		}
		if err == nil {
			buf = slices.Grow(buf[:0], int(t.Bytes()))[:t.Bytes()]
			err = Encode(buf, t.DType, data)
		}
		if err != nil {
			return fmt.Errorf("tensor %s: %w", t.Name, err)
		}
		if _, err = w.Write(buf); err != nil {
			return err
		}
	}
	if err = w.Flush(); err != nil {
		return err
	}
	if err = f.Chmod(0o644); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// encodeHeader is the length prefix and the JSON header, padded with spaces to eight bytes.
func encodeHeader(tensors []Outline) ([]byte, error) {
	entries := map[string]any{"__metadata__": map[string]string{"format": "pt"}}
	var at int64
	for _, t := range tensors {
		if _, twice := entries[t.Name]; twice {
			return nil, fmt.Errorf("tensor name %q is used twice or reserved", t.Name)
		}
		if elementSize[t.DType] == 0 {
			return nil, fmt.Errorf("tensor %s: type %q is not known", t.Name, t.DType)
		}
		end := at + t.Bytes()
		entries[t.Name] = headerEntry{t.DType, append([]int{}, t.Shape...), [2]int64{at, end}} // never null
		at = end
	}
	raw, err := json.Marshal(entries)
	if err != nil {
		return nil, err
	}
	for len(raw)%8 != 0 {
		raw = append(raw, ' ')
	}
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(raw))), raw...), nil
}
