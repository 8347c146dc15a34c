package jinja

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/exec"
)

// IsSpace is Python's str.isspace for one character, which strip and trim go by: Unicode's white space and the
// information separators.
func IsSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

// strip takes characters off the ends of s: those of the first argument, or white space without one.
func strip(s string, chars *exec.Value, left, right bool) (string, error) {
	if !chars.IsNil() && !chars.IsString() {
		return "", fmt.Errorf("strip takes a string, not %s", chars.String())
	}
	cut := IsSpace
	if !chars.IsNil() {
		set := chars.String()
		cut = func(r rune) bool { return strings.ContainsRune(set, r) }
	}
	if left {
		s = strings.TrimLeftFunc(s, cut)
	}
	if right {
		s = strings.TrimRightFunc(s, cut)
	}
	return s, nil
}

func trimFilter(_ *exec.Evaluator, in *exec.Value, params *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	chars := params.First()
	if named, ok := params.KwArgs["chars"]; ok {
		chars = named
	}
	text, err := strip(in.String(), chars, true, true)
	if err != nil {
		return exec.AsValue(err)
	}
	return exec.AsValue(text)
}

// call is a method of strings with at most the given number of arguments.
type call struct {
	most int
	do   func(self string, args *arguments) (any, error)
}

// arguments are those of one call; a wrong one is remembered in err.
type arguments struct {
	*exec.VarArgs
	err error
}

// text is the i-th argument, or the named one, as a string.
func (a *arguments) text(i int, name string) string {
	value := a.value(i, name)
	if !value.IsString() && a.err == nil {
		a.err = fmt.Errorf("argument %s is not a string", name)
	}
	return value.String()
}

// number is the i-th argument, or the named one, as an integer; without it, otherwise.
func (a *arguments) number(i int, name string, otherwise int) int {
	value := a.value(i, name)
	switch {
	case value.IsNil():
		return otherwise
	case !value.IsInteger() && a.err == nil:
		a.err = fmt.Errorf("argument %s is not an integer", name)
	}
	return value.Integer()
}

func (a *arguments) value(i int, name string) *exec.Value {
	if i < len(a.Args) {
		return a.Args[i]
	}
	if value, ok := a.KwArgs[name]; ok {
		return value
	}
	return exec.AsValue(nil)
}

// stringCalls are the methods of strings that gonja has otherwise than Python.
var stringCalls = map[string]call{
	"strip":  {1, func(s string, a *arguments) (any, error) { return strip(s, a.First(), true, true) }},
	"lstrip": {1, func(s string, a *arguments) (any, error) { return strip(s, a.First(), true, false) }},
	"rstrip": {1, func(s string, a *arguments) (any, error) { return strip(s, a.First(), false, true) }},
	"split": {2, func(s string, a *arguments) (any, error) {
		most := a.number(1, "maxsplit", -1)
		if a.value(0, "sep").IsNil() {
			return splitSpace(s, most), nil
		}
		sep := a.text(0, "sep")
		if sep == "" {
			return nil, errors.New("empty separator")
		}
		if most >= 0 {
			most++
		}
		return strings.SplitN(s, sep, most), nil
	}},
	"rsplit": {2, func(s string, a *arguments) (any, error) {
		most, sep := a.number(1, "maxsplit", -1), a.text(0, "sep")
		if sep == "" {
			return nil, errors.New("empty separator")
		}
		var parts []string
		for at := strings.LastIndex(s, sep); at >= 0 && most != 0; at = strings.LastIndex(s, sep) {
			parts = append(parts, s[at+len(sep):])
			s = s[:at]
			most--
		}
		parts = append(parts, s)
		slices.Reverse(parts)
		return parts, nil
	}},
	"replace": {3, func(s string, a *arguments) (any, error) {
		return strings.Replace(s, a.text(0, "old"), a.text(1, "new"), a.number(2, "count", -1)), nil
	}},
	"count":      {1, func(s string, a *arguments) (any, error) { return strings.Count(s, a.text(0, "sub")), nil }},
	"startswith": {1, func(s string, a *arguments) (any, error) { return affix(s, a, strings.HasPrefix), nil }},
	"endswith":   {1, func(s string, a *arguments) (any, error) { return affix(s, a, strings.HasSuffix), nil }},
}

// affix tests a string, or each of a tuple.
func affix(s string, a *arguments, has func(s, part string) bool) bool {
	if !a.First().IsList() {
		return has(s, a.text(0, "prefix"))
	}
	found := false
	a.First().Iterate(func(_, _ int, part, _ *exec.Value) bool {
		found = found || has(s, part.String())
		return true
	}, func() {})
	return found
}

// splitSpace splits at runs of white space, at most so many times; the last part keeps its inner white space.
func splitSpace(s string, most int) []string {
	parts := []string{}
	for s = strings.TrimLeftFunc(s, IsSpace); s != ""; most-- {
		end := strings.IndexFunc(s, IsSpace)
		if most == 0 || end < 0 {
			return append(parts, strings.TrimRightFunc(s, IsSpace))
		}
		parts = append(parts, s[:end])
		s = strings.TrimLeftFunc(s[end:], IsSpace)
	}
	return parts
}

// gonjaStrings are the methods of strings that are taken over.
var gonjaStrings = []string{
	"capitalize", "casefold", "find", "format", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "islower",
	"isnumeric", "isspace", "istitle", "isupper", "join", "lower", "partition", "removeprefix", "removesuffix", "rfind",
	"rpartition", "splitlines", "swapcase", "title", "upper", "zfill",
}

func stringMethods() *exec.MethodSet[string] {
	methods := map[string]exec.Method[string]{}
	for _, name := range gonjaStrings {
		if method, ok := builtins.Methods.Str.Get(name); ok {
			methods[name] = method
		}
	}
	for name, c := range stringCalls {
		methods[name] = func(self string, _ *exec.Value, params *exec.VarArgs) (any, error) {
			if len(params.Args) > c.most {
				return nil, fmt.Errorf("%s takes at most %d arguments, got %d", name, c.most, len(params.Args))
			}
			args := &arguments{VarArgs: params}
			result, err := c.do(self, args)
			return result, errors.Join(err, args.err)
		}
	}
	return exec.NewMethodSet(methods)
}

// listMethods are those that change nothing: transformers' environment is immutable.
func listMethods() *exec.MethodSet[[]any] {
	position := func(self *exec.Value, item *exec.Value) (first, n int) {
		first = -1
		self.Iterate(func(i, _ int, element, _ *exec.Value) bool {
			if element.EqualValueTo(item) {
				n++
				if first < 0 {
					first = i
				}
			}
			return true
		}, func() {})
		return first, n
	}
	return exec.NewMethodSet(map[string]exec.Method[[]any]{
		"index": func(_ []any, self *exec.Value, params *exec.VarArgs) (any, error) {
			first, _ := position(self, params.First())
			if first < 0 {
				return nil, fmt.Errorf("%s is not in the list", params.First().String())
			}
			return first, nil
		},
		"count": func(_ []any, self *exec.Value, params *exec.VarArgs) (any, error) {
			_, n := position(self, params.First())
			return n, nil
		},
	})
}

// dictMethods keep the order of the dict.
func dictMethods() *exec.MethodSet[map[string]any] {
	collect := func(self *exec.Value, item func(key, value *exec.Value) any) any {
		list := []any{}
		self.Iterate(func(_, _ int, key, value *exec.Value) bool {
			list = append(list, item(key, value))
			return true
		}, func() {})
		return list
	}
	return exec.NewMethodSet(map[string]exec.Method[map[string]any]{
		"items": func(_ map[string]any, self *exec.Value, _ *exec.VarArgs) (any, error) {
			return collect(self, func(key, value *exec.Value) any { return []any{key, value} }), nil
		},
		"keys": func(_ map[string]any, self *exec.Value, _ *exec.VarArgs) (any, error) {
			return collect(self, func(key, _ *exec.Value) any { return key }), nil
		},
		"values": func(_ map[string]any, self *exec.Value, _ *exec.VarArgs) (any, error) {
			return collect(self, func(_, value *exec.Value) any { return value }), nil
		},
		"get": func(_ map[string]any, self *exec.Value, params *exec.VarArgs) (any, error) {
			if value, found := self.GetItem(params.First().String()); found {
				return value.Interface(), nil
			}
			if len(params.Args) > 1 {
				return params.Args[1].Interface(), nil
			}
			return none, nil
		},
	})
}

func itemsFilter(_ *exec.Evaluator, in *exec.Value, _ *exec.VarArgs) *exec.Value {
	if in.IsError() || in.IsNil() {
		return in
	}
	list := []any{}
	in.Iterate(func(_, _ int, key, value *exec.Value) bool {
		list = append(list, []any{key, value})
		return true
	}, func() {})
	return exec.AsValue(list)
}
