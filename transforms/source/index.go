package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/transforms/sink"
)

func init() {
	register.DoFn3x1[context.Context, file, func(int64, []byte), error](&indexFn{})
	register.DoFn4x1[context.Context, int64, func(*[]byte) bool, func(Chunk), error](&numberFn{})
	register.Emitter1[Chunk]()
	register.Emitter2[int64, []byte]()
	register.Iter1[[]byte]()
}

// file is one input file.
type file struct {
	Number int64
	Path   string
}

// FilesName is the object, in the dataset's folder, that lists the input files and the parts they became. It is
// written once the parts are numbered, only if absent.
const FilesName = "_FILES.json"

// Files returns what the input files of a dataset became.
func Files(ctx context.Context, s dataset.Store, name string) ([]dataset.InputFile, error) {
	data, err := s.Read(ctx, name+"/"+FilesName)
	if err != nil {
		return nil, err
	}
	var files []dataset.InputFile
	if err := json.Unmarshal(data, &files); err != nil {
		return nil, fmt.Errorf("%s/%s is damaged: %w", name, FilesName, err)
	}
	return files, nil
}

// indexFn reads each file once.
type indexFn struct {
	PartRows int
}

// ProcessElement emits the file's index as JSON, under one key.
func (f *indexFn) ProcessElement(ctx context.Context, in file, emit func(int64, []byte)) error {
	x, err := readIndex(ctx, int(in.Number), in.Path, f.PartRows)
	if err != nil {
		return sink.Fault(err)
	}
	data, err := json.Marshal(x)
	if err != nil {
		return sink.Fault(err)
	}
	emit(0, data)
	return nil
}

// numberFn numbers the parts of all files in their order and writes _FILES.json.
type numberFn struct {
	Store, Output string
}

// ProcessElement emits the chunks with their numbers.
func (f *numberFn) ProcessElement(ctx context.Context, _ int64, indexes func(*[]byte) bool, emit func(Chunk)) error {
	var all []index
	var data []byte
	for indexes(&data) {
		var x index
		if err := json.Unmarshal(data, &x); err != nil {
			return sink.Fault(err)
		}
		all = append(all, x)
	}
	slices.SortFunc(all, func(a, b index) int { return a.File - b.File })
	files := make([]dataset.InputFile, len(all))
	var chunks []Chunk
	for i, x := range all {
		files[i] = dataset.InputFile{Path: x.Path, Bytes: x.Bytes, SHA256: x.SHA256, FirstPart: len(chunks), Parts: len(x.Chunks)}
		for _, c := range x.Chunks {
			c.Part = int64(len(chunks))
			chunks = append(chunks, c)
		}
	}
	if len(chunks) == 0 {
		return sink.Fault(fmt.Errorf("no rows in the %d input files, the first of which is %s", len(all), all[0].Path))
	}
	if err := writeFiles(ctx, f.Store, f.Output, files); err != nil {
		return sink.Fault(err)
	}
	for _, c := range chunks {
		emit(c)
	}
	return nil
}

// writeFiles creates _FILES.json; an older one must say the same.
func writeFiles(ctx context.Context, url, name string, files []dataset.InputFile) error {
	store, err := dataset.OpenStore(ctx, url)
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(files, "", " ")
	if err != nil {
		return err
	}
	err = store.Create(ctx, name+"/"+FilesName, append(data, '\n'))
	if !errors.Is(err, dataset.ErrExists) {
		return err
	}
	old, err := Files(ctx, store, name)
	if err != nil {
		return err
	}
	return sameFiles(url, name, old, files)
}

// sameFiles names the first input file that is not what it was when the dataset was begun.
func sameFiles(url, name string, old, files []dataset.InputFile) error {
	if reflect.DeepEqual(old, files) {
		return nil
	}
	for i := range min(len(old), len(files)) {
		if old[i] != files[i] {
			return fmt.Errorf("input file %s is not what it was (%s, digest %.12s…) when dataset %s in %s was begun: "+
				"put it back, choose another --out, or remove the folder %s to ingest again", files[i].Path, old[i].Path, old[i].SHA256, name, url, name)
		}
	}
	return fmt.Errorf("dataset %s in %s was begun with %d input files, this run has %d: put the configuration back, choose another --out, or remove the folder %s to ingest again",
		name, url, len(old), len(files), name)
}
