package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	parquetzstd "github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/profuser/profuser/schemas"
)

// Input names a file that a part was made from.
type Input struct {
	// Path is the key in the same store, or the input file's name.
	Path string `json:"path"`
	// SHA256 is the digest of its bytes, hex.
	SHA256 string `json:"sha256"`
}

// Footer is what a part says of itself: the key-value metadata of the Parquet file.
type Footer struct {
	// Schema is the record's name and version; EncodePart fills it in from the record type.
	Schema string
	// ConfigDigest is the digest of the configuration the rows depend on.
	ConfigDigest string
	// Part is the part's number, from 0.
	Part int
	// SourceTokenizer is the fingerprint of the vocabulary of TokenDistributions, "" for rows without.
	SourceTokenizer string
	// TargetTokenizer is the fingerprint of the vocabulary of FusionExample, "" for rows without.
	TargetTokenizer string
	// SourceModel is the model's name in the configuration, "" if none.
	SourceModel string
	// Truncate is how distributions were truncated, in words.
	Truncate string
	// ChatTemplate is the digest of the chat format, "" if none.
	ChatTemplate string
	// CreatedBy is the program and version that wrote the part.
	CreatedBy string
	// Inputs are the part files, or input files, that this part was made from.
	Inputs []Input
	// Rejects are the part's records that could not be processed.
	Rejects []schemas.Rejected
}

const metadataPrefix = "profuser."

// texts lists the text entries of a footer with their keys.
func (f *Footer) texts() map[string]*string {
	return map[string]*string{
		"schema": &f.Schema, "config_digest": &f.ConfigDigest, "source_tokenizer": &f.SourceTokenizer,
		"target_tokenizer": &f.TargetTokenizer, "source_model": &f.SourceModel, "truncate": &f.Truncate,
		"chat_template": &f.ChatTemplate, "created_by": &f.CreatedBy,
	}
}

// options returns the footer as key-value metadata. Empty texts are left out; parquet-go sorts the keys.
func (f *Footer) options() ([]parquet.WriterOption, error) {
	inputs, err := json.Marshal(append([]Input{}, f.Inputs...))
	if err != nil {
		return nil, fmt.Errorf("encoding inputs: %w", err)
	}
	rejects, err := json.Marshal(append([]schemas.Rejected{}, f.Rejects...))
	if err != nil {
		return nil, fmt.Errorf("encoding rejects: %w", err)
	}
	options := []parquet.WriterOption{
		parquet.KeyValueMetadata(metadataPrefix+"part", strconv.Itoa(f.Part)),
		parquet.KeyValueMetadata(metadataPrefix+"inputs", string(inputs)),
		parquet.KeyValueMetadata(metadataPrefix+"rejects", string(rejects)),
	}
	for key, value := range f.texts() {
		if *value != "" {
			options = append(options, parquet.KeyValueMetadata(metadataPrefix+key, *value))
		}
	}
	return options, nil
}

// parseFooter reads the footer and refuses rows that this build cannot read.
func parseFooter(file *parquet.File) (Footer, error) {
	var f Footer
	for key, field := range f.texts() {
		*field, _ = file.Lookup(metadataPrefix + key)
	}
	if f.Schema == "" {
		return f, errors.New("no profuser.schema in the file's metadata: not a part of a profuser dataset")
	}
	if err := schemas.CheckReadable(f.Schema); err != nil {
		return f, err
	}
	part, _ := file.Lookup(metadataPrefix + "part")
	var err error
	if f.Part, err = strconv.Atoi(part); err != nil || f.Part < 0 {
		return f, fmt.Errorf("profuser.part is %q, want a part's number, 0 or more", part)
	}
	for key, list := range map[string]any{"inputs": &f.Inputs, "rejects": &f.Rejects} {
		text, ok := file.Lookup(metadataPrefix + key)
		if !ok {
			continue
		}
		if err := json.Unmarshal([]byte(text), list); err != nil {
			return f, fmt.Errorf("profuser.%s is not the JSON list it should be: %w", key, err)
		}
	}
	return f, nil
}

// openFile opens a Parquet file; a file cut short or damaged is an error.
func openFile(r io.ReaderAt, size int64) (file *parquet.File, err error) {
	defer recovered(&err)
	return parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
}

// recovered turns a panic of the Parquet library over damaged bytes into an error.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("damaged Parquet file: %v", p)
	}
}

// DecodeFooter returns a part's footer and number of rows without its rows.
func DecodeFooter(data []byte) (f Footer, rows int64, err error) {
	file, err := openFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return f, 0, fmt.Errorf("opening Parquet file of %d bytes: %w", len(data), err)
	}
	f, err = parseFooter(file)
	return f, file.NumRows(), err
}

// PartFooter reads the footer of one part, as first made, and its number of rows; only the end of the file is read.
func PartFooter(ctx context.Context, s Store, name string, part int) (f Footer, rows int64, err error) {
	return footerAt(ctx, s, name+"/"+PartName(part))
}

func footerAt(ctx context.Context, s Store, key string) (f Footer, rows int64, err error) {
	o, ok := s.(opener)
	if !ok {
		data, err := s.Read(ctx, key)
		if err != nil {
			return f, 0, err
		}
		return DecodeFooter(data)
	}
	r, size, done, err := o.open(ctx, key)
	if err != nil {
		return f, 0, err
	}
	file, err := openFile(newTail(r, size), size)
	if err == nil {
		f, err = parseFooter(file)
		rows = file.NumRows()
	}
	if err = errors.Join(err, done()); err != nil {
		return f, 0, fmt.Errorf("reading the footer of %s: %w", key, err)
	}
	return f, rows, nil
}

// tail serves the end of a file from one read, so that a footer costs one or two requests, and so a piece of it.
type tail struct {
	io.ReaderAt
	start int64
	data  []byte
	err   error
	// piece is what cover has read, from offset first on.
	piece []byte
	first int64
}

// cover reads what lies from the first to the last of some columns of the file's row groups.
func (t *tail) cover(file *parquet.File, fields []leaf) error {
	first, last := t.start, int64(0)
	for _, group := range file.Metadata().RowGroups {
		for _, field := range fields {
			column, ok := file.Schema().Lookup(field.path...)
			if !ok || column.ColumnIndex >= len(group.Columns) {
				continue
			}
			m := group.Columns[column.ColumnIndex].MetaData
			at := m.DataPageOffset
			if m.DictionaryPageOffset > 0 {
				at = min(at, m.DictionaryPageOffset)
			}
			first, last = min(first, at), max(last, at+m.TotalCompressedSize)
		}
	}
	last = min(last, t.start)
	if first < 0 || first >= last {
		return nil // all of it is at hand
	}
	t.first, t.piece = first, make([]byte, last-first)
	if n, err := t.ReaderAt.ReadAt(t.piece, first); n < len(t.piece) {
		return err
	}
	return nil
}

func newTail(r io.ReaderAt, size int64) *tail {
	const window = 64 << 10
	t := &tail{ReaderAt: r, start: max(0, size-window)}
	t.data = make([]byte, size-t.start)
	if n, err := r.ReadAt(t.data, t.start); n < len(t.data) {
		t.err = err
	}
	return t
}

// ReadAt implements io.ReaderAt.
func (t *tail) ReadAt(p []byte, offset int64) (int, error) {
	const magic = "PAR1" // the first four bytes are asked for first and say nothing that the last four do not
	switch {
	case t.err != nil:
		return 0, t.err
	case offset >= t.start:
		n := copy(p, t.data[min(offset-t.start, int64(len(t.data))):])
		if n < len(p) {
			return n, io.EOF
		}
		return n, nil
	case offset >= t.first && offset < t.first+int64(len(t.piece)):
		n := copy(p, t.piece[offset-t.first:])
		if n == len(p) {
			return n, nil
		}
		rest, err := t.ReadAt(p[n:], offset+int64(n))
		return n + rest, err
	case offset == 0 && len(p) == len(magic):
		return copy(p, magic), nil
	}
	return t.ReaderAt.ReadAt(p, offset)
}

// record is what the row types of schemas have in common.
type record interface {
	Schema() string
	Validate() error
}

// schemaOf returns the schema's name and version of the rows T.
func schemaOf[T any]() (string, error) {
	r, ok := any(new(T)).(record)
	if !ok {
		return "", fmt.Errorf("%T is no record of package schemas", *new(T))
	}
	return r.Schema(), nil
}

// blobs are columns whose values are too long to be worth statistics.
var blobs = [][]string{
	{"text"}, {"reference"}, {"meta"}, {"message"}, {"messages", "list", "element", "content"},
}

// compression is zstd with one encoder for all parts. The level was measured (docs/datasets.md): 4 % smaller than the
// default for a fifth more time in writing.
var compression = &codec{encoder: sync.OnceValues(func() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true),
		zstd.WithZeroFrames(true), zstd.WithEncoderCRC(false))
})}

// codec is the library's, but for its encoder: 5 MB a processor for as long as the process lives, where the library's own
// takes 20 MB for each part that is being written. A window of 1 MiB holds any page.
type codec struct {
	parquetzstd.Codec
	encoder func() (*zstd.Encoder, error)
}

// Encode compresses a page; what is in it decides the bytes alone.
func (c *codec) Encode(dst, src []byte) ([]byte, error) {
	e, err := c.encoder()
	if err != nil {
		return nil, err
	}
	return e.EncodeAll(src, dst[:0]), nil
}

// writerOptions are the settings of every file: zstd, page index, statistics of columns (not of pages, which the page
// index repeats), and nothing that depends on the machine or the time.
func writerOptions[T any]() []parquet.WriterOption {
	options := []parquet.WriterOption{
		parquet.Compression(compression),
		parquet.CreatedBy("profuser", "1", "parts"),
		parquet.DataPageStatistics(false),
		parquet.ColumnIndexSizeLimit(func([]string) int { return idBytes }),
		parquet.MaxRowsPerRowGroup(1 << 40), // a part is one row group
	}
	columns := parquet.SchemaOf(new(T)).Columns()
	for _, path := range blobs {
		if slices.ContainsFunc(columns, func(column []string) bool { return slices.Equal(column, path) }) {
			options = append(options, parquet.SkipPageBounds(path...))
		}
	}
	return options
}

// idBytes is the length of a prompt id, so that the page index holds ids whole.
const idBytes = 32

// EncodePart validates the rows and returns them as a Parquet file of one row group. Equal rows and footers give equal
// bytes. No rows are allowed: a part whose records were all rejected.
func EncodePart[T any](rows []T, f Footer) (data []byte, err error) {
	schema, err := schemaOf[T]()
	if err != nil {
		return nil, fmt.Errorf("encoding part %d: %w", f.Part, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("encoding part %d of %s: %w", f.Part, schema, err)
		}
	}()
	defer recovered(&err)
	if f.Part < 0 || f.Schema != "" && f.Schema != schema {
		return nil, fmt.Errorf("the footer says part %d of schema %q", f.Part, f.Schema)
	}
	for i := range rows {
		if err := any(&rows[i]).(record).Validate(); err != nil {
			return nil, fmt.Errorf("row %d: %w", i, err)
		}
	}
	for i := range f.Rejects {
		if err := f.Rejects[i].Validate(); err != nil {
			return nil, fmt.Errorf("reject %d: %w", i, err)
		}
	}
	f.Schema = schema
	metadata, err := f.options()
	if err != nil {
		return nil, err
	}
	var file bytes.Buffer
	w := parquet.NewGenericWriter[T](&file, append(writerOptions[T](), metadata...)...)
	if _, err := w.Write(rows); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return file.Bytes(), nil
}

// RowWriter writes rows of any struct with parquet tags as a Parquet file for others: no footer of ours, each Write a row
// group.
type RowWriter[T any] struct{ w *parquet.GenericWriter[T] }

// NewRowWriter begins a file.
func NewRowWriter[T any](out io.Writer) *RowWriter[T] {
	return &RowWriter[T]{parquet.NewGenericWriter[T](out, writerOptions[T]()...)}
}

// Write adds a row group.
func (r *RowWriter[T]) Write(rows []T) (err error) {
	defer recovered(&err)
	if len(rows) == 0 {
		return nil
	}
	if _, err := r.w.Write(rows); err != nil {
		return err
	}
	return r.w.Flush()
}

// Close ends the file.
func (r *RowWriter[T]) Close() (err error) {
	defer recovered(&err)
	return r.w.Close()
}
