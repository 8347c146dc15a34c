package jinja

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/parser"
)

// today is what strftime_now tells: the date that Llama-3's template falls back to. A prompt must not
// depend on the day it is made.
var today = time.Date(2024, time.July, 26, 0, 0, 0, 0, time.UTC)

// environment has Jinja's builtins, those of ours that gonja has otherwise, and what transformers adds.
var environment = sync.OnceValue(func() *exec.Environment {
	filters := exec.NewFilterSet(map[string]exec.FilterFunction{})
	filters.Update(builtins.Filters).Update(exec.NewFilterSet(map[string]exec.FilterFunction{
		"tojson": toJSON,
		"trim":   trimFilter,
		"items":  itemsFilter,
		"random": func(*exec.Evaluator, *exec.Value, *exec.VarArgs) *exec.Value {
			return exec.AsValue(errors.New("random is not allowed: a prompt must not depend on chance"))
		},
	}))
	tests := exec.NewTestSet(map[string]exec.TestFunction{})
	tests.Update(builtins.Tests).Update(exec.NewTestSet(ourTests))
	globals := exec.NewContext(map[string]any{"range": rangeFunction, "dict": dictFunction})
	for _, name := range []string{"cycler", "joiner", "namespace"} {
		if function, ok := builtins.GlobalFunctions.Get(name); ok {
			globals.Set(name, function)
		}
	}
	for _, name := range []string{"none", "tools", "documents"} { // transformers hands the last two over in any case
		globals.Set(name, none)
	}
	globals.Set("strftime_now", func(_ *exec.Evaluator, params *exec.VarArgs) (string, error) {
		return strftime(today, params.First().String())
	})
	statements := exec.NewControlStructureSet(map[string]parser.ControlStructureParser{})
	statements.Update(builtins.ControlStructures).Update(exec.NewControlStructureSet(map[string]parser.ControlStructureParser{
		"generation": parseGeneration,
		"macro":      parseMacro,
	}))
	methods := builtins.Methods
	methods.Str, methods.List, methods.Dict = stringMethods(), listMethods(), dictMethods()
	return &exec.Environment{Context: globals, Filters: filters, Tests: tests, ControlStructures: statements, Methods: methods}
})

// noneType is Python's None: unlike gonja's nil, which stands for undefined, it is defined, and false.
type noneType bool

// none is the value that the name none has in templates.
const none noneType = false

// String is how Python prints it.
func (noneType) String() string { return "None" }

func isNone(v *exec.Value) bool {
	_, ok := v.Interface().(noneType)
	return ok
}

// ourTests replace tests that say something else of None, bools and strings than Jinja2's.
var ourTests = map[string]exec.TestFunction{
	"none":     test(isNone),
	"boolean":  test(func(v *exec.Value) bool { return v.IsBool() && !isNone(v) }),
	"true":     test(func(v *exec.Value) bool { return v.IsBool() && v.Bool() }),
	"false":    test(func(v *exec.Value) bool { return v.IsBool() && !v.Bool() && !isNone(v) }),
	"number":   test(func(v *exec.Value) bool { return v.IsNumber() || v.IsBool() && !isNone(v) }),
	"sequence": test(func(v *exec.Value) bool { return v.IsList() || v.IsString() || v.IsDict() }),
}

func test(holds func(v *exec.Value) bool) exec.TestFunction {
	return func(_ *exec.Context, v *exec.Value, _ *exec.VarArgs) (bool, error) { return holds(v), nil }
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
