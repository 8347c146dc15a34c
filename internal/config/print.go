package config

import (
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Print writes the resolved configuration: every key with its value, paths resolved. Load reads it back to the same.
func (c *Config) Print(w io.Writer) error {
	var b strings.Builder
	printSection(&b, reflect.ValueOf(c).Elem(), "")
	_, err := io.WriteString(w, b.String())
	return err
}

// printSection writes the keys of a struct, one a line.
func printSection(b *strings.Builder, v reflect.Value, indent string) {
	for i := range v.NumField() {
		key, ok := v.Type().Field(i).Tag.Lookup("yaml")
		if !ok {
			continue
		}
		field := v.Field(i)
		switch {
		case field.Kind() == reflect.Pointer && field.IsNil():
		case field.Kind() == reflect.Pointer:
			fmt.Fprintf(b, "%s%s:\n", indent, key)
			printSection(b, field.Elem(), indent+"  ")
		case field.Kind() == reflect.Struct:
			fmt.Fprintf(b, "%s%s:\n", indent, key)
			printSection(b, field, indent+"  ")
		case field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Struct && field.Len() > 0:
			fmt.Fprintf(b, "%s%s:\n", indent, key)
			for j := range field.Len() {
				var item strings.Builder
				printSection(&item, field.Index(j), indent+"    ")
				b.WriteString(indent + "  - " + strings.TrimLeft(item.String(), " "))
			}
		default:
			fmt.Fprintf(b, "%s%s: %s\n", indent, key, flow(field))
		}
	}
}

// flow writes a value on one line.
func flow(v reflect.Value) string {
	var items []string
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			items = append(items, flow(v.Index(i)))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case reflect.Map:
		for _, key := range v.MapKeys() {
			items = append(items, plain(key.String())+": "+strconv.Quote(v.MapIndex(key).String()))
		}
		slices.Sort(items)
		return "{" + strings.Join(items, ", ") + "}"
	case reflect.String:
		return plain(v.String())
	case reflect.Float64:
		if v.Interface() == None {
			return "none"
		}
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	}
	switch value := v.Interface().(type) {
	case Auto:
		if value == 0 {
			return "auto"
		}
	case time.Duration:
		return value.String()
	}
	return fmt.Sprint(v.Interface())
}

var plainText = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_./-]*(:[A-Za-z0-9_./-]+)*$`)

// plain quotes a text where YAML would read something else.
func plain(text string) string {
	if plainText.MatchString(text) && !looksTyped(text) {
		return text
	}
	return strconv.Quote(text)
}
