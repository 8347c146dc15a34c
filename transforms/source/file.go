package source

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
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

// index is what one reading of a file found.
type index struct {
	File   int
	Path   string
	Bytes  int64
	SHA256 string
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

// readIndex reads a whole file once: its digest, and where each run of partRows rows begins. Blank lines are no rows.
func readIndex(ctx context.Context, number int, file string, partRows int) (index, error) {
	x := index{File: number, Path: file}
	r, size, done, err := openInput(ctx, file)
	if err != nil {
		return x, fmt.Errorf("input file: %w", err)
	}
	hash := sha256.New()
	x.Bytes = size
	if isParquet(r) {
		err = x.parquet(r, hash, int64(partRows))
	} else {
		err = x.lines(ctx, r, hash, partRows)
	}
	x.SHA256 = hex.EncodeToString(hash.Sum(nil))
	if err = errors.Join(err, done()); err != nil {
		return x, fmt.Errorf("input file %s: %w", file, err)
	}
	return x, nil
}

// parquet cuts a Parquet file into chunks.
func (x *index) parquet(r io.ReaderAt, hash io.Writer, partRows int64) error {
	if _, err := io.Copy(hash, io.NewSectionReader(r, 0, x.Bytes)); err != nil {
		return err
	}
	rows, err := dataset.AnyCount(r, x.Bytes)
	for from := int64(0); from < rows; from += partRows {
		x.Chunks = append(x.Chunks, Chunk{Path: x.Path, Parquet: true, Offset: from, End: min(from+partRows, rows), Line: from + 1})
	}
	return err
}

// lines cuts a file of JSON lines into chunks.
func (x *index) lines(ctx context.Context, r io.ReaderAt, hash io.Writer, partRows int) error {
	rows := 0
	return eachLine(ctx, io.TeeReader(io.NewSectionReader(r, 0, x.Bytes), hash), func(line []byte, offset, number int64) error {
		end := offset + int64(len(line))
		if len(bytes.TrimSpace(line)) == 0 {
			return nil
		}
		if rows%partRows == 0 {
			x.Chunks = append(x.Chunks, Chunk{Path: x.Path, Offset: offset, Line: number})
		}
		rows++
		x.Chunks[len(x.Chunks)-1].End = end
		return nil
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
