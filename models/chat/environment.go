package chat

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/exec"
)

// today is what strftime_now tells: the date that Llama-3's template falls back to. A prompt must not
// depend on the day it is made.
var today = time.Date(2024, time.July, 26, 0, 0, 0, 0, time.UTC)

// environment has Jinja's builtins and what transformers adds.
var environment = sync.OnceValue(func() *exec.Environment {
	filters := exec.NewFilterSet(map[string]exec.FilterFunction{})
	filters.Update(builtins.Filters).Update(exec.NewFilterSet(map[string]exec.FilterFunction{"tojson": toJSON}))
	globals := exec.EmptyContext().Update(builtins.GlobalFunctions).Update(builtins.GlobalVariables)
	globals.Set("strftime_now", func(_ *exec.Evaluator, params *exec.VarArgs) (string, error) {
		return strftime(today, firstString(params))
	})
	return &exec.Environment{
		Context:           globals,
		Filters:           filters,
		Tests:             builtins.Tests,
		ControlStructures: builtins.ControlStructures,
		Methods:           builtins.Methods,
	}
})

// firstString is the first argument of a call, "" without one.
func firstString(params *exec.VarArgs) string {
	if len(params.Args) == 0 {
		return ""
	}
	return params.Args[0].String()
}

// strftime formats a time by the directives that chat templates use.
func strftime(at time.Time, format string) (string, error) {
	layouts := map[byte]string{
		'd': "02", 'b': "Jan", 'B': "January", 'm': "01", 'y': "06", 'Y': "2006", 'a': "Mon", 'A': "Monday",
		'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'j': "002",
	}
	var out strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			out.WriteByte(format[i])
			continue
		}
		i++
		layout, ok := layouts[format[i]]
		switch {
		case ok:
			out.WriteString(at.Format(layout))
		case format[i] == '%':
			out.WriteByte('%')
		default:
			return "", fmt.Errorf("strftime_now: directive %%%c is not supported", format[i])
		}
	}
	return out.String(), nil
}

// toJSON writes a value as Python's json.dumps does with ensure_ascii=False; keys are sorted.
func toJSON(_ *exec.Evaluator, in *exec.Value, params *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	indent := ""
	if value, ok := params.KwArgs["indent"]; ok && value.IsInteger() {
		indent = strings.Repeat(" ", min(max(value.Integer(), 0), 16))
	}
	var out strings.Builder
	if err := writeJSON(&out, in.ToGoSimpleType(false), indent, "\n"); err != nil {
		return exec.AsValue(fmt.Errorf("tojson: %w", err))
	}
	return exec.AsSafeValue(out.String())
}

// writeJSON writes with Python's separators; newline carries the indentation so far.
func writeJSON(out *strings.Builder, value any, indent, newline string) error {
	switch v := value.(type) {
	case error:
		return v
	case map[string]any:
		keys := sortedKeys(v)
		return writeItems(out, "{}", len(keys), indent, newline, func(i int, inner string) error {
			if err := writeJSON(out, keys[i], indent, inner); err != nil {
				return err
			}
			out.WriteString(": ")
			return writeJSON(out, v[keys[i]], indent, inner)
		})
	case []any:
		return writeItems(out, "[]", len(v), indent, newline, func(i int, inner string) error {
			return writeJSON(out, v[i], indent, inner)
		})
	}
	var plain strings.Builder
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	out.WriteString(strings.TrimSuffix(plain.String(), "\n"))
	return nil
}

func writeItems(out *strings.Builder, brackets string, n int, indent, newline string, item func(i int, inner string) error) error {
	out.WriteString(brackets[:1])
	inner := newline + indent
	for i := range n {
		switch {
		case i > 0 && indent == "":
			out.WriteString(", ")
		case i > 0:
			out.WriteString(",")
		}
		if indent != "" {
			out.WriteString(inner)
		}
		if err := item(i, inner); err != nil {
			return err
		}
	}
	if indent != "" && n > 0 {
		out.WriteString(newline)
	}
	out.WriteString(brackets[1:])
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return slices.Clip(keys)
}
