package config

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault is one thing wrong with the configuration.
type Fault struct {
	// Where is file:line, or the --set option.
	Where string
	// Key is the path of the key, "" for the whole file.
	Key string
	// Message says what is there and what is allowed.
	Message string
}

// String returns file:line: key: message.
func (f Fault) String() string {
	if f.Key == "" {
		return f.Where + ": " + f.Message
	}
	return f.Where + ": " + f.Key + ": " + f.Message
}

// Faults is everything wrong with the configuration, in the order found.
type Faults []Fault

// Error lists the faults, one a line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

func (f *Faults) add(where, key, format string, args ...any) {
	*f = append(*f, Fault{Where: where, Key: key, Message: fmt.Sprintf(format, args...)})
}

// decoder fills section types from nodes and remembers where each key stands.
type decoder struct {
	faults *Faults
	where  map[string]string
	given  map[string]bool // keys that do not have their default
}

// section fills a struct: defaults first, then what the node says. A nil node leaves the defaults.
func (d *decoder) section(n *node, path, where string, v reflect.Value) {
	if n != nil && n.kind != mapping {
		if !n.null() {
			d.faults.add(n.where, path, "is %s, want a section with the keys %s", n, strings.Join(keysOf(v.Type()), ", "))
		}
		n = nil
	}
	if n != nil {
		where = n.where
		for i, key := range n.keys {
			if keys := keysOf(v.Type()); !slices.Contains(keys, key) {
				d.faults.add(n.values[i].where, join(path, key), "is no key, want one of %s", strings.Join(keys, ", "))
			}
		}
	}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		key, ok := field.Tag.Lookup("yaml")
		if !ok {
			continue
		}
		d.field(n, join(path, key), key, where, field, v.Field(i))
	}
}

// field fills one field of a section.
func (d *decoder) field(n *node, path, key, where string, field reflect.StructField, v reflect.Value) {
	var child *node
	if n != nil {
		child = n.get(key)
	}
	d.where[path] = where
	if child != nil {
		d.where[path], d.given[path] = child.where, true
	}
	if v.Kind() == reflect.Struct {
		d.section(child, path, where, v)
		return
	}
	if text, ok := field.Tag.Lookup("default"); ok {
		own := reader{file: path, faults: d.faults}
		if value := own.parse([]byte("default: " + quoteEmpty(text))); value != nil {
			d.value(value.get("default"), path, field.Tag, v)
		}
	}
	switch {
	case child != nil && child.null() && v.Kind() != reflect.Pointer:
		d.faults.add(child.where, path, "is empty, want %s", wanted(v.Type(), field.Tag))
	case child != nil:
		d.value(child, path, field.Tag, v)
	case field.Tag.Get("required") != "":
		d.faults.add(where, path, "is missing, want %s", wanted(v.Type(), field.Tag))
	}
}

func quoteEmpty(text string) string {
	if text == "" {
		return `""`
	}
	return text
}

// value fills v, which is no section, and checks it against the tag's allow.
func (d *decoder) value(n *node, path string, tag reflect.StructTag, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !n.null() {
			v.Set(reflect.New(v.Type().Elem()))
			d.section(n, path, n.where, v.Elem())
		}
		return
	case reflect.Slice:
		d.list(n, path, tag, v)
		return
	case reflect.Map:
		d.table(n, path, tag, v)
		return
	}
	if !d.scalar(n, v) {
		d.faults.add(n.where, path, "is %s, want %s", n, wanted(v.Type(), tag))
		return
	}
	if !allowed(v, tag.Get("allow")) {
		d.faults.add(n.where, path, "is %s, want %s", n, wanted(v.Type(), tag))
	}
}

func (d *decoder) list(n *node, path string, tag reflect.StructTag, v reflect.Value) {
	if n.kind != list {
		d.faults.add(n.where, path, "is %s, want %s", n, wanted(v.Type(), tag))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.values), len(n.values)))
	for i, child := range n.values {
		at := fmt.Sprintf("%s[%d]", path, i)
		d.where[at] = child.where
		if v.Type().Elem().Kind() == reflect.Struct {
			d.section(child, at, child.where, v.Index(i))
		} else {
			d.value(child, at, tag, v.Index(i))
		}
	}
	if len(n.values) == 0 && tag.Get("required") != "" {
		d.faults.add(n.where, path, "is an empty list, want %s", wanted(v.Type(), tag))
	}
}

func (d *decoder) table(n *node, path string, tag reflect.StructTag, v reflect.Value) {
	if n.kind != mapping {
		d.faults.add(n.where, path, "is %s, want %s", n, wanted(v.Type(), tag))
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for i, key := range n.keys {
		if n.values[i].kind != scalar {
			d.faults.add(n.values[i].where, join(path, key), "is %s, want a text or number", n.values[i])
			continue
		}
		v.SetMapIndex(reflect.ValueOf(key), reflect.ValueOf(n.values[i].text))
	}
}

// scalar sets v from a scalar of its own type; false when the type differs.
func (d *decoder) scalar(n *node, v reflect.Value) bool {
	if n.kind != scalar || n.quoted && v.Kind() != reflect.String {
		return false
	}
	switch target := v.Addr().Interface().(type) {
	case *string:
		*target = n.text
		return n.quoted || !looksTyped(n.text)
	case *bool:
		*target = n.text == "true"
		return n.text == "true" || n.text == "false"
	case *float64:
		number, err := strconv.ParseFloat(n.text, 64)
		*target = number
		return err == nil && !math.IsNaN(number) && !math.IsInf(number, 0)
	case *Coefficient:
		if n.text == "none" {
			*target = None
			return true
		}
		number, err := strconv.ParseFloat(n.text, 64)
		if err != nil || !(number >= 0) || math.IsInf(number, 0) {
			return false
		}
		*target = Coefficient(number)
		return true
	case *time.Duration:
		duration, err := time.ParseDuration(n.text)
		*target = duration
		return err == nil && duration > 0
	case *Auto:
		if n.text == "auto" {
			*target = 0
			return true
		}
		number, err := strconv.ParseInt(n.text, 10, 32)
		*target = Auto(number)
		return err == nil && number > 0
	}
	number, err := strconv.ParseInt(n.text, 10, 64)
	v.SetInt(number)
	return err == nil
}

// looksTyped says whether a plain scalar is a number, a boolean or nothing, which a text would have to quote.
func looksTyped(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil || slices.Contains([]string{"true", "false", "null", "~", ""}, text)
}

// budget is the allow of a reject budget: a share, or a number of records.
const budget = "[0, 1) or a whole number"

func keysOf(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		if key, ok := t.Field(i).Tag.Lookup("yaml"); ok {
			keys = append(keys, key)
		}
	}
	return keys
}

// allowed checks a number against an interval, such as (0, 1], and a text against words, such as kl | ce; a word that ends
// in … stands for all texts that begin as it does and go on.
func allowed(v reflect.Value, allow string) bool {
	var number float64
	switch v.Kind() {
	case reflect.String:
		return allow == "" || slices.ContainsFunc(strings.Split(allow, " | "), func(word string) bool {
			stem, open := strings.CutSuffix(word, "…")
			return word == v.String() || (open && strings.HasPrefix(v.String(), stem) && v.String() != stem)
		})
	case reflect.Int, reflect.Int64:
		number = float64(v.Int())
	case reflect.Float64:
		number = v.Float()
	default:
		return true
	}
	if v.Type() == reflect.TypeFor[Coefficient]() && number == float64(None) {
		return true
	}
	if allow == budget {
		return number >= 0 && (number < 1 || number == math.Trunc(number))
	}
	low, high, ok := strings.Cut(strings.Trim(allow, "[]()"), ", ")
	if !ok || v.Type() == reflect.TypeFor[Auto]() && number == 0 {
		return true
	}
	least, _ := strconv.ParseFloat(low, 64) // the tests read every tag
	most, _ := strconv.ParseFloat(high, 64)
	return (number > least || number == least && allow[0] == '[') && (number < most || number == most && allow[len(allow)-1] == ']')
}

// wanted says what a key takes.
func wanted(t reflect.Type, tag reflect.StructTag) string {
	allow := tag.Get("allow")
	switch t.Kind() {
	case reflect.Pointer, reflect.Struct:
		return "a section"
	case reflect.Map:
		return "a section of texts"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return "a list of sections"
		}
		return "a list, each " + wanted(t.Elem(), tag)
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		switch {
		case allow != "":
			return strings.ReplaceAll(allow, " | ", " or ")
		case tag.Get("path") == "dir":
			return "a directory"
		case tag.Get("path") == "file":
			return "a file"
		}
		return "a text"
	case reflect.Float64:
		if t == reflect.TypeFor[Coefficient]() {
			return "none or a number in " + allow
		}
		return strings.TrimSpace("a number in " + allow)
	}
	switch t {
	case reflect.TypeFor[Auto]():
		return "auto or a whole number in " + allow
	case reflect.TypeFor[time.Duration]():
		return "a duration above 0, such as 120s"
	}
	return "a whole number in " + allow
}
