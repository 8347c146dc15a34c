package imported

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/profuser/profuser/schemas"
)

// Files are files of JSON lines, each line a response or a score.
type Files struct {
	// Paths are local files, Digest that of their contents.
	Paths  []string `json:"paths"`
	Digest string   `json:"digest"`
}

// NewFiles reads the files once, so that a fault in a line is known before any work, and takes their digest.
func NewFiles(ctx context.Context, paths []string) (Files, error) {
	f := Files{Paths: paths}
	x, err := readIndex(ctx, paths)
	if err != nil {
		return f, err
	}
	f.Digest = x.digest
	indexes.Store(fmt.Sprint(f), func() (*index, error) { return x, nil })
	return f, nil
}

// indexes are those of this process, by files and contents.
var indexes sync.Map

// load indexes the files once a process.
func (f Files) load(ctx context.Context) (*index, error) {
	read := func() (*index, error) {
		x, err := readIndex(context.WithoutCancel(ctx), f.Paths)
		if err == nil && x.digest != f.Digest {
			err = fmt.Errorf("the files %v have changed since the import began: import again", f.Paths)
		}
		return x, err
	}
	once, _ := indexes.LoadOrStore(fmt.Sprint(f), sync.OnceValues(read))
	return once.(func() (*index, error))()
}

// Rows is the number of lines.
func (f Files) Rows(ctx context.Context) (int, error) {
	x, err := f.load(ctx)
	if err != nil {
		return 0, err
	}
	return len(x.places), nil
}

// Matching counts the lines that are of some of the prompts.
func (f Files) Matching(ctx context.Context, prompts []schemas.Prompt) (int, error) {
	x, err := f.load(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for i := range prompts {
		n += len(x.of(&prompts[i]))
	}
	return n, nil
}

// index says where each prompt's lines are.
type index struct {
	paths  []string
	digest string
	places []place
	ends   map[[16]byte][2]int32 // first and last place of a key
}

// place is one line.
type place struct {
	file   int32
	next   int32 // place of the same key, -1 at the last
	offset int64
	bytes  int32
	line   int32
}

func hashOf(key string) (h [16]byte) {
	sum := sha256.Sum256([]byte(key))
	copy(h[:], sum[:])
	return h
}

// readIndex reads all files once.
func readIndex(ctx context.Context, paths []string) (*index, error) {
	x := &index{paths: paths, ends: map[[16]byte][2]int32{}}
	hash := sha256.New()
	for number, path := range paths {
		if err := x.read(ctx, int32(number), path, hash); err != nil {
			return nil, err
		}
	}
	if len(x.places) == 0 {
		return nil, fmt.Errorf("no rows in the files %v", paths)
	}
	x.digest = hex.EncodeToString(hash.Sum(nil))
	return x, nil
}

func (x *index) read(ctx context.Context, number int32, path string, hash io.Writer) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("import file: %w", err)
	}
	lines := bufio.NewReaderSize(io.TeeReader(f, hash), 1<<20)
	var offset int64
	for n := int32(1); ctx.Err() == nil; n++ {
		line, err := lines.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return errors.Join(fmt.Errorf("import file %s: %w", path, err), f.Close())
		}
		if len(bytes.TrimSpace(line)) > 0 {
			_, key, bad := parse(line)
			if bad != nil {
				return errors.Join(fmt.Errorf("%s:%d: %w", path, n, bad), f.Close())
			}
			x.add(hashOf(key), place{file: number, next: -1, offset: offset, bytes: int32(len(line)), line: n})
		}
		offset += int64(len(line))
		if err != nil {
			break
		}
	}
	return errors.Join(ctx.Err(), f.Close())
}

func (x *index) add(key [16]byte, p place) {
	at := int32(len(x.places))
	x.places = append(x.places, p)
	ends, ok := x.ends[key]
	if !ok {
		ends[0] = at
	} else {
		x.places[ends[1]].next = at
	}
	ends[1] = at
	x.ends[key] = ends
}

// of lists the lines of a prompt, in order of the files: by its id or messages, then by its external id.
func (x *index) of(p *schemas.Prompt) []place {
	var out []place
	keys := []string{p.ID}
	if p.ExternalID != "" {
		keys = append(keys, external(p.ExternalID))
	}
	for _, key := range keys {
		if ends, ok := x.ends[hashOf(key)]; ok {
			for at := ends[0]; at >= 0; at = x.places[at].next {
				out = append(out, x.places[at])
			}
		}
	}
	return out
}

// lines reads the lines of a prompt, each with its place in words.
func (x *index) lines(p *schemas.Prompt, open *readers) (rows []row, where []string, err error) {
	for _, at := range x.of(p) {
		f, err := open.file(x.paths[at.file])
		if err != nil {
			return nil, nil, err
		}
		line := make([]byte, at.bytes)
		if _, err := f.ReadAt(line, at.offset); err != nil {
			return nil, nil, fmt.Errorf("import file: %w", err)
		}
		r, _, err := parse(line)
		if err != nil {
			return nil, nil, fmt.Errorf("%s:%d: %w: the file has changed", x.paths[at.file], at.line, err)
		}
		rows, where = append(rows, r), append(where, fmt.Sprintf("%s:%d", x.paths[at.file], at.line))
	}
	return rows, where, nil
}

// readers are the files that one part reads.
type readers struct{ open map[string]*os.File }

func (r *readers) file(path string) (*os.File, error) {
	if f, ok := r.open[path]; ok {
		return f, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("import file: %w", err)
	}
	if r.open == nil {
		r.open = map[string]*os.File{}
	}
	r.open[path] = f
	return f, nil
}

func (r *readers) close() error {
	var errs []error
	for _, f := range r.open {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
