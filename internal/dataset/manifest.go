package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/profuser/profuser/schemas"
)

const manifestPrefix = "_MANIFEST-"

// Manifest commits a dataset: what is in it, with checksums. The highest valid number counts.
type Manifest struct {
	// Number is the manifest's own, from 1.
	Number int `json:"number"`
	// Revision is that of the header it belongs to, 0 for the first; Reason says why parts were made again, "" if none were.
	Revision int    `json:"revision,omitempty"`
	Reason   string `json:"reason,omitempty"`
	// Schema, ConfigDigest and Depends repeat the header's.
	Schema       string            `json:"schema"`
	ConfigDigest string            `json:"config_digest"`
	Depends      map[string]string `json:"depends,omitempty"`
	// Rows, Rejects and Bytes are sums over the parts.
	Rows    int64 `json:"rows"`
	Rejects int64 `json:"rejects"`
	Bytes   int64 `json:"bytes"`
	// RejectCodes counts rejects by code.
	RejectCodes map[string]int64 `json:"reject_codes"`
	// Parts lists the parts 0 to n-1.
	Parts []PartInfo `json:"parts"`
	// Inputs are the input files that became parts, if the dataset was made from files.
	Inputs []InputFile `json:"inputs,omitempty"`
}

// PartInfo is one part as committed.
type PartInfo struct {
	// Part is the number, File the name in the dataset's folder.
	Part int    `json:"part"`
	File string `json:"file"`
	// Rows and Rejects count records, Bytes is the file's size, SHA256 the hex digest of its bytes.
	Rows    int64  `json:"rows"`
	Rejects int64  `json:"rejects"`
	Bytes   int64  `json:"bytes"`
	SHA256  string `json:"sha256"`
	// Inputs is the InputsDigest of the parts that it was made from, "" for a part made from an input file.
	Inputs string `json:"inputs,omitempty"`
}

// InputFile is one input file, or what was appended to one, and the parts it became.
type InputFile struct {
	// Path is the file as configured.
	Path string `json:"path"`
	// Offset is where its bytes begin in the file: above 0 for what was appended to a file that became parts before.
	Offset int64 `json:"offset,omitempty"`
	// Bytes counts them, SHA256 is their hex digest.
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	// FirstPart is the number of its first part, Parts how many it has.
	FirstPart int `json:"first_part"`
	Parts     int `json:"parts"`
}

// valid checks a manifest against its file name's number and its own sums.
func (m *Manifest) valid(number int) error {
	if m.Number != number {
		return fmt.Errorf("its number is %d", m.Number)
	}
	var rows, size int64
	for i, part := range m.Parts {
		if n, _, ok := partNumber(part.File); part.Part != i || n != i || !ok || len(part.SHA256) != 64 {
			return fmt.Errorf("its entry %d is not %s, or one of its revisions, with a checksum", i, PartName(i))
		}
		rows += part.Rows
		size += part.Bytes
	}
	if rows != m.Rows || size != m.Bytes || len(m.Parts) == 0 {
		return fmt.Errorf("its %d parts have %d rows and %d bytes, it says %d and %d", len(m.Parts), rows, size, m.Rows, m.Bytes)
	}
	return nil
}

// manifestName is the file of a manifest.
func manifestName(number int) string {
	return fmt.Sprintf("%s%06d%s", manifestPrefix, number, jsonSuffix)
}

// writeManifest gives m the next number and creates it, unless the newest says the same.
func writeManifest(ctx context.Context, s Store, name string, m Manifest) (Manifest, error) {
	for {
		keys, err := s.List(ctx, name+"/"+manifestPrefix)
		if err != nil {
			return Manifest{}, err
		}
		newest, highest, err := newestManifest(ctx, s, name, keys)
		if err != nil && !errors.Is(err, errNoManifest) {
			return Manifest{}, err
		}
		if same := m; newest.Number > 0 {
			same.Number, same.Reason = newest.Number, newest.Reason
			if reflect.DeepEqual(same, newest) {
				return newest, nil
			}
		}
		m.Number = highest + 1
		data, err := json.MarshalIndent(m, "", " ")
		if err != nil {
			return Manifest{}, err
		}
		err = s.Create(ctx, name+"/"+manifestName(m.Number), append(data, '\n'))
		if !errors.Is(err, ErrExists) {
			return m, err
		}
		// Another commit was first: look at what it wrote.
	}
}

var errNoManifest = errors.New("no valid manifest (" + manifestPrefix + "000001" + jsonSuffix + "): the step that writes it has not finished; run it again")

// newestManifest returns the valid manifest with the highest number, and the highest number of any, among sorted keys.
func newestManifest(ctx context.Context, s Store, name string, keys []string) (m Manifest, highest int, err error) {
	var faults []string
	for _, key := range slices.Backward(keys) {
		file := strings.TrimPrefix(key, name+"/")
		digits, ok := isManifest(file)
		number, numberErr := strconv.Atoi(digits)
		if !ok || numberErr != nil {
			continue
		}
		highest = max(highest, number)
		data, err := s.Read(ctx, key)
		if err != nil {
			return m, highest, err
		}
		m = Manifest{}
		if err = json.Unmarshal(data, &m); err == nil {
			err = m.valid(number)
		}
		if err == nil {
			return m, highest, nil
		}
		faults = append(faults, fmt.Sprintf("%s: %v", file, err))
	}
	if len(faults) > 0 {
		return Manifest{}, highest, fmt.Errorf("%w (%s)", errNoManifest, strings.Join(faults, "; "))
	}
	return Manifest{}, highest, errNoManifest
}

// Dataset is a committed dataset, open for reading.
type Dataset struct {
	// Header is the dataset's _DATASET.json.
	Header Header
	// Manifest is the newest valid one.
	Manifest Manifest

	store Store
	name  string
}

// Open opens a committed dataset. A missing header or manifest, or a schema that this build cannot read, is an error
// that names it.
func Open(ctx context.Context, s Store, name string) (*Dataset, error) {
	keys, err := s.List(ctx, name+"/_")
	if err != nil {
		return nil, err
	}
	return open(ctx, s, name, keys)
}

// open opens a dataset whose folder has headers and manifests with these keys, sorted.
func open(ctx context.Context, s Store, name string, keys []string) (d *Dataset, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("opening dataset %s in %s: %w", name, s.URL(), err)
		}
	}()
	if newestRevision(name, keys) == 0 {
		return nil, fmt.Errorf("%s is missing: no step has begun it (%w)", headerFile, fs.ErrNotExist)
	}
	d = &Dataset{store: s, name: name}
	if d.Manifest, _, err = newestManifest(ctx, s, name, keys); err != nil {
		return nil, err
	}
	if d.Header, err = readHeader(ctx, s, name, d.Manifest.Revision); err != nil {
		return nil, err
	}
	if err = schemas.CheckReadable(d.Header.Schema); err != nil {
		return nil, err
	}
	if d.Manifest.Schema != d.Header.Schema || d.Manifest.ConfigDigest != d.Header.ConfigDigest {
		return nil, fmt.Errorf("the manifest is of %s with configuration digest %q, the header of %s with %q",
			d.Manifest.Schema, d.Manifest.ConfigDigest, d.Header.Schema, d.Header.ConfigDigest)
	}
	return d, nil
}

// Name returns the dataset's name, its folder in the store.
func (d *Dataset) Name() string { return d.name }

// Parts returns the number of parts.
func (d *Dataset) Parts() int { return len(d.Manifest.Parts) }

// Key returns the key of a part's file, which is another one after the part was made again.
func (d *Dataset) Key(part int) string { return d.name + "/" + d.Manifest.Parts[part].File }

// Input names a part with its checksum, for the footer of a part that is made from it. The path is the part's, whichever
// file holds it, so that what is made from it does not depend on how often it was made.
func (d *Dataset) Input(part int) Input {
	return Input{Path: d.name + "/" + PartName(part), SHA256: d.Manifest.Parts[part].SHA256}
}

// CheckTargetTokenizer refuses a fusion dataset that was made for another target tokenizer.
func (d *Dataset) CheckTargetTokenizer(fingerprint string) error {
	if d.Header.TargetTokenizer != fingerprint {
		return fmt.Errorf("dataset %s in %s was made for the target tokenizer with fingerprint %q, this target has %q: fuse again for this target",
			d.name, d.store.URL(), d.Header.TargetTokenizer, fingerprint)
	}
	return nil
}

// CheckSourceTokenizer refuses a dataset of distributions over another source tokenizer's vocabulary.
func (d *Dataset) CheckSourceTokenizer(fingerprint string) error {
	if d.Header.SourceTokenizer != fingerprint {
		return fmt.Errorf("dataset %s in %s was made with the source tokenizer with fingerprint %q, this source has %q: make it again with this source",
			d.name, d.store.URL(), d.Header.SourceTokenizer, fingerprint)
	}
	return nil
}

// Rows reads one part; its bytes must have the checksum of the manifest.
func Rows[T any](ctx context.Context, d *Dataset, part int) ([]T, Footer, error) {
	if part < 0 || part >= d.Parts() {
		return nil, Footer{}, fmt.Errorf("dataset %s has the parts 0 to %d, not %d", d.name, d.Parts()-1, part)
	}
	key, info := d.Key(part), d.Manifest.Parts[part]
	data, err := d.store.Read(ctx, key)
	if err != nil {
		return nil, Footer{}, err
	}
	if found := digest(data); found != info.SHA256 {
		return nil, Footer{}, fmt.Errorf("%s in %s has checksum %s and %d bytes, the manifest says %s and %d: it was changed or damaged; remove it and run the step again",
			key, d.store.URL(), found, len(data), info.SHA256, info.Bytes)
	}
	rows, f, err := DecodePart[T](data)
	if err != nil {
		return nil, f, fmt.Errorf("%s in %s: %w", key, d.store.URL(), err)
	}
	return rows, f, nil
}

// All reads every row of a committed dataset, as Rows does.
func All[T any](ctx context.Context, s Store, name string) (all []T, err error) {
	d, err := Open(ctx, s, name)
	if err != nil {
		return nil, err
	}
	for part := range d.Parts() {
		rows, _, err := Rows[T](ctx, d, part)
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}

// Footer reads the footer of a part.
func (d *Dataset) Footer(ctx context.Context, part int) (Footer, error) {
	f, _, err := footerAt(ctx, d.store, d.Key(part))
	return f, err
}

// isManifest cuts the number out of _MANIFEST-000001.json.
func isManifest(file string) (digits string, ok bool) {
	digits, isPrefix := strings.CutPrefix(file, manifestPrefix)
	digits, isSuffix := strings.CutSuffix(digits, jsonSuffix)
	return digits, isPrefix && isSuffix
}
