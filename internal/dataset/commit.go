package dataset

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/profuser/profuser/schemas"
)

// rejectedFolder holds the rejected rows of a dataset as parts of their own.
const rejectedFolder = "rejected"

// CommitOptions says what must be there, and how many rejects are accepted.
type CommitOptions struct {
	// Parts is the number of parts the dataset must have, 1 or more.
	Parts int
	// MaxRejects is the largest accepted share of rejected records, 0 to 1. Those of schemas.OutsideBudget do not count.
	MaxRejects float64
	// Inputs are the input files and the parts they became, if the dataset was made from files.
	Inputs []InputFile
}

// RejectsError says that a dataset has more rejects than its budget allows.
type RejectsError struct {
	// Dataset is the dataset's name.
	Dataset string
	// Rejects and Records count what was rejected and what was tried, those of schemas.OutsideBudget aside.
	Rejects, Records int64
	// Budget is the largest share accepted.
	Budget float64
	// First is the first reject, by part and place.
	First schemas.Rejected
}

// Error names count, budget, the first fault and where the others stand.
func (e *RejectsError) Error() string {
	return fmt.Sprintf("%s: %d of %d records were rejected, max_rejects allows a share of %g; first: %s %s: %s (all in %s/%s)",
		e.Dataset, e.Rejects, e.Records, e.Budget, e.First.Code, cmpOr(e.First.ID, "no id"), e.First.Message, e.Dataset, rejectedFolder)
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Commit reads every part, derives rejected/ from the footers, and writes the next manifest; when the newest manifest
// says the same already, it is returned and nothing is written. Missing, surplus, damaged or foreign parts are errors,
// and more rejects than the budget are a *RejectsError; then there is no new manifest.
func Commit(ctx context.Context, s Store, name string, o CommitOptions) (Manifest, error) {
	m, err := commit(ctx, s, name, o)
	var rejects *RejectsError
	if err != nil && !errors.As(err, &rejects) {
		err = fmt.Errorf("committing dataset %s in %s: %w", name, s.URL(), err)
	}
	return m, err
}

func commit(ctx context.Context, s Store, name string, o CommitOptions) (Manifest, error) {
	header, err := readHeader(ctx, s, name)
	if err != nil {
		return Manifest{}, err
	}
	if err := checkParts(ctx, s, name, o.Parts); err != nil {
		return Manifest{}, err
	}
	m := Manifest{
		Schema: header.Schema, ConfigDigest: header.ConfigDigest, Parts: make([]PartInfo, o.Parts),
		RejectCodes: map[string]int64{}, Inputs: o.Inputs,
	}
	footers, err := describeParts(ctx, s, name, header, m.Parts)
	if err != nil {
		return Manifest{}, err
	}
	over := RejectsError{Dataset: name, Budget: o.MaxRejects}
	for i, footer := range footers {
		m.Rows += m.Parts[i].Rows
		m.Bytes += m.Parts[i].Bytes
		m.Rejects += int64(len(footer.Rejects))
		over.Records += m.Parts[i].Rows
		for _, reject := range footer.Rejects {
			m.RejectCodes[reject.Code]++
			if schemas.OutsideBudget(reject.Code) {
				continue
			}
			if over.Rejects == 0 {
				over.First = reject
			}
			over.Rejects++
			over.Records++
		}
	}
	if err := deriveRejected(ctx, s, name, footers); err != nil {
		return Manifest{}, err
	}
	if float64(over.Rejects) > o.MaxRejects*float64(over.Records) {
		return Manifest{}, &over
	}
	return writeManifest(ctx, s, name, m)
}

// checkParts demands the parts 0 to n-1 and no others.
func checkParts(ctx context.Context, s Store, name string, n int) error {
	if n < 1 {
		return fmt.Errorf("it has %d parts, want 1 or more", n)
	}
	there, err := FinishedParts(ctx, s, name)
	if err != nil {
		return err
	}
	var missing []int
	for part := range n {
		if !there[part] {
			missing = append(missing, part)
		}
		delete(there, part)
	}
	if len(missing) > 0 {
		return fmt.Errorf("%d of %d parts are missing, the first is %s: run the step again", len(missing), n, PartName(missing[0]))
	}
	if surplus := slices.Sorted(maps.Keys(there)); len(surplus) > 0 {
		return fmt.Errorf("%s is there although the dataset has %d parts: remove it, or the dataset's folder", PartName(surplus[0]), n)
	}
	return nil
}

// describeParts fills in infos and returns the footers, reading several parts at once.
func describeParts(ctx context.Context, s Store, name string, header Header, infos []PartInfo) ([]Footer, error) {
	const readers = 8
	footers, faults := make([]Footer, len(infos)), make([]error, len(infos))
	var group sync.WaitGroup
	next := make(chan int)
	for range min(readers, len(infos)) {
		group.Go(func() {
			for part := range next {
				footers[part], faults[part] = describePart(ctx, s, name, header, part, &infos[part])
			}
		})
	}
	for part := range infos {
		next <- part
	}
	close(next)
	group.Wait()
	for _, err := range faults {
		if err != nil {
			return nil, err
		}
	}
	return footers, nil
}

// describePart reads one part and checks that its footer goes with the dataset's header.
func describePart(ctx context.Context, s Store, name string, header Header, part int, info *PartInfo) (Footer, error) {
	key := name + "/" + PartName(part)
	data, err := s.Read(ctx, key)
	if err != nil {
		return Footer{}, err
	}
	f, rows, err := DecodeFooter(data)
	if err != nil {
		return f, fmt.Errorf("%s: %w: remove the file and run the step again", key, err)
	}
	*info = PartInfo{Part: part, File: PartName(part), Rows: rows, Rejects: int64(len(f.Rejects)), Bytes: int64(len(data)), SHA256: digest(data)}
	if err := f.goesWith(header, part); err != nil {
		return f, fmt.Errorf("%s: %w: remove the file and run the step again", key, err)
	}
	return f, nil
}

// goesWith says where a footer differs from its dataset's header.
func (f *Footer) goesWith(header Header, part int) error {
	for _, field := range []struct{ name, found, want string }{
		{"profuser.schema", f.Schema, header.Schema},
		{"profuser.config_digest", f.ConfigDigest, header.ConfigDigest},
		{"profuser.part", PartName(f.Part), PartName(part)},
		{"profuser.source_tokenizer", f.SourceTokenizer, header.SourceTokenizer},
		{"profuser.target_tokenizer", f.TargetTokenizer, header.TargetTokenizer},
	} {
		if field.found != field.want {
			return fmt.Errorf("%s is %q, the dataset's is %q", field.name, field.found, field.want)
		}
	}
	return nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// deriveRejected makes rejected/ say what the footers say: a part for each part with rejects and no others.
func deriveRejected(ctx context.Context, s Store, name string, footers []Footer) error {
	folder := name + "/" + rejectedFolder + "/"
	stale := map[string]bool{}
	keys, err := s.List(ctx, folder)
	if err != nil {
		return err
	}
	for _, key := range keys {
		stale[key] = true
	}
	for part, f := range footers {
		if len(f.Rejects) == 0 {
			continue
		}
		data, err := EncodePart(f.Rejects, Footer{ConfigDigest: f.ConfigDigest, Part: part, SourceModel: f.SourceModel, CreatedBy: f.CreatedBy})
		if err != nil {
			return err
		}
		key := folder + PartName(part)
		delete(stale, key)
		if err := replace(ctx, s, key, data); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(stale)) {
		if err := s.Remove(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// replace creates a derived object, instead of an older one with other bytes.
func replace(ctx context.Context, s Store, key string, data []byte) error {
	old, err := s.Read(ctx, key)
	switch {
	case err == nil && bytes.Equal(old, data):
		return nil
	case err == nil:
		if err := s.Remove(ctx, key); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := s.Create(ctx, key, data); err != nil && !errors.Is(err, ErrExists) {
		return err
	}
	return nil
}

// isManifest cuts the number out of _MANIFEST-000001.json.
func isManifest(file string) (digits string, ok bool) {
	digits, isPrefix := strings.CutPrefix(file, manifestPrefix)
	digits, isSuffix := strings.CutSuffix(digits, manifestSuffix)
	return digits, isPrefix && isSuffix
}
