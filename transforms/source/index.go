package source

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// FilesName is the object, in the dataset's folder, that lists the input files and the parts they became: the number-th
// list, from 1, of a revision. It is written once the parts are numbered, only if absent: _FILES.json, _FILES-000002.json
// when files were added, _FILES.r2.json when the prompts are made again.
func FilesName(revision, number int) string {
	name := filesPrefix
	if revision > 1 {
		name += fmt.Sprintf(".r%d", revision)
	}
	if number > 1 {
		name += fmt.Sprintf("-%06d", number)
	}
	return name + ".json"
}

const filesPrefix = "_FILES"

// Files returns what the input files of a revision of a dataset became, by its newest list, and that list's number; 0
// without one.
func Files(ctx context.Context, s dataset.Store, name string, revision int) (files []dataset.InputFile, number int, err error) {
	keys, err := s.List(ctx, name+"/"+filesPrefix)
	if err != nil {
		return nil, 0, err
	}
	for slices.Contains(keys, name+"/"+FilesName(revision, number+1)) {
		number++
	}
	if number == 0 {
		return nil, 0, nil
	}
	key := name + "/" + FilesName(revision, number)
	data, err := s.Read(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	if err := json.Unmarshal(data, &files); err != nil {
		return nil, 0, fmt.Errorf("%s is damaged: %w", key, err)
	}
	return files, number, nil
}

// indexFn reads each file once.
type indexFn struct {
	PartRows int
	Known    [][]dataset.InputFile // by file
}

// ProcessElement emits the file's index as JSON, under one key.
func (f *indexFn) ProcessElement(ctx context.Context, in file, emit func(int64, []byte)) error {
	var known []dataset.InputFile
	if int(in.Number) < len(f.Known) {
		known = f.Known[in.Number]
	}
	x, err := readIndex(ctx, int(in.Number), in.Path, known, f.PartRows)
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

// numberFn numbers the parts of all files and writes the list of files: what is known keeps its numbers, what is new
// follows in the order of the files.
type numberFn struct {
	Store, Output string
	Revision      int
	Known         [][]dataset.InputFile
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
	files, chunks, err := number(all, f.Known)
	if err != nil {
		return sink.Fault(err)
	}
	if err := writeFiles(ctx, f.Store, f.Output, f.Revision, files); err != nil {
		return sink.Fault(err)
	}
	for _, c := range chunks {
		emit(c)
	}
	return nil
}

// number lists the pieces of all files, known ones first, and their chunks with the numbers of their parts.
func number(all []index, known [][]dataset.InputFile) (files []dataset.InputFile, chunks []Chunk, err error) {
	next := 0
	take := func(x index, i, first int) {
		p := x.Pieces[i]
		p.FirstPart = first
		files = append(files, p.InputFile)
		for k, c := range p.Chunks {
			c.Part = int64(first + k)
			chunks = append(chunks, c)
		}
		next = max(next, first+p.Parts)
	}
	for k, x := range all {
		for i, p := range x.Pieces {
			if k >= len(known) || i >= len(known[k]) {
				break
			}
			was := known[k][i]
			if p.SHA256 != was.SHA256 || p.Parts != was.Parts {
				return nil, nil, fmt.Errorf("input file %s is not what it was when the run began: put it back and run the same command again", p.Path)
			}
			x.Pieces[i].Path = was.Path
			take(x, i, was.FirstPart)
		}
	}
	slices.SortStableFunc(files, func(a, b dataset.InputFile) int { return cmp.Or(a.FirstPart-b.FirstPart, a.Parts-b.Parts) })
	for k, x := range all {
		from := 0
		if k < len(known) {
			from = len(known[k])
		}
		for i := from; i < len(x.Pieces); i++ {
			take(x, i, next)
		}
	}
	if len(chunks) == 0 {
		return nil, nil, fmt.Errorf("no rows in the %d input files, the first of which is %s", len(all), all[0].Pieces[0].Path)
	}
	return files, chunks, nil
}

// writeFiles creates the next list of files, unless the newest says the same; the newest must be how it begins.
func writeFiles(ctx context.Context, url, name string, revision int, files []dataset.InputFile) error {
	store, err := dataset.OpenStore(ctx, url)
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(files, "", " ")
	if err != nil {
		return err
	}
	for {
		newest, number, err := Files(ctx, store, name, revision)
		if err != nil || slices.Equal(newest, files) {
			return err
		}
		for i, old := range newest {
			if i >= len(files) || files[i] != old {
				return fmt.Errorf("input file %s (%d bytes, SHA-256 %.12s…) is not what it was when dataset %s in %s was begun: "+
					"put it back, choose another --out, or make the dataset again with --redo-changed", old.Path, old.Bytes, old.SHA256, name, url)
			}
		}
		err = store.Create(ctx, name+"/"+FilesName(revision, number+1), append(data, '\n'))
		if !errors.Is(err, dataset.ErrExists) {
			return err
		}
	}
}
