package jinja

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/nikolalohinski/gonja/v2/exec"
)

// jsonWriter writes as Python's json.dumps does.
type jsonWriter struct {
	out         strings.Builder
	indent      string // "" writes one line
	pretty      bool
	item, colon string // separators
	ascii       bool   // escape everything above ASCII
	sortKeys    bool
}

// toJSON is transformers' tojson: ensure_ascii=False, indent=None, separators=None, sort_keys=False.
func toJSON(_ *exec.Evaluator, in *exec.Value, params *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	args := &arguments{VarArgs: params}
	w := jsonWriter{item: ", ", colon: ": ", ascii: args.value(0, "ensure_ascii").IsTrue(), sortKeys: args.value(3, "sort_keys").IsTrue()}
	switch indent := args.value(1, "indent"); {
	case indent.IsInteger():
		w.pretty, w.indent = true, strings.Repeat(" ", min(max(indent.Integer(), 0), 64))
	case indent.IsString():
		w.pretty, w.indent = true, indent.String()
	}
	if w.pretty {
		w.item = ","
	}
	if separators := args.value(2, "separators"); separators.IsList() && separators.Len() == 2 {
		w.item, w.colon = separators.Index(0).String(), separators.Index(1).String()
	}
	if err := w.value(in, "\n", 0); err != nil {
		return exec.AsValue(fmt.Errorf("tojson: %w", err))
	}
	return exec.AsSafeValue(w.out.String())
}

// maxDepth bounds the nesting of values.
const maxDepth = 1000

// value writes one value; newline carries the indentation so far.
func (w *jsonWriter) value(v *exec.Value, newline string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("values are nested deeper than %d", maxDepth)
	}
	switch {
	case v.IsError():
		return v
	case v.IsNil() || isNone(v):
		w.out.WriteString("null")
	case v.IsBool():
		w.out.WriteString(strconv.FormatBool(v.Bool()))
	case v.IsInteger():
		w.out.WriteString(strconv.Itoa(v.Integer()))
	case v.IsFloat():
		w.float(v.Float())
	case v.IsString():
		return w.text(v.String())
	case v.IsDict():
		return w.object(v, newline, depth)
	case v.IsList():
		n := v.Len()
		return w.items("[]", n, newline, func(i int, inner string) error { return w.value(v.Index(i), inner, depth+1) })
	default:
		return fmt.Errorf("%s cannot be written", v.String())
	}
	return nil
}

func (w *jsonWriter) object(v *exec.Value, newline string, depth int) error {
	keys := v.Keys()
	if w.sortKeys {
		slices.SortStableFunc(keys, func(a, b *exec.Value) int { return strings.Compare(a.String(), b.String()) })
	}
	return w.items("{}", len(keys), newline, func(i int, inner string) error {
		if err := w.text(keys[i].String()); err != nil {
			return err
		}
		w.out.WriteString(w.colon)
		value, _ := v.GetItem(keys[i].Interface())
		return w.value(value, inner, depth+1)
	})
}

func (w *jsonWriter) items(brackets string, n int, newline string, item func(i int, inner string) error) error {
	w.out.WriteString(brackets[:1])
	inner := newline + w.indent
	for i := range n {
		if i > 0 {
			w.out.WriteString(w.item)
		}
		if w.pretty {
			w.out.WriteString(inner)
		}
		if err := item(i, inner); err != nil {
			return err
		}
	}
	if w.pretty && n > 0 {
		w.out.WriteString(newline)
	}
	w.out.WriteString(brackets[1:])
	return nil
}

// float writes as Python's repr.
func (w *jsonWriter) float(f float64) {
	switch size := math.Abs(f); {
	case math.IsNaN(f):
		w.out.WriteString("NaN")
	case math.IsInf(f, 1):
		w.out.WriteString("Infinity")
	case math.IsInf(f, -1):
		w.out.WriteString("-Infinity")
	case size != 0 && (size < 1e-4 || size >= 1e16):
		w.out.WriteString(strconv.FormatFloat(f, 'e', -1, 64))
	case f == math.Trunc(f):
		w.out.WriteString(strconv.FormatFloat(f, 'f', 1, 64))
	default:
		w.out.WriteString(strconv.FormatFloat(f, 'f', -1, 64))
	}
}

func (w *jsonWriter) text(s string) error {
	var plain strings.Builder
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil {
		return err
	}
	// Go escapes the two line separators of JavaScript, Python does not.
	escaped := strings.TrimSuffix(plain.String(), "\n")
	for _, separator := range []rune{'\u2028', '\u2029'} {
		if strings.ContainsRune(s, separator) {
			escaped = unescape(escaped, fmt.Sprintf(`\u%04x`, separator), string(separator))
		}
	}
	if !w.ascii {
		w.out.WriteString(escaped)
		return nil
	}
	for _, r := range escaped {
		if r < 0x80 {
			w.out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&w.out, `\u%04x`, unit)
		}
	}
	return nil
}

// unescape replaces an escape in JSON where its backslash is not itself escaped.
func unescape(s, escape, with string) string {
	var out strings.Builder
	for i := 0; i < len(s); {
		switch {
		case strings.HasPrefix(s[i:], escape):
			out.WriteString(with)
			i += len(escape)
		case s[i] == '\\' && i+1 < len(s):
			out.WriteString(s[i : i+2])
			i += 2
		default:
			out.WriteByte(s[i])
			i++
		}
	}
	return out.String()
}
