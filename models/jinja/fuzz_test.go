package jinja

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzRender gives any source to the engine: it must neither panic nor go on for ever.
func FuzzRender(f *testing.F) {
	files, err := filepath.Glob("../chat/testdata/templates/*.jinja")
	if err != nil || len(files) == 0 {
		f.Fatal("no templates: ", err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(source))
	}
	f.Add("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}")
	f.Add("{{ ('a' if x else ('b' if y else 'c'))[-1] }}{% raw %}{{{% endraw %}")
	f.Fuzz(func(t *testing.T, source string) {
		template, err := Parse(source)
		if err != nil {
			return
		}
		messages := []any{Object(Field{"role", "user"}, Field{"content", "hi"}), Object(Field{"role", "assistant"}, Field{"content", nil})}
		_, _, _ = template.Render(map[string]any{"messages": messages, "bos_token": "<s>"})
	})
}

// TestNesting: what would end the process by recursion is an error.
func TestNesting(t *testing.T) {
	for name, source := range map[string]string{
		"brackets":   "{{ " + strings.Repeat("(", 100_000) + strings.Repeat(")", 100_000) + " }}",
		"unclosed":   "{{ " + strings.Repeat("[", 200_000),
		"macro":      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
		"two macros": "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ g() }}",
		"long tag":   "{{ x" + strings.Repeat(".y", 50_000) + " }}",
		"size":       strings.Repeat("x", maxSource+1),
		"statements": strings.Repeat("{% if x %}", 20_000),
		"range":      "{{ range(1000000) }}",
	} {
		template, err := Parse(source)
		if err == nil {
			_, _, err = template.Render(nil)
		}
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for name, source := range map[string]string{
		"sum":        "{{ 1" + strings.Repeat("+1", 8000) + " }}",
		"attributes": "{{ x" + strings.Repeat(".y", 400) + " }}",
		"filters":    "{{ 'x'" + strings.Repeat("|e", 8000) + " }}",
		"conditions": "{{ 1" + strings.Repeat(" if 0 else 1", 1000) + " }}",
		"nested":     strings.Repeat("{% if 1 %}", 200) + "x" + strings.Repeat("{% endif %}", 200),
	} {
		template, err := Parse(source)
		if err == nil {
			_, _, err = template.Render(nil)
		}
		if (err != nil) != (name == "attributes") {
			t.Errorf("%s: %.60v", name, err)
		}
	}
}
