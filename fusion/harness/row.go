package harness

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Row is one item of a file: JSON's values, those of a Parquet row as maps and lists, or a CSV record's texts.
type Row map[string]any

// field finds a value by its path, such as choices.text.
func (r Row) field(path string) (any, error) {
	var value any = map[string]any(r)
	for part := range strings.SplitSeq(path, ".") {
		object, _ := value.(map[string]any) // of nothing else is a field found
		if value = object[part]; value == nil {
			return nil, fmt.Errorf("field %s: is missing", path)
		}
	}
	return value, nil
}

// text is a text that is not empty.
func (r Row) text(path string) (string, error) {
	s, err := r.anyText(path)
	if err == nil && strip(s) == "" {
		err = fmt.Errorf("field %s: is empty, want a text", path)
	}
	return s, err
}

// anyText is a text that may be empty.
func (r Row) anyText(path string) (string, error) {
	value, err := r.field(path)
	if err != nil {
		return "", err
	}
	s, ok := asText(value)
	if !ok {
		return "", fmt.Errorf("field %s: is %.60v, want a text", path, value)
	}
	return s, nil
}

func asText(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, utf8.ValidString(v)
	case []byte:
		return string(v), utf8.Valid(v)
	}
	return "", false
}

// list is a list of n values or more.
func (r Row) list(path string, n int) ([]any, error) {
	value, err := r.field(path)
	if err != nil {
		return nil, err
	}
	list, ok := value.([]any)
	if !ok || len(list) < n {
		return nil, fmt.Errorf("field %s: is %.60v, want a list of %d or more", path, value, n)
	}
	return list, nil
}

// texts is a list of n texts or more.
func (r Row) texts(path string, n int) ([]string, error) {
	list, err := r.list(path, n)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(list))
	for i, value := range list {
		var ok bool
		if out[i], ok = asText(value); !ok {
			return nil, fmt.Errorf("field %s: its value %d is %.60v, want a text", path, i, value)
		}
	}
	return out, nil
}

// number is a whole number in [0, n), given as a number or as its digits.
func (r Row) number(path string, n int) (int, error) {
	value, err := r.field(path)
	if err != nil {
		return 0, err
	}
	k, ok := asNumber(value)
	if !ok || k < 0 || k >= n {
		return 0, fmt.Errorf("field %s: is %.60v, want a whole number from 0 to %d", path, value, n-1)
	}
	return k, nil
}

func asNumber(value any) (int, bool) {
	switch v := value.(type) {
	case int32:
		return int(v), true
	case int64:
		return int(v), v == int64(int32(v))
	case uint8:
		return int(v), true
	case float64:
		return int(v), v == math.Trunc(v) && math.Abs(v) < 1<<31
	case json.Number:
		return digits(v.String())
	case string:
		return digits(v)
	}
	return 0, false
}

func digits(s string) (int, bool) {
	n, err := strconv.ParseInt(s, 10, 32)
	return int(n), err == nil
}

// space is Python's str.isspace.
func space(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

// strip is Python's str.strip.
func strip(s string) string { return strings.TrimFunc(s, space) }

// stripRight is Python's str.rstrip.
func stripRight(s string) string { return strings.TrimRightFunc(s, space) }
