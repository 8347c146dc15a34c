package inspect

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/profuser/profuser/internal/dataset"
)

// Show prints what a dataset, the datasets below a folder, or a Parquet file is: schema, counts, sizes by column,
// metadata, and the first rows.
func Show(ctx context.Context, w io.Writer, address string, rows int) error {
	where, err := find(ctx, address)
	if err != nil {
		return err
	}
	out := &page{Writer: w}
	if where.file != "" {
		data, err := where.store.Read(ctx, where.file)
		if err != nil {
			return err
		}
		out.file(where.file, data, rows)
		return out.err
	}
	for i, name := range where.names {
		if i > 0 {
			out.line("")
		}
		if err := out.dataset(ctx, where.store, name, rows, len(where.names) == 1); err != nil {
			return err
		}
	}
	return out.err
}

// page writes lines and keeps the first error.
type page struct {
	io.Writer
	err error
}

func (p *page) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p, format+"\n", args...)
	}
}

// dataset prints one dataset; alone says whether its columns and rows are wanted too.
func (p *page) dataset(ctx context.Context, s dataset.Store, name string, rows int, alone bool) error {
	d, err := dataset.Open(ctx, s, name)
	if err != nil {
		p.line("%s\n  not committed: %v", name, err)
		return ctx.Err()
	}
	h, m := d.Header, d.Manifest
	p.line("%s", name)
	for _, f := range []struct{ name, value string }{
		{"schema", h.Schema},
		{"parts", fmt.Sprintf("%d, manifest %d", len(m.Parts), m.Number)},
		{"rows", fmt.Sprint(m.Rows)},
		{"rejected", rejects(m)},
		{"size", size(m.Bytes)},
		{"configuration", h.ConfigDigest},
		{"source model", h.SourceModel},
		{"source tokenizer", h.SourceTokenizer},
		{"target tokenizer", h.TargetTokenizer},
		{"chat template", h.ChatTemplate},
	} {
		if f.value != "" {
			p.line("  %-17s %s", f.name, f.value)
		}
	}
	for _, in := range m.Inputs {
		p.line("  %-17s %s, %s, parts %d to %d, SHA-256 %s", "input", in.Path, size(in.Bytes), in.FirstPart, in.FirstPart+in.Parts-1, in.SHA256)
	}
	if !alone {
		return nil
	}
	var all dataset.Description
	var first []byte
	for part := range d.Parts() {
		data, err := d.Data(ctx, part)
		if data == nil {
			return err
		} else if err != nil {
			p.line("  %s %v", d.Manifest.Parts[part].File, err)
		}
		one, err := dataset.Describe(data)
		if err != nil {
			return fmt.Errorf("%s: %w", d.Key(part), err)
		}
		all = sum(all, one)
		if first == nil {
			first = data
		}
	}
	p.columns(all)
	p.rows(first, rows)
	return p.err
}

// file prints one Parquet file, ours or another.
func (p *page) file(key string, data []byte, rows int) {
	d, err := dataset.Describe(data)
	if err != nil {
		p.err = fmt.Errorf("%s: %w", key, err)
		return
	}
	p.line("%s\n  %-17s %d in %d row groups\n  %-17s %s\n  %-17s %s", key, "rows", d.Rows, d.Groups, "size", size(d.Bytes), "written by", d.CreatedBy)
	for _, name := range slices.Sorted(maps.Keys(d.Metadata)) {
		p.line("  %-17s %s", strings.TrimPrefix(name, "profuser."), clip(d.Metadata[name], 300))
	}
	p.columns(d)
	p.rows(data, rows)
}

// sum adds a part to the description of its dataset.
func sum(all, one dataset.Description) dataset.Description {
	if all.Columns == nil {
		return one
	}
	all.Bytes += one.Bytes
	all.Rows += one.Rows
	for i := range all.Columns {
		a, b := &all.Columns[i], one.Columns[i]
		a.Bytes, a.Plain, a.Values = a.Bytes+b.Bytes, a.Plain+b.Plain, a.Values+b.Values
	}
	return all
}

// columns prints a table of a file's columns.
func (p *page) columns(d dataset.Description) {
	p.line("")
	t := tabwriter.NewWriter(p, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  column\ttype\tencodings\tvalues\tbytes\tbytes a value\tshare")
	for _, c := range d.Columns {
		fmt.Fprintf(t, "  %s\t%s\t%s, %s\t%d\t%d\t%.2f\t%.1f %%\n", strings.ReplaceAll(c.Path, ".list.element", ""), c.Type, strings.Join(c.Encodings, " "), c.Codec,
			c.Values, c.Bytes, float64(c.Bytes)/float64(max(1, c.Values)), 100*float64(c.Bytes)/float64(max(1, d.Bytes)))
	}
	p.err = cmp.Or(p.err, t.Flush())
}

// rows prints a file's first rows, those of our records by their columns' names.
func (p *page) rows(data []byte, n int) {
	if n == 0 || p.err != nil {
		return
	}
	ours, _, err := decode(data)
	var rows []any
	if err == nil {
		for _, r := range ours[:min(n, len(ours))] {
			rows = append(rows, r)
		}
	} else if rows, err = dataset.AnyRows(data, n); err != nil {
		p.err = fmt.Errorf("reading rows: %w", err)
		return
	}
	for i, r := range rows {
		p.line("\nrow %d", i)
		p.row(reflect.ValueOf(r))
	}
}

// row prints the fields of a row, a line each.
func (p *page) row(v reflect.Value) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if field.Anonymous {
				p.row(v.Field(i))
				continue
			}
			name, _, _ := strings.Cut(field.Tag.Get("parquet"), ",")
			p.line("  %-15s %s", name, short(v.Field(i).Interface()))
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
		for _, k := range keys {
			p.line("  %-15s %s", k, short(v.MapIndex(k).Interface()))
		}
	default:
		p.line("  %s", short(v.Interface()))
	}
}

// short is a value as JSON of one line, cut; of lists the first entries and their number.
func short(x any) string {
	const entries, runes = 12, 200
	if b, isBytes := x.([]byte); isBytes {
		x = string(b)
	}
	v := reflect.ValueOf(x)
	if v.Kind() == reflect.Slice && v.Len() > entries {
		return fmt.Sprintf("%s … %d in all", strings.TrimSuffix(short(v.Slice(0, entries).Interface()), "]"), v.Len())
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(x); err != nil {
		return fmt.Sprint(x)
	}
	return clip(strings.TrimSpace(b.String()), runes)
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}

func rejects(m dataset.Manifest) string {
	if m.Rejects == 0 {
		return "none"
	}
	var codes []string
	for _, code := range slices.Sorted(maps.Keys(m.RejectCodes)) {
		codes = append(codes, fmt.Sprintf("%d %s", m.RejectCodes[code], code))
	}
	return strings.Join(codes, ", ")
}

// size writes a number of bytes.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
