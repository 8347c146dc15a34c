package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/profuser/profuser/internal/dataset"
)

// continuedError says that the last row of a file that became parts was written on.
type continuedError struct{ at int64 }

func (e continuedError) Error() string {
	return fmt.Sprintf("the row that ended at byte %d goes on now", e.at)
}

// eachPiece reads a file by its pieces: those that are known, by their sizes, and what follows. line, if not nil, gets
// each line with its piece; a line's end that was appended later counts to the line. It returns offset, size and digest
// of each piece; a file shorter than the known pieces gives fewer or shorter ones.
func eachPiece(ctx context.Context, r io.ReaderAt, size int64, known []dataset.InputFile, line func(piece int, text []byte, offset int64)) ([]dataset.InputFile, error) {
	var pieces []dataset.InputFile
	var sums []hash.Hash
	end := int64(0) // of the newest piece, if it is a known one
	begin := func() {
		offset := end
		if n := len(pieces); n < len(known) {
			end += known[n].Bytes
		}
		pieces, sums = append(pieces, dataset.InputFile{Offset: offset}), append(sums, sha256.New())
	}
	add := func(data []byte) {
		last := len(pieces) - 1
		pieces[last].Bytes += int64(len(data))
		sums[last].Write(data)
	}
	begin()
	err := eachLine(ctx, io.NewSectionReader(r, 0, size), func(text []byte, offset, _ int64) error {
		for len(pieces) <= len(known) && offset >= end {
			begin()
		}
		if line != nil {
			line(len(pieces)-1, text, offset)
		}
		if len(pieces) > len(known) || offset+int64(len(text)) <= end {
			add(text)
			return nil
		}
		head, rest := text[:end-offset], text[end-offset:]
		add(head)
		if len(bytes.TrimSpace(rest)) > 0 {
			return continuedError{end}
		}
		begin()
		add(rest)
		return nil
	})
	for i := range pieces {
		pieces[i].SHA256 = hex.EncodeToString(sums[i].Sum(nil))
	}
	return pieces, err
}

// Growth is how input files compare with those that a dataset was made from.
type Growth struct {
	// Known are, for each file as given, the pieces that became parts before; none for a new file.
	Known [][]dataset.InputFile
	// Grown says that there is more than before: a new file, or a file that something was appended to.
	Grown bool
	// Changes say what is no longer as it was, one sentence each; then the dataset cannot grow, it must be made again.
	Changes []string
}

// Compare says what became of input files since a dataset was made from them. A file is found by its path, or by its
// contents when it was moved. Text may be appended to a file after the end of a line.
func Compare(ctx context.Context, before []dataset.InputFile, files []string) (Growth, error) {
	g := Growth{Known: make([][]dataset.InputFile, len(files))}
	groups := byFile(before)
	taken := make([]bool, len(files))
	var moved [][]dataset.InputFile
	for _, group := range groups {
		at := -1
		for i, file := range files {
			if !taken[i] && file == group[0].Path {
				at = i
				break
			}
		}
		if at < 0 {
			moved = append(moved, group)
			continue
		}
		taken[at], g.Known[at] = true, group
		change, grown, err := compareFile(ctx, files[at], group)
		if err != nil {
			return g, err
		}
		if g.Grown = g.Grown || grown; change != "" {
			g.Changes = append(g.Changes, change)
		}
	}
	for _, group := range moved {
		found := false
		for i := range files {
			if taken[i] {
				continue
			}
			change, grown, err := compareFile(ctx, files[i], group)
			if err != nil {
				return g, err
			}
			if change == "" {
				taken[i], g.Known[i], found = true, group, true
				g.Grown = g.Grown || grown
				break
			}
		}
		if !found {
			g.Changes = append(g.Changes, fmt.Sprintf("%s is not among them any more", group[0].Path))
		}
	}
	for i := range files {
		g.Grown = g.Grown || !taken[i]
	}
	return g, nil
}

// byFile gathers the pieces of each file: a piece that begins a file begins a group, and others belong to the newest
// group of their path that ends where they begin.
func byFile(pieces []dataset.InputFile) (groups [][]dataset.InputFile) {
next:
	for _, p := range pieces {
		if p.Offset > 0 {
			for i := len(groups) - 1; i >= 0; i-- {
				last := groups[i][len(groups[i])-1]
				if last.Path == p.Path && last.Offset+last.Bytes == p.Offset {
					groups[i] = append(groups[i], p)
					continue next
				}
			}
		}
		groups = append(groups, []dataset.InputFile{p})
	}
	return groups
}

// compareFile reads a file and says whether its first bytes are the known pieces, and whether more follow.
func compareFile(ctx context.Context, file string, known []dataset.InputFile) (change string, grown bool, err error) {
	r, size, done, err := openInput(ctx, file)
	if err != nil {
		return "", false, fmt.Errorf("input file: %w", err)
	}
	found, err := eachPiece(ctx, r, size, known, nil)
	if closeErr := done(); closeErr != nil {
		return "", false, fmt.Errorf("input file %s: %w", file, closeErr)
	}
	var continued continuedError
	if err != nil && !errors.As(err, &continued) {
		return "", false, fmt.Errorf("input file %s: %w", file, err)
	}
	for i, k := range known {
		switch {
		case i >= len(found) && err != nil:
			return fmt.Sprintf("%s has changed: %v", file, err), false, nil
		case i >= len(found), found[i].Bytes != k.Bytes:
			return fmt.Sprintf("%s has changed: it had %d bytes or more, now %d", file, k.Offset+k.Bytes, size), false, nil
		case found[i].SHA256 != k.SHA256:
			return fmt.Sprintf("%s has changed: SHA-256 %.12s… → %.12s…", file, k.SHA256, found[i].SHA256), false, nil
		}
	}
	if err != nil {
		return fmt.Sprintf("%s has changed: %v", file, err), false, nil
	}
	return "", len(found) > len(known), nil
}
