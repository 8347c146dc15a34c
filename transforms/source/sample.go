package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
)

// Sampled is what a look at input files found.
type Sampled struct {
	// Lines counts the rows of the files, Read those of them that were taken apart.
	Lines, Read int64
	// Prompts are what the rows read became; Faulty counts prompts that ingest would reject, without those that repeat
	// a row that was not read.
	Prompts []schemas.Prompt
	Faulty  int64
	// Raw are the rows read, as they stand in the files, in order.
	Raw [][]byte
}

// Rows estimates how many prompts ingest will accept; exact where all rows were read.
func (s Sampled) Rows() int64 {
	if s.Read == 0 {
		return 0
	}
	return (s.Lines*int64(len(s.Prompts)) + s.Read/2) / s.Read
}

// Sample counts the rows of files and reads n of them, drawn evenly with seed; n 0 reads all.
func Sample(ctx context.Context, files []string, columns Columns, turns string, n int, seed uint64) (Sampled, error) {
	type kept struct {
		place int64
		line  []byte
	}
	var all []kept
	var out Sampled
	draw := rand.New(rand.NewPCG(seed, 0))
	for _, file := range files {
		whole, err := wholeFile(ctx, file)
		if err != nil {
			return out, err
		}
		err = whole.lines(ctx, func(line []byte, _ int64) error {
			place := out.Lines
			out.Lines++
			if n == 0 || len(all) < n {
				all = append(all, kept{place, bytes.Clone(line)})
			} else if i := draw.Int64N(out.Lines); i < int64(n) { // each of the rows so far stays with the same probability
				all[i] = kept{place, bytes.Clone(line)}
			}
			return nil
		})
		if err != nil {
			return out, err
		}
	}
	slices.SortFunc(all, func(a, b kept) int { return int(a.place - b.place) })
	ids := map[string]bool{}
	for _, k := range all {
		out.Read++
		out.Raw = append(out.Raw, bytes.TrimRight(k.line, "\r\n"))
		for _, e := range entries(k.line, columns, turns) {
			if e.fault != nil || ids[e.prompt.ID] {
				out.Faulty++
				continue
			}
			ids[e.prompt.ID] = true
			out.Prompts = append(out.Prompts, e.prompt)
		}
	}
	return out, nil
}

// wholeFile is a file as one chunk.
func wholeFile(ctx context.Context, file string) (Chunk, error) {
	r, size, done, err := openInput(ctx, file)
	if err != nil {
		return Chunk{}, fmt.Errorf("input file: %w", err)
	}
	c := Chunk{Path: file, End: size, Line: 1}
	if c.Parquet = isParquet(r); c.Parquet {
		c.End, err = dataset.AnyCount(r, size)
	}
	if err = errors.Join(err, done()); err != nil {
		return c, fmt.Errorf("input file %s: %w", file, err)
	}
	return c, nil
}
