package dataset

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/profuser/profuser/schemas"
)

// Column is one column of a Parquet file.
type Column struct {
	// Path is the column's, its levels joined by dots; Type its physical and logical type with repetition.
	Path, Type string
	// Encodings are those of its pages, levels' included; Codec is the compression.
	Encodings []string
	Codec     string
	// Values counts values, nulls included.
	Values int64
	// Bytes is the size in the file, Plain the size of the pages before compression.
	Bytes, Plain int64
}

// Description is what a Parquet file says of itself, of ours or of somebody else's.
type Description struct {
	// Bytes is the file's size, Rows counts rows, Groups row groups.
	Bytes, Rows int64
	Groups      int
	// CreatedBy is the writing library; Metadata the key-value pairs.
	CreatedBy string
	Metadata  map[string]string
	// Columns in the order of the file.
	Columns []Column
}

// Describe reads a Parquet file's footer.
func Describe(data []byte) (d Description, err error) {
	defer recovered(&err)
	file, err := openFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return d, fmt.Errorf("opening Parquet file of %d bytes: %w", len(data), err)
	}
	m := file.Metadata()
	d = Description{Bytes: int64(len(data)), Rows: file.NumRows(), Groups: len(m.RowGroups), CreatedBy: m.CreatedBy, Metadata: map[string]string{}}
	for _, kv := range m.KeyValueMetadata {
		d.Metadata[kv.Key] = kv.Value
	}
	for i, path := range file.Schema().Columns() {
		leaf, _ := file.Schema().Lookup(path...)
		c := Column{Path: strings.Join(path, "."), Type: leaf.Node.Type().String()}
		switch {
		case leaf.MaxRepetitionLevel > 0:
			c.Type = "list<" + c.Type + ">"
		case leaf.MaxDefinitionLevel > 0:
			c.Type = "optional " + c.Type
		}
		for _, group := range m.RowGroups {
			chunk := group.Columns[i].MetaData
			c.Values += chunk.NumValues
			c.Bytes += chunk.TotalCompressedSize
			c.Plain += chunk.TotalUncompressedSize
			c.Codec = chunk.Codec.String()
			for _, e := range chunk.Encoding {
				if name := e.String(); !slices.Contains(c.Encodings, name) {
					c.Encodings = append(c.Encodings, name)
				}
			}
		}
		d.Columns = append(d.Columns, c)
	}
	return d, nil
}

// AnyRows reads the first n rows of any Parquet file, as maps and lists.
func AnyRows(data []byte, n int) (rows []any, err error) {
	err = EachAnyRow(bytes.NewReader(data), int64(len(data)), 0, int64(n), func(row any) error {
		rows = append(rows, row)
		return nil
	})
	return rows, err
}

// AnyCount is the number of rows of any Parquet file.
func AnyCount(r io.ReaderAt, size int64) (int64, error) {
	file, err := openFile(r, size)
	if err != nil {
		return 0, fmt.Errorf("opening Parquet file of %d bytes: %w", size, err)
	}
	return file.NumRows(), nil
}

// EachAnyRow calls f with the rows of any Parquet file from number from on, n of them or as many as there are, as maps and
// lists.
func EachAnyRow(r io.ReaderAt, size, from, n int64, f func(row any) error) (err error) {
	defer recovered(&err)
	file, err := openFile(r, size)
	if err != nil {
		return fmt.Errorf("opening Parquet file of %d bytes: %w", size, err)
	}
	const batch = 64
	reader := parquet.NewGenericReader[any](file)
	defer func() { err = errors.Join(err, reader.Close()) }()
	if from > 0 {
		if err := reader.SeekToRow(from); err != nil {
			return err
		}
	}
	for n = min(n, file.NumRows()-from); n > 0; {
		rows := make([]any, min(n, batch))
		read, err := reader.Read(rows)
		for _, row := range rows[:read] {
			if err := f(row); err != nil {
				return err
			}
		}
		n -= int64(read)
		if read == 0 || err != nil && (n > 0 || !errors.Is(err, io.EOF)) { // EOF comes with the last rows
			return fmt.Errorf("reading rows: %w", cmp.Or(err, io.ErrUnexpectedEOF))
		}
	}
	return nil
}

// Names lists the datasets of a store whose folder begins with prefix, committed or not, sorted.
func Names(ctx context.Context, s Store, prefix string) ([]string, error) {
	keys, err := s.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, key := range keys {
		at := strings.LastIndexByte(key, '/')
		if _, ok := headerRevision(key[at+1:]); ok && at > 0 {
			names = append(names, key[:at])
		}
	}
	return slices.Compact(names), nil
}

// RejectedName is the dataset's folder of rejected rows, parts like its own.
func (d *Dataset) RejectedName() string { return d.name + "/" + rejectedFolder }

// Data reads a part's file as it is; a file without a checksum's agreement comes with an error that says so.
func (d *Dataset) Data(ctx context.Context, part int) ([]byte, error) {
	key, info := d.Key(part), d.Manifest.Parts[part]
	data, err := d.store.Read(ctx, key)
	if err != nil {
		return nil, err
	}
	if found := digest(data); found != info.SHA256 {
		return data, fmt.Errorf("has checksum %s and %d bytes, the manifest says %s and %d: it was changed or damaged; remove it and run the step again", found, len(data), info.SHA256, info.Bytes)
	}
	return data, nil
}

// CheckFooter says where a part's footer differs from the dataset's header.
func (d *Dataset) CheckFooter(f Footer, part int) error { return f.goesWith(d.Header, part) }

// CheckRejected says where rejected/ differs from the footers of the parts, which it is derived from.
func (d *Dataset) CheckRejected(ctx context.Context, footers []Footer) error {
	keys, err := d.store.List(ctx, d.RejectedName()+"/")
	if err != nil {
		return err
	}
	for part, f := range footers {
		key := d.RejectedName() + "/" + d.Manifest.Parts[part].File
		at := slices.Index(keys, key)
		if len(f.Rejects) == 0 {
			continue
		}
		if at < 0 {
			return fmt.Errorf("%s: %w, though the part's footer has %d rejects: run the step again, which derives it", key, fs.ErrNotExist, len(f.Rejects))
		}
		keys = slices.Delete(keys, at, at+1)
		data, err := d.store.Read(ctx, key)
		if err != nil {
			return err
		}
		rows, _, err := DecodePart[schemas.Rejected](data) // rows, as the bytes depend on the version that derived them
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if !slices.Equal(rows, f.Rejects) {
			return fmt.Errorf("%s: differs from the %d rejects in the part's footer: run the step again, which derives it", key, len(f.Rejects))
		}
	}
	if len(keys) > 0 {
		return fmt.Errorf("%s: no part has rejects that it could be derived from: run the step again, which derives it", keys[0])
	}
	return nil
}

// Surplus lists parts' files that are there and not in the manifest, those of an unfinished revision aside.
func (d *Dataset) Surplus(ctx context.Context) ([]string, error) {
	st, err := Look(ctx, d.store, d.name)
	var out []string
	for file := range st.parts {
		if !st.lists(file) && file.revision <= d.Header.revision() {
			out = append(out, PartFile(file.part, file.revision))
		}
	}
	slices.Sort(out)
	return out, err
}
