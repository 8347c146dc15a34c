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

	"github.com/profuser/profuser/schemas"
)

// rejectedFolder holds the rejected rows of a dataset as parts of their own.
const rejectedFolder = "rejected"

// CommitOptions says what must be there, and how many rejects are accepted.
type CommitOptions struct {
	// Parts is the number of parts the dataset must have, 1 or more.
	Parts int
	// MaxRejects is the reject budget: below 1 a share of the records, from 1 on a number of them. Those of
	// schemas.OutsideBudget do not count.
	MaxRejects float64
	// Inputs are the input files and the parts they became, if the dataset was made from files.
	Inputs []InputFile
	// Revision is the one whose files go before those that are committed; 0 is the newest begun.
	Revision int
	// Sources names the datasets that the parts were made from, part by part: a part that was made from others than
	// those committed now is refused. Without, that is not looked at.
	Sources []string
	// Reason says why parts were made again; it goes into the manifest.
	Reason string
}

// Budget is how many of so many records may be rejected under a max_rejects: below 1 that is a share, from 1 on a number.
func Budget(maxRejects float64, records int64) float64 {
	if maxRejects < 1 {
		return maxRejects * float64(records)
	}
	return maxRejects
}

// RejectsError says that a dataset has more rejects than its budget allows.
type RejectsError struct {
	// Dataset is the dataset's name.
	Dataset string
	// Rejects and Records count what was rejected and what was tried, those of schemas.OutsideBudget aside.
	Rejects, Records int64
	// MaxRejects is the budget, as in CommitOptions; Codes counts rejects by code, duplicates aside.
	MaxRejects float64
	Codes      map[string]int64
	// First is the first reject, by part and place.
	First schemas.Rejected
}

// Error names count, budget, the counts of each reason, the first fault and where the others stand.
func (e *RejectsError) Error() string {
	allows := fmt.Sprintf("a share of %g", e.MaxRejects)
	if e.MaxRejects >= 1 {
		allows = fmt.Sprintf("%g", e.MaxRejects)
	}
	var codes []string
	for _, code := range slices.Sorted(maps.Keys(e.Codes)) {
		codes = append(codes, fmt.Sprintf("%s %d", code, e.Codes[code]))
	}
	return fmt.Sprintf("%s: %d of %d records were rejected, max_rejects allows %s: %s; first: %s %s: %s (all in %s/%s)",
		e.Dataset, e.Rejects, e.Records, allows, strings.Join(codes, ", "), e.First.Code, cmpOr(e.First.ID, "no id"), e.First.Message, e.Dataset, rejectedFolder)
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Commit describes the parts that are new, keeps what the newest manifest says of the others, derives rejected/ from the
// footers, and writes the next manifest, which is the moment at which parts made again replace the old ones; then files
// that nobody reads any more are removed. When the newest manifest says the same already, it is returned and nothing is
// written. Missing, surplus, damaged or foreign parts are errors, and more rejects than the budget are a *RejectsError;
// then there is no new manifest.
func Commit(ctx context.Context, s Store, name string, o CommitOptions) (Manifest, error) {
	m, err := commit(ctx, s, name, o)
	var rejects *RejectsError
	if err != nil && !errors.As(err, &rejects) {
		err = fmt.Errorf("committing dataset %s in %s: %w", name, s.URL(), err)
	}
	return m, err
}

func commit(ctx context.Context, s Store, name string, o CommitOptions) (Manifest, error) {
	c, err := newCommitting(ctx, s, name, o)
	if err != nil {
		return Manifest{}, err
	}
	if err := c.choose(ctx); err != nil {
		return Manifest{}, err
	}
	if err := c.describe(ctx); err != nil {
		return Manifest{}, err
	}
	if err := c.deriveRejected(ctx); err != nil {
		return Manifest{}, err
	}
	if err := c.count(); err != nil {
		return Manifest{}, err
	}
	m, err := c.write(ctx)
	if err != nil {
		return Manifest{}, err
	}
	return m, c.sweep(ctx, m)
}

// committing is one commit under way.
type committing struct {
	CommitOptions
	State
	header   Header
	sources  []*Dataset
	manifest Manifest
	fresh    []bool   // parts whose file is to be read
	footers  []Footer // of fresh parts and of those with rejects
}

func newCommitting(ctx context.Context, s Store, name string, o CommitOptions) (*committing, error) {
	if o.Parts < 1 {
		return nil, fmt.Errorf("it has %d parts, want 1 or more", o.Parts)
	}
	c := &committing{CommitOptions: o}
	var err error
	if c.State, err = Look(ctx, s, name); err != nil {
		return nil, err
	}
	if c.Newest == nil {
		return nil, fmt.Errorf("%s is missing: no step has begun it (%w)", headerFile, fs.ErrNotExist)
	}
	if c.header = *c.Newest; o.Revision > 0 && o.Revision != c.header.revision() {
		c.header, err = readHeader(ctx, s, name, o.Revision)
		if errors.Is(err, fs.ErrNotExist) && c.Committed != nil { // an earlier commit of it found that nothing changed
			c.header, err = c.Committed.Header, nil
		}
		if err != nil {
			return nil, err
		}
	}
	for _, source := range o.Sources {
		d, err := Open(ctx, s, source)
		if err != nil {
			return nil, err
		}
		c.sources = append(c.sources, d)
	}
	c.manifest = Manifest{
		Revision: c.header.Revision, Schema: c.header.Schema, ConfigDigest: c.header.ConfigDigest, Depends: c.header.Depends,
		Parts: make([]PartInfo, o.Parts), RejectCodes: map[string]int64{}, Inputs: o.Inputs, Reason: o.Reason,
	}
	c.fresh, c.footers = make([]bool, o.Parts), make([]Footer, o.Parts)
	return c, nil
}

// madeFrom is the digest of what a part must have been made from, "" if that is not looked at.
func (c *committing) madeFrom(part int) string {
	var inputs []Input
	for _, d := range c.sources {
		if part >= d.Parts() {
			return ""
		}
		inputs = append(inputs, d.Input(part))
	}
	if len(inputs) == 0 {
		return ""
	}
	return InputsDigest(inputs)
}

// before is the manifest's entry of a part, if parts made under it go with those of this commit and the file is there.
func (c *committing) before(part int) (PartInfo, bool) {
	if !c.Whole(part) {
		return PartInfo{}, false
	}
	if field, _, _ := c.Committed.Header.Differs(c.header); field != "" {
		return PartInfo{}, false
	}
	return c.Committed.Manifest.Parts[part], true
}

// choose takes for each part the file of this revision, else the committed one.
func (c *committing) choose(ctx context.Context) error {
	revision := c.header.revision()
	var missing []int
	for part := range c.Parts {
		info, known := c.before(part)
		file, made := c.parts[partFile{part, revision}]
		inputs := c.madeFrom(part)
		fits := known && (inputs == "" || info.Inputs == "" || inputs == info.Inputs)
		switch {
		case made && !(fits && info.File == PartFile(part, revision) && info.Bytes == file.Bytes && file.Modified.Before(c.committedAt)):
			c.fresh[part] = true
		case fits:
			c.manifest.Parts[part] = info
		default:
			missing = append(missing, part)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%d of %d parts are missing, the first is %s: run the step again", len(missing), c.Parts, PartName(missing[0]))
	}
	for file := range c.parts {
		if file.part >= c.Parts && file.revision == revision {
			return fmt.Errorf("%s is there although the dataset has %d parts: remove it, or the dataset's folder", PartFile(file.part, revision), c.Parts)
		}
	}
	return ctx.Err()
}

// describe reads fresh parts whole, and the footers of kept parts with rejects.
func (c *committing) describe(ctx context.Context) error {
	faults := make([]error, c.Parts)
	eachOf(c.Parts, func(part int) {
		info := &c.manifest.Parts[part]
		switch {
		case c.fresh[part]:
			faults[part] = c.describePart(ctx, part, info)
		case info.Rejects > 0:
			c.footers[part], _, faults[part] = footerAt(ctx, c.store, c.Name+"/"+info.File)
		}
	})
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	return nil
}

// describePart reads one part and checks that its footer goes with the dataset's header. A part that came out as it was
// keeps its old file.
func (c *committing) describePart(ctx context.Context, part int, info *PartInfo) error {
	file := PartFile(part, c.header.revision())
	key := c.Name + "/" + file
	data, err := c.store.Read(ctx, key)
	if err != nil {
		return err
	}
	f, rows, err := DecodeFooter(data)
	if err != nil {
		return fmt.Errorf("%s: %w: remove the file and run the step again", key, err)
	}
	c.footers[part] = f
	*info = PartInfo{Part: part, File: file, Rows: rows, Rejects: int64(len(f.Rejects)), Bytes: int64(len(data)), SHA256: digest(data)}
	if len(f.Inputs) > 0 {
		info.Inputs = InputsDigest(f.Inputs)
	}
	if err := f.goesWith(c.header, part); err != nil {
		return fmt.Errorf("%s: %w: remove the file and run the step again", key, err)
	}
	if want := c.madeFrom(part); want != "" && want != info.Inputs {
		return fmt.Errorf("%s: was made from other parts than those that are committed now: run the step again", key)
	}
	if before, ok := c.before(part); ok && before.SHA256 == info.SHA256 {
		info.File = before.File
	}
	return nil
}

// count adds up, and compares the rejects with the budget.
func (c *committing) count() error {
	m := &c.manifest
	over := RejectsError{Dataset: c.Name, MaxRejects: c.MaxRejects, Codes: map[string]int64{}}
	for part, info := range m.Parts {
		m.Rows += info.Rows
		m.Bytes += info.Bytes
		m.Rejects += info.Rejects
		over.Records += info.Rows
		for _, reject := range c.footers[part].Rejects {
			m.RejectCodes[reject.Code]++
			if schemas.OutsideBudget(reject.Code) {
				continue
			}
			if over.Rejects == 0 {
				over.First = reject
			}
			over.Codes[reject.Code]++
			over.Rejects++
			over.Records++
		}
	}
	if float64(over.Rejects) > Budget(c.MaxRejects, over.Records) {
		return &over
	}
	return nil
}

// write creates the next manifest, unless all is as committed.
func (c *committing) write(ctx context.Context) (Manifest, error) {
	if c.Committed != nil {
		if field, _, _ := c.Committed.Header.Differs(c.header); field == "" && c.header.revision() > c.Committed.Header.revision() {
			old := c.Committed.Manifest
			if slices.Equal(old.Parts, c.manifest.Parts) && slices.Equal(old.Inputs, c.manifest.Inputs) {
				return old, nil // made again, everything came out as it was
			}
		}
	}
	return writeManifest(ctx, c.store, c.Name, c.manifest)
}

// sweep removes what the manifest replaced, and a revision that changed nothing.
func (c *committing) sweep(ctx context.Context, m Manifest) error {
	if c.Committed == nil && c.header.revision() == 1 {
		return nil
	}
	st, err := Look(ctx, c.store, c.Name)
	if err != nil {
		return err
	}
	keys := st.Leftovers()
	if revision := c.header.revision(); max(1, m.Revision) < revision {
		for _, objects := range []string{"", rejectedFolder + "/"} {
			for part := range c.Parts {
				keys = append(keys, c.Name+"/"+objects+PartFile(part, revision))
			}
		}
		keys = append(keys, c.Name+"/"+headerName(revision))
	}
	return removeAll(ctx, c.store, keys)
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

// deriveRejected makes rejected/ say what the footers say: a file for each part's file with rejects. Files of parts that
// are about to be replaced stay until they are.
func (c *committing) deriveRejected(ctx context.Context) error {
	revision := c.header.revision()
	faults := make([]error, c.Parts)
	eachOf(c.Parts, func(part int) {
		f, file := c.footers[part], c.manifest.Parts[part].File
		key := c.Name + "/" + rejectedFolder + "/" + file
		_, there := c.rejected[file]
		switch {
		case len(f.Rejects) > 0 && (c.fresh[part] || !there):
			data, err := EncodePart(f.Rejects, Footer{ConfigDigest: f.ConfigDigest, Part: part, SourceModel: f.SourceModel, CreatedBy: f.CreatedBy})
			if err == nil {
				err = replace(ctx, c.store, key, data)
			}
			faults[part] = err
		case len(f.Rejects) == 0 && there && file == PartFile(part, revision):
			faults[part] = c.store.Remove(ctx, key)
		}
	})
	return errors.Join(faults...)
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
