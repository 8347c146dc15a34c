package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/profuser/profuser/schemas"
)

// DecodePart reads a part's rows and footer. Columns are read page by page into flat slices, of which the rows' lists
// are cuts (do not append to them); that is an order of magnitude faster than assembling rows value by value. A higher
// major version, another record and a missing column are errors; columns that this build does not know are ignored.
// The rows are not validated again.
func DecodePart[T any](data []byte) (rows []T, f Footer, err error) {
	defer recovered(&err)
	file, err := openFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, f, fmt.Errorf("opening Parquet file of %d bytes: %w", len(data), err)
	}
	return decode[T](file, int64(len(data)), nil, nil)
}

// Columns reads some columns, by their names, of a part; the rows' other fields are zero. Of a store that reads pieces
// only the footer and what lies from the first of the columns to the last is asked for. So the part's size is compared
// with the manifest's, its checksum only where something is wrong; Rows always does that.
func Columns[T any](ctx context.Context, d *Dataset, part int, names ...string) (rows []T, err error) {
	o, ok := d.store.(opener)
	if !ok {
		rows, _, err = Rows[T](ctx, d, part)
		return rows, err
	}
	key := d.Key(part)
	r, size, done, err := o.open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err == nil || ctx.Err() != nil {
			return
		}
		if _, _, broken := Rows[T](ctx, d, part); broken != nil {
			err = broken
		} else {
			err = fmt.Errorf("reading columns of %s in %s: %w", key, d.store.URL(), err)
		}
	}()
	defer func() { err = errors.Join(err, done()) }()
	defer recovered(&err)
	if want := d.Manifest.Parts[part].Bytes; size != want {
		return nil, fmt.Errorf("%d bytes, the manifest says %d", size, want)
	}
	end := newTail(r, size)
	file, err := openFile(end, size)
	if err != nil {
		return nil, err
	}
	rows, _, err = decode[T](file, size, names, end)
	return rows, err
}

// decode reads the columns of an open file whose names begin with one of names, all where there are none. What they
// cover is read into at first, where it is not nil.
func decode[T any](file *parquet.File, size int64, names []string, at *tail) (rows []T, f Footer, err error) {
	schema, err := schemaOf[T]()
	if err != nil {
		return nil, f, err
	}
	if f, err = parseFooter(file); err != nil {
		return nil, f, err
	}
	if err := sameRecord(f.Schema, schema); err != nil {
		return nil, f, err
	}
	if err := plausible(file, size); err != nil {
		return nil, f, err
	}
	fields := leaves(reflect.TypeFor[T](), nil, nil)
	if len(names) > 0 {
		fields = slices.DeleteFunc(fields, func(l leaf) bool { return !slices.Contains(names, l.path[0]) })
	}
	if at != nil {
		if err := at.cover(file, fields); err != nil {
			return nil, f, err
		}
	}
	rows = make([]T, file.NumRows())
	value := reflect.ValueOf(rows)
	for _, field := range fields {
		column, ok := file.Schema().Lookup(field.path...)
		if !ok {
			return nil, f, fmt.Errorf("column %s of %s is missing", strings.Join(field.path, "."), schema)
		}
		if err := field.read(file, column, value); err != nil {
			return nil, f, fmt.Errorf("column %s of %s: %w", strings.Join(field.path, "."), schema, err)
		}
	}
	return rows, f, nil
}

// plausible refuses a damaged footer that promises more rows than a file of that size can hold.
func plausible(file *parquet.File, size int64) error {
	const rowsPerByte = 64 // equal rows compress well
	var sum int64
	for _, group := range file.RowGroups() {
		if n := group.NumRows(); n < 0 || n > size*rowsPerByte {
			return fmt.Errorf("a row group of %d rows in a file of %d bytes", n, size)
		}
		sum += group.NumRows()
	}
	if sum != file.NumRows() {
		return fmt.Errorf("%d rows in the row groups, the file says %d", sum, file.NumRows())
	}
	return nil
}

// sameRecord demands that found is a version of the record wanted; parseFooter has checked that it is readable.
func sameRecord(found, wanted string) error {
	foundName, _, err := schemas.SplitVersion(found)
	if err != nil {
		return err
	}
	wantedName, _, err := schemas.SplitVersion(wanted)
	if err != nil {
		return err
	}
	if foundName != wantedName {
		return fmt.Errorf("the rows are of schema %s, want %s", found, wanted)
	}
	return nil
}

// leaf is one column of a record type and the place of its values in the struct.
type leaf struct {
	path  []string // of the column in the file
	outer []int    // index of the struct's field
	inner []int    // index within the element, for lists of structs
	typ   reflect.Type
	list  bool
}

// leaves lists the columns of a record type. Embedded structs are flat, lists are at most one deep.
func leaves(t reflect.Type, path []string, index []int) []leaf {
	var all []leaf
	for i := range t.NumField() {
		field := t.Field(i)
		at := append(append([]int{}, index...), i)
		if field.Anonymous {
			all = append(all, leaves(field.Type, path, at)...)
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("parquet"), ",")
		column := append(append([]string{}, path...), name)
		switch {
		case field.Type.Kind() != reflect.Slice:
			all = append(all, leaf{path: column, outer: at, typ: field.Type})
		case field.Type.Elem().Kind() != reflect.Struct:
			all = append(all, leaf{path: append(column, "list", "element"), outer: at, typ: field.Type.Elem(), list: true})
		default:
			for _, inner := range leaves(field.Type.Elem(), append(column, "list", "element"), nil) {
				inner.outer, inner.inner, inner.list = at, inner.outer, true
				all = append(all, inner)
			}
		}
	}
	return all
}

// read fills the field of every row.
func (l leaf) read(file *parquet.File, column parquet.LeafColumn, rows reflect.Value) error {
	set, err := l.setter(rows)
	if err != nil {
		return err
	}
	first := 0
	for _, group := range file.RowGroups() {
		end := first + int(group.NumRows())
		chunk := group.ColumnChunks()[column.ColumnIndex]
		v := values{max: byte(column.MaxDefinitionLevel), rows: end - first, list: l.list, repeated: column.MaxRepetitionLevel > 0}
		if err := v.load(chunk); err != nil {
			return err
		}
		if err := set(&v, first); err != nil {
			return err
		}
		first = end
	}
	return nil
}

// values are those of one column chunk: flat, with the number that each row has (nil: one each).
type values struct {
	max            byte // definition level of a value that is present
	rows           int
	list, repeated bool
	counts         []int32
	int32s         []int32
	int64s         []int64
	floats         []float32
	doubles        []float64
	bools          []bool
	texts          []string
}

// load reads all pages of the chunk.
func (v *values) load(chunk parquet.ColumnChunk) error {
	if v.list != v.repeated {
		return errors.New("a list where a single value is wanted, or the reverse")
	}
	if v.max > 0 {
		v.counts = make([]int32, 0, v.rows)
	}
	pages := chunk.Pages()
	for {
		page, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = v.page(page)
			parquet.Release(page)
		}
		if err != nil {
			return errors.Join(err, pages.Close())
		}
	}
	if v.counts != nil && len(v.counts) != v.rows {
		return errors.Join(fmt.Errorf("has %d rows, want %d", len(v.counts), v.rows), pages.Close())
	}
	return pages.Close()
}

// page appends one page's counts and values.
func (v *values) page(page parquet.Page) error {
	repetition := page.RepetitionLevels()
	for i, definition := range page.DefinitionLevels() {
		present := definition == v.max
		switch {
		case v.repeated && repetition[i] > 0 && len(v.counts) == 0:
			return errors.New("the first value continues a row")
		case !v.repeated || repetition[i] == 0:
			v.counts = append(v.counts, 0)
		case !present:
			return errors.New("null within a list")
		}
		if present {
			v.counts[len(v.counts)-1]++
		}
	}
	return v.append(page)
}

// append copies one page's values out of the page's buffers.
func (v *values) append(page parquet.Page) error {
	if dictionary := page.Dictionary(); dictionary != nil {
		return errors.New("dictionary encoding is not read: the file was not written by profuser")
	}
	data := page.Data()
	switch kind := page.Type().Kind(); kind {
	case parquet.Int32:
		v.int32s = append(v.int32s, data.Int32()...)
	case parquet.Int64:
		v.int64s = append(v.int64s, data.Int64()...)
	case parquet.Float:
		v.floats = append(v.floats, data.Float()...)
	case parquet.Double:
		v.doubles = append(v.doubles, data.Double()...)
	case parquet.Boolean:
		bits := data.Boolean()
		for i := range int(page.NumValues() - page.NumNulls()) {
			v.bools = append(v.bools, bits[i/8]>>(i%8)&1 == 1)
		}
	case parquet.ByteArray:
		bytes, offsets := data.ByteArray()
		for i := 1; i < len(offsets); i++ {
			v.texts = append(v.texts, string(bytes[offsets[i-1]:offsets[i]]))
		}
	default:
		return fmt.Errorf("physical type %s is not one of ours", kind)
	}
	return nil
}

// setter returns what moves the values of one column chunk into the rows from number first on.
func (l leaf) setter(rows reflect.Value) (func(v *values, first int) error, error) {
	typ := l.typ
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch typ.Kind() {
	case reflect.Int32:
		return func(v *values, first int) error { return assign(l, v, v.int32s, rows, first) }, nil
	case reflect.Int64:
		return func(v *values, first int) error { return assign(l, v, v.int64s, rows, first) }, nil
	case reflect.Float32:
		return func(v *values, first int) error { return assign(l, v, v.floats, rows, first) }, nil
	case reflect.Float64:
		return func(v *values, first int) error { return assign(l, v, v.doubles, rows, first) }, nil
	case reflect.Bool:
		return func(v *values, first int) error { return assign(l, v, v.bools, rows, first) }, nil
	case reflect.String:
		return func(v *values, first int) error { return assign(l, v, v.texts, rows, first) }, nil
	}
	return nil, fmt.Errorf("fields of type %s are not supported", l.typ)
}

// assign gives each row its part of the flat values: V, *V, a cut []V, or the field of each element of a list.
func assign[V any](l leaf, v *values, flat []V, rows reflect.Value, first int) error {
	if err := v.fits(len(flat)); err != nil {
		return err
	}
	begin := 0
	for row := range v.rows {
		count := 1
		if v.counts != nil {
			count = int(v.counts[row])
		}
		own := flat[begin : begin+count : begin+count]
		begin += count
		field := rows.Index(first + row).FieldByIndex(l.outer)
		if l.list && l.inner != nil {
			if err := assignElements(l, own, field); err != nil {
				return fmt.Errorf("row %d: %w", first+row, err)
			}
			continue
		}
		switch target := field.Addr().Interface().(type) {
		case *[]V:
			*target = own
		case **V:
			if count > 0 {
				*target = &own[0]
			}
		case *V:
			if count == 0 {
				return fmt.Errorf("row %d is null", first+row)
			}
			*target = own[0]
		default:
			return fmt.Errorf("the file's values are %T, want %s", flat, l.typ)
		}
	}
	return nil
}

// assignElements sets one field of each element of a list of structs; the first column makes the elements.
func assignElements[V any](l leaf, own []V, field reflect.Value) error {
	if field.IsNil() {
		field.Set(reflect.MakeSlice(field.Type(), len(own), len(own)))
	}
	if field.Len() != len(own) {
		return fmt.Errorf("the list has %d elements in one column and %d in another", field.Len(), len(own))
	}
	for i := range own {
		target, ok := field.Index(i).FieldByIndex(l.inner).Addr().Interface().(*V)
		if !ok {
			return fmt.Errorf("the file's values are %T, want %s", own, l.typ)
		}
		*target = own[i]
	}
	return nil
}

// fits checks that the values loaded are of the column's Go type and as many as the rows say.
func (v *values) fits(n int) error {
	want := v.rows
	if v.counts != nil {
		want = 0
		for _, count := range v.counts {
			want += int(count)
		}
	}
	if n != want {
		return fmt.Errorf("has %d values of the wanted type, want %d", n, want)
	}
	return nil
}
