package jinja

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/loaders"
)

// maxSource bounds a template, in bytes: gonja works by recursion, and nesting must not end the process.
const maxSource = 256 << 10

// maxRendered bounds what a template may write, in bytes.
const maxRendered = 64 << 20

// Template is a parsed template. It may be used by many goroutines at once.
type Template struct{ parsed *exec.Template }

// Field is a key of an Object and its value.
type Field struct {
	Key   string
	Value any
}

// Object makes a mapping that keeps the order of its fields, as Python's do.
func Object(fields ...Field) any {
	dict := exec.NewDict()
	for _, f := range fields {
		dict.Pairs = append(dict.Pairs, &exec.Pair{Key: exec.AsValue(f.Key), Value: value(f.Value)})
	}
	return dict
}

// value makes a gonja value; nil is None.
func value(v any) *exec.Value {
	if v == nil {
		v = none
	}
	return exec.AsValue(v)
}

// Parse reads a template with trim_blocks and lstrip_blocks, as transformers sets them.
func Parse(source string) (t *Template, err error) {
	defer recovered("parsing template", &err)
	if len(source) > maxSource {
		return nil, fmt.Errorf("parsing template: it has %d bytes, at most %d are allowed", len(source), maxSource)
	}
	rewritten, err := rewrite(source)
	if err != nil {
		return nil, fmt.Errorf("parsing template: %w", err)
	}
	settings := config.New()
	settings.TrimBlocks, settings.LeftStripBlocks = true, true
	parsed, err := exec.NewTemplate(templateName, settings, onlyTemplate(rewritten), environment())
	if err != nil {
		return nil, fmt.Errorf("parsing template: %w", shorten(err))
	}
	return &Template{parsed}, nil
}

// recovered makes an error of a panic in the template engine.
func recovered(doing string, err *error) {
	if cause := recover(); cause != nil {
		*err = fmt.Errorf("%s: the template engine failed: %v", doing, cause)
	}
}

// Render runs the template with values by name. Refused says that it called raise_exception; the error then has its
// message only.
func (t *Template) Render(values map[string]any) (text string, refused bool, err error) {
	defer recovered("running template", &err)
	var raised error
	all := map[string]any{
		depthName: new(int),
		"raise_exception": func(_ *exec.Evaluator, params *exec.VarArgs) (string, error) {
			raised = errors.New(params.First().String())
			return "", raised
		},
	}
	for name, value := range values {
		all[name] = value
	}
	var out boundedWriter
	if err := t.parsed.Execute(&out, exec.NewContext(all)); err != nil {
		if raised != nil {
			return "", true, raised
		}
		return "", false, shorten(err)
	}
	return out.String(), false, nil
}

// shorten leaves the ends of a long error: gonja's quote whole expressions.
func shorten(err error) error {
	const most = 400
	text := err.Error()
	if len(text) <= 2*most {
		return err
	}
	return errors.New(strings.ToValidUTF8(text[:most]+" … "+text[len(text)-most:], ""))
}

// boundedWriter refuses more than maxRendered bytes.
type boundedWriter struct{ strings.Builder }

func (w *boundedWriter) Write(p []byte) (int, error) {
	if w.Len()+len(p) > maxRendered {
		return 0, fmt.Errorf("more than %d bytes written", maxRendered)
	}
	return w.Builder.Write(p)
}

// onlyTemplate is a loader that has one template and no files.
type onlyTemplate string

const templateName = "chat_template"

// Read gives the template's source.
func (s onlyTemplate) Read(name string) (io.Reader, error) {
	if name != templateName {
		return nil, fmt.Errorf("a chat template cannot read %q", name)
	}
	return strings.NewReader(string(s)), nil
}

// Resolve gives the name unchanged.
func (s onlyTemplate) Resolve(name string) (string, error) { return name, nil }

// Inherit gives the same loader.
func (s onlyTemplate) Inherit(string) (loaders.Loader, error) { return s, nil }
