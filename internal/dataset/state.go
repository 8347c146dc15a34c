package dataset

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"
)

// State is what lies in a dataset's folder, finished or not, as one listing and two or three reads found it.
type State struct {
	// Name is the dataset's, its folder in the store.
	Name string
	// Newest is the header of the newest revision, nil where no step has begun the dataset.
	Newest *Header
	// Committed is the dataset as readers see it, nil without a valid manifest.
	Committed *Dataset
	// Bytes is the size of all part files, Changed when the newest object was written.
	Bytes   int64
	Changed time.Time

	store       Store
	parts       map[partFile]Object
	rejected    map[string]Object // by file name
	committedAt time.Time
}

// partFile is a part as made in a revision.
type partFile struct{ part, revision int }

// Look finds out the state of a dataset. What a reader would refuse is no error here: Newest or Committed is nil.
func Look(ctx context.Context, s Store, name string) (State, error) {
	st := State{Name: name, store: s, parts: map[partFile]Object{}, rejected: map[string]Object{}}
	objects, err := s.Objects(ctx, name+"/")
	if err != nil {
		return st, err
	}
	var keys []string
	for _, o := range objects {
		file := strings.TrimPrefix(o.Key, name+"/")
		if rejected, ok := strings.CutPrefix(file, rejectedFolder+"/"); ok {
			st.rejected[rejected] = o
		} else if part, revision, ok := partNumber(file); ok {
			st.parts[partFile{part, revision}] = o
			st.Bytes += o.Bytes
		} else if strings.HasPrefix(file, "_") {
			keys = append(keys, o.Key)
		} else {
			continue
		}
		if o.Modified.After(st.Changed) {
			st.Changed = o.Modified
		}
	}
	d, err := open(ctx, s, name, keys)
	switch {
	case err == nil:
		st.Committed, st.Newest = d, &d.Header
		manifest := name + "/" + manifestName(d.Manifest.Number)
		if i := slices.IndexFunc(objects, func(o Object) bool { return o.Key == manifest }); i >= 0 {
			st.committedAt = objects[i].Modified
		}
	case !errors.Is(err, errNoManifest) && !errors.Is(err, fs.ErrNotExist):
		return st, err
	}
	if revision := newestRevision(name, keys); revision > 0 && (d == nil || revision != d.Header.revision()) {
		h, err := readHeader(ctx, s, name, revision)
		if err != nil {
			return st, err
		}
		st.Newest = &h
	}
	return st, nil
}

// Has says whether there is a file of the part as made in a revision.
func (st *State) Has(part, revision int) bool {
	_, ok := st.parts[partFile{part, max(1, revision)}]
	return ok
}

// Whole says whether the manifest has the part and its file is there.
func (st *State) Whole(part int) bool {
	if st.Committed == nil || part >= st.Committed.Parts() {
		return false
	}
	_, revision, _ := partNumber(st.Committed.Manifest.Parts[part].File)
	return st.Has(part, revision)
}

// Made counts the parts that have a file of a revision.
func (st *State) Made(revision int) int {
	n := 0
	for file := range st.parts {
		if file.revision == max(1, revision) {
			n++
		}
	}
	return n
}

// uncommitted lists the parts of a revision that the manifest does not have, sorted.
func (st *State) uncommitted(revision int) []int {
	var parts []int
	for file := range st.parts {
		if file.revision == max(1, revision) && !st.lists(file) {
			parts = append(parts, file.part)
		}
	}
	slices.Sort(parts)
	return parts
}

// lists says whether the manifest has this file.
func (st *State) lists(file partFile) bool {
	return st.Committed != nil && file.part < st.Committed.Parts() && st.Committed.Manifest.Parts[file.part].File == PartFile(file.part, file.revision)
}

// Uncommitted reads the footers of the parts of a revision that no manifest has yet, by part.
func (st *State) Uncommitted(ctx context.Context, revision int) (map[int]Footer, error) {
	parts, footers, _, err := st.readUncommitted(ctx, revision)
	out := map[int]Footer{}
	for i, part := range parts {
		out[part] = footers[i]
	}
	return out, err
}

// UncommittedCounts adds up rows and rejects of the parts of a revision that no manifest has yet.
func (st *State) UncommittedCounts(ctx context.Context, revision int) (rows, rejects int64, err error) {
	_, footers, counts, err := st.readUncommitted(ctx, revision)
	for i, f := range footers {
		rows += counts[i]
		rejects += int64(len(f.Rejects))
	}
	return rows, rejects, err
}

func (st *State) readUncommitted(ctx context.Context, revision int) (parts []int, footers []Footer, rows []int64, err error) {
	parts = st.uncommitted(revision)
	footers, rows = make([]Footer, len(parts)), make([]int64, len(parts))
	faults := make([]error, len(parts))
	eachOf(len(parts), func(i int) {
		footers[i], rows[i], faults[i] = footerAt(ctx, st.store, st.Name+"/"+PartFile(parts[i], revision))
		if errors.Is(faults[i], fs.ErrNotExist) { // dropped meanwhile
			faults[i] = nil
		}
	})
	return parts, footers, rows, errors.Join(faults...)
}

// Drop removes the file of a part that no manifest has.
func (st *State) Drop(ctx context.Context, part, revision int) error {
	file := partFile{part, max(1, revision)}
	if st.lists(file) {
		return fmt.Errorf("%s/%s is in the manifest: it is replaced, not removed", st.Name, PartFile(part, revision))
	}
	delete(st.parts, file)
	return st.store.Remove(ctx, st.Name+"/"+PartFile(part, revision))
}

// Leftovers lists files that nobody reads: of parts that the manifest replaced, and of revisions that ended without a
// manifest before the newest one. An unfinished newer revision is none.
func (st *State) Leftovers() []string {
	if st.Committed == nil {
		return nil
	}
	var keys []string
	current := map[string]bool{}
	for _, part := range st.Committed.Manifest.Parts {
		current[part.File] = true
	}
	newest := st.Committed.Header.revision()
	leftover := func(name string, part, revision int) bool {
		return !current[name] && (revision < newest || revision == newest && part < st.Committed.Parts())
	}
	for file, o := range st.parts {
		if leftover(PartFile(file.part, file.revision), file.part, file.revision) {
			keys = append(keys, o.Key)
		}
	}
	for name, o := range st.rejected {
		if part, revision, ok := partNumber(name); ok && leftover(name, part, revision) {
			keys = append(keys, o.Key)
		}
	}
	slices.Sort(keys)
	return keys
}

// Sweep removes the leftovers.
func (st *State) Sweep(ctx context.Context) error { return removeAll(ctx, st.store, st.Leftovers()) }

// Clear removes a dataset: its manifests first, so that no reader takes what is left for whole, its headers last.
func Clear(ctx context.Context, s Store, name string) error {
	keys, err := s.List(ctx, name+"/")
	if err != nil {
		return err
	}
	var headers, others []string
	for _, key := range keys {
		file := strings.TrimPrefix(key, name+"/")
		_, header := headerRevision(file)
		_, manifest := isManifest(file)
		switch {
		case header:
			headers = append(headers, key)
		case !manifest:
			others = append(others, key)
		default: // one after the other, the newest last: an older one must not come back to life
			if err := s.Remove(ctx, key); err != nil {
				return err
			}
		}
	}
	if err := removeAll(ctx, s, others); err != nil {
		return err
	}
	return removeAll(ctx, s, headers)
}

// removeAll removes objects, several at once.
func removeAll(ctx context.Context, s Store, keys []string) error {
	faults := make([]error, len(keys))
	eachOf(len(keys), func(i int) { faults[i] = s.Remove(ctx, keys[i]) })
	return errors.Join(faults...)
}

// eachOf calls f for 0 to n-1, several at once.
func eachOf(n int, f func(i int)) {
	const workers = 16
	var group sync.WaitGroup
	next := make(chan int)
	for range min(workers, n) {
		group.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	group.Wait()
}

// InputsDigest is one digest of what a part was made from: paths and checksums, in any order.
func InputsDigest(inputs []Input) string {
	sorted := slices.Clone(inputs)
	slices.SortFunc(sorted, func(a, b Input) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.SHA256, b.SHA256))
	})
	h := sha256.New()
	for _, in := range slices.Compact(sorted) {
		fmt.Fprintf(h, "%s\x1f%s\x1e", in.Path, in.SHA256)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
