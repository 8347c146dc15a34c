package source

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/profuser/profuser/internal/dataset"
)

// Chunk is the rows of one file that become one part.
type Chunk struct {
	// Part is the part's number.
	Part int64
	// Path is the file.
	Path string
	// Parquet says that the file is one; else it has JSON lines.
	Parquet bool
	// Offset and End are the bytes of the chunk's lines in the file, or its rows from 0 in a Parquet file.
	Offset, End int64
	// Line is the number of the first line, or row, from 1.
	Line int64
}

// index is what one reading of a file found: its pieces, those that became parts before and the rest.
type index struct {
	File   int
	Pieces []piece
}

// piece is a stretch of a file: all of it, or what was there at one time.
type piece struct {
	dataset.InputFile
	Chunks []Chunk
}

// openInput opens a file for reading pieces of it. A file in a bucket is read whole.
func openInput(ctx context.Context, file string) (r io.ReaderAt, size int64, done func() error, err error) {
	if strings.Contains(file, "://") {
		dir, name := path.Split(file)
		store, err := dataset.OpenStore(ctx, strings.TrimSuffix(dir, "/"))
		if err != nil {
			return nil, 0, nil, err
		}
		data, err := store.Read(ctx, name)
		return bytes.NewReader(data), int64(len(data)), func() error { return nil }, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, 0, nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a folder, want a file", file)
	}
	if err != nil {
		return nil, 0, nil, errors.Join(err, f.Close())
	}
	return f, info.Size(), f.Close, nil
}

// CheckInput says what is wrong with an input file before any work starts: it is missing, empty, a folder or of another
// kind. Files in buckets are left to the job.
func CheckInput(ctx context.Context, file string) error {
	if strings.Contains(file, "://") {
		return nil
	}
	r, size, done, err := openInput(ctx, file)
	if err != nil {
		return fmt.Errorf("input file: %w", err)
	}
	rows := size
	if isParquet(r) {
		rows, err = dataset.AnyCount(r, size)
	}
	switch {
	case err != nil:
		err = fmt.Errorf("input file %s: %w", file, err)
	case rows == 0:
		err = fmt.Errorf("input file %s is empty, want JSON lines or Parquet", file)
	}
	return errors.Join(err, done())
}

// isParquet says whether a file begins as Parquet files do.
func isParquet(r io.ReaderAt) bool {
	magic := make([]byte, 4)
	_, err := r.ReadAt(magic, 0)
	return err == nil && string(magic) == "PAR1"
}

// readIndex reads a whole file once: the digest of each piece, and where each run of partRows rows begins. The pieces that
// are known come first; what follows is the last. Blank lines are no rows.
func readIndex(ctx context.Context, number int, file string, known []dataset.InputFile, partRows int) (index, error) {
	x := index{File: number}
	r, size, done, err := openInput(ctx, file)
	if err != nil {
		return x, fmt.Errorf("input file: %w", err)
	}
	var cuts []dataset.InputFile
	if isParquet(r) {
		cuts, err = x.parquet(ctx, r, size, file, known, int64(partRows))
	} else {
		cuts, err = x.lines(ctx, r, size, file, known, partRows)
	}
	if err = errors.Join(err, done()); err != nil {
		return x, fmt.Errorf("input file %s: %w", file, err)
	}
	for len(x.Pieces) < len(cuts) {
		x.Pieces = append(x.Pieces, piece{})
	}
	for i, c := range cuts {
		c.Path, c.Parts = file, len(x.Pieces[i].Chunks)
		x.Pieces[i].InputFile = c
	}
	return x, nil
}

// parquet cuts a Parquet file, which is one piece, into chunks.
func (x *index) parquet(ctx context.Context, r io.ReaderAt, size int64, file string, known []dataset.InputFile, partRows int64) ([]dataset.InputFile, error) {
	cuts, err := eachPiece(ctx, r, size, known, nil)
	if err == nil && len(cuts) != 1 {
		err = errors.New("it is not what it was, and a Parquet file cannot grow")
	}
	if err != nil {
		return cuts, err
	}
	rows, err := dataset.AnyCount(r, size)
	var p piece
	for from := int64(0); from < rows; from += partRows {
		p.Chunks = append(p.Chunks, Chunk{Path: file, Parquet: true, Offset: from, End: min(from+partRows, rows), Line: from + 1})
	}
	x.Pieces = append(x.Pieces, p)
	return cuts, err
}

// lines cuts a file of JSON lines into chunks, by piece.
func (x *index) lines(ctx context.Context, r io.ReaderAt, size int64, file string, known []dataset.InputFile, partRows int) ([]dataset.InputFile, error) {
	rows, line := 0, int64(0)
	return eachPiece(ctx, r, size, known, func(i int, text []byte, offset int64) {
		line++
		for len(x.Pieces) <= i {
			x.Pieces = append(x.Pieces, piece{})
			rows = 0
		}
		if len(bytes.TrimSpace(text)) == 0 {
			return
		}
		chunks := &x.Pieces[i].Chunks
		if rows%partRows == 0 {
			*chunks = append(*chunks, Chunk{Path: file, Offset: offset, Line: line})
		}
		rows++
		(*chunks)[len(*chunks)-1].End = offset + int64(len(text))
	})
}

// lines calls f for each row of a chunk, as a line of JSON, with its number.
func (c Chunk) lines(ctx context.Context, f func(line []byte, number int64) error) error {
	r, size, done, err := openInput(ctx, c.Path)
	if err != nil {
		return fmt.Errorf("input file: %w", err)
	}
	if c.Parquet {
		number := c.Line - 1
		err = dataset.EachAnyRow(r, size, c.Offset, c.End-c.Offset, func(row any) error {
			number++
			line, err := json.Marshal(row)
			if err != nil {
				return fmt.Errorf("row %d is no JSON: %w", number, err) // such as NaN
			}
			return errors.Join(f(line, number), ctx.Err())
		})
	} else {
		err = eachLine(ctx, io.NewSectionReader(r, c.Offset, c.End-c.Offset), func(line []byte, _, number int64) error {
			if len(bytes.TrimSpace(line)) == 0 {
				return nil
			}
			return f(line, c.Line+number-1)
		})
	}
	if err = errors.Join(err, done()); err != nil {
		return fmt.Errorf("input file %s: %w", c.Path, err)
	}
	return nil
}

// eachLine calls f for each line, line end included, with its offset and its number from 1. The line is f's until it
// returns. A byte order mark at the start of the first line is left out by trimming it as white space does.
func eachLine(ctx context.Context, r io.Reader, f func(line []byte, offset, number int64) error) error {
	const window = 1 << 20
	buffered := bufio.NewReaderSize(r, window)
	var long []byte
	var offset, number int64
	for ctx.Err() == nil {
		piece, err := buffered.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			long = append(long, piece...)
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		line := piece
		if len(long) > 0 {
			long = append(long, piece...)
			line = long
		}
		if len(line) > 0 {
			number++
			if err := f(line, offset, number); err != nil {
				return err
			}
			offset += int64(len(line))
		}
		if err != nil {
			return nil
		}
		long = long[:0]
	}
	return context.Cause(ctx)
}
