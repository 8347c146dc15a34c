package chat

import (
	"embed"
	"path"
	"strings"
)

//go:embed builtin/*.jinja
var builtinFiles embed.FS

// BuiltinNames are the templates that can be named instead of a model's own: chatml, llama-2, vicuna.
func BuiltinNames() []string {
	entries, err := builtinFiles.ReadDir("builtin")
	if err != nil {
		return nil // cannot happen: the folder is embedded
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = strings.TrimSuffix(entry.Name(), ".jinja")
	}
	return names
}

// builtin is the source of a built-in template.
func builtin(name string) (source string, ok bool) {
	data, err := builtinFiles.ReadFile(path.Join("builtin", name+".jinja"))
	return string(data), err == nil
}

// builtinWithoutBOS are built-in templates that leave the beginning of text to the tokenizer, because
// the model was trained on a text that begins there, dummy prefix included.
var builtinWithoutBOS = map[string]bool{"vicuna": true}
