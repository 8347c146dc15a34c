package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Names of a model directory's weights.
const (
	SingleFile = "model.safetensors"
	IndexFile  = "model.safetensors.index.json"
)

// Outline is what a file's header says of a tensor: everything but the values.
type Outline struct {
	// Name is the tensor's key.
	Name string
	// DType is the storage type; any that a file can hold.
	DType string
	// Shape are the dimensions, outermost first.
	Shape []int
}

// Len is the number of elements.
func (o Outline) Len() int { return Tensor{Shape: o.Shape}.Len() }

// Bytes is the size of the tensor's data.
func (o Outline) Bytes() int64 { return int64(o.Len()) * elementSize[o.DType] }

// Split cuts tensors, in their order, into shards of at most limit bytes of data; a larger tensor has a shard of its own.
func Split(tensors []Outline, limit int64) [][]Outline {
	var shards [][]Outline
	var size int64
	for _, t := range tensors {
		if len(shards) == 0 || (size+t.Bytes() > limit && len(shards[len(shards)-1]) > 0) {
			shards, size = append(shards, nil), 0
		}
		shards[len(shards)-1] = append(shards[len(shards)-1], t)
		size += t.Bytes()
	}
	return shards
}

// Writer fills the weights of a model directory, piece by piece and in any order. The files have temporary names until
// Commit, so that a directory that was left in the middle has no weights that load.
type Writer struct {
	dir    string
	names  []string // final names
	files  []*os.File
	places map[string]place
	total  int64
}

// place is where a tensor's data lie.
type place struct {
	shard      int
	start, end int64
}

// Create makes the files of a model directory: one for a single shard, else numbered ones. All sizes are known, so the
// headers are written and the files have their full length at once. dir exists; a file that is left from before under
// one of the temporary names is overwritten.
func Create(dir string, shards [][]Outline) (w *Writer, err error) {
	w = &Writer{dir: dir, places: map[string]place{}}
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing weights to %s: %w", dir, errors.Join(err, w.Abort()))
			w = nil
		}
	}()
	for i, tensors := range shards {
		name := SingleFile
		if len(shards) > 1 {
			name = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		}
		header, err := encodeHeader(tensors)
		if err != nil {
			return w, err
		}
		f, err := os.OpenFile(filepath.Join(dir, temporary(name)), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
		if err != nil {
			return w, err
		}
		w.files, w.names = append(w.files, f), append(w.names, name)
		at := int64(len(header))
		for _, t := range tensors {
			if _, twice := w.places[t.Name]; twice {
				return w, fmt.Errorf("tensor %s is in two shards", t.Name)
			}
			w.places[t.Name] = place{i, at, at + t.Bytes()}
			at += t.Bytes()
			w.total += t.Bytes()
		}
		if _, err := f.WriteAt(header, 0); err != nil {
			return w, err
		}
		if err := f.Truncate(at); err != nil {
			return w, err
		}
	}
	return w, nil
}

// temporary is a file's name until it is whole.
func temporary(name string) string { return "." + name + ".partial" }

// WriteAt writes bytes of a tensor's data, at an offset within it; for any number of goroutines at a time.
func (w *Writer) WriteAt(name string, b []byte, offset int64) error {
	p, ok := w.places[name]
	if !ok || offset < 0 || p.start+offset+int64(len(b)) > p.end {
		return fmt.Errorf("writing weights to %s: tensor %s has no bytes %d to %d", w.dir, name, offset, offset+int64(len(b)))
	}
	if _, err := w.files[p.shard].WriteAt(b, p.start+offset); err != nil {
		return fmt.Errorf("writing tensor %s to %s: %w", name, w.dir, err)
	}
	return nil
}

// Commit syncs the files, gives them their names and, if there is more than one, writes the index. Last it removes what
// would be read instead: a single file beside shards, an index beside a single file, from before.
func (w *Writer) Commit() error {
	files := w.files
	w.files = nil
	var err error
	for _, f := range files {
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("writing weights to %s: %w", w.dir, err)
	}
	for _, name := range w.names {
		if err := os.Rename(filepath.Join(w.dir, temporary(name)), filepath.Join(w.dir, name)); err != nil {
			return fmt.Errorf("writing weights: %w", err)
		}
	}
	if len(w.names) == 1 {
		return w.forget(IndexFile)
	}
	weightMap := map[string]string{}
	for name, p := range w.places {
		weightMap[name] = w.names[p.shard]
	}
	index, err := json.MarshalIndent(map[string]any{"metadata": map[string]int64{"total_size": w.total}, "weight_map": weightMap}, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", IndexFile, err)
	}
	at := filepath.Join(w.dir, IndexFile)
	if err := os.WriteFile(filepath.Join(w.dir, temporary(IndexFile)), append(index, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", at, err)
	}
	if err := os.Rename(filepath.Join(w.dir, temporary(IndexFile)), at); err != nil {
		return fmt.Errorf("writing %s: %w", at, err)
	}
	return w.forget(SingleFile)
}

// forget removes a file, if it is there.
func (w *Writer) forget(name string) error {
	if err := os.Remove(filepath.Join(w.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("writing weights: %w", err)
	}
	return nil
}

// Abort closes the files and removes them; after Commit it does nothing.
func (w *Writer) Abort() error {
	var err error
	for i, f := range w.files {
		err = errors.Join(err, f.Close(), os.Remove(filepath.Join(w.dir, temporary(w.names[i]))))
	}
	w.files = nil
	return err
}
