package chat

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/loaders"

	"github.com/profuser/profuser/schemas"
)

// maxRendered bounds what a template may write, in bytes.
const maxRendered = 64 << 20

// Template renders conversations. It may be used by many goroutines at once.
type Template struct {
	source   string
	specials map[string]string
	parsed   *exec.Template
}

// ParseTemplate reads a Jinja chat template. Specials are the special tokens that it may use, such as
// bos_token and eos_token; one that is missing renders as nothing.
func ParseTemplate(source string, specials map[string]string) (t *Template, err error) {
	defer recovered("parsing chat template", &err)
	settings := config.New()
	settings.TrimBlocks, settings.LeftStripBlocks = true, true
	parsed, err := exec.NewTemplate(templateName, settings, onlyTemplate(source), environment())
	if err != nil {
		return nil, fmt.Errorf("parsing chat template: %w", err)
	}
	return &Template{source, specials, parsed}, nil
}

// recovered makes an error of a panic in the template engine.
func recovered(doing string, err *error) {
	if cause := recover(); cause != nil {
		*err = fmt.Errorf("%s: the template engine failed: %v", doing, cause)
	}
}

// Digest is the SHA-256, in hex, of the template's source and its special tokens.
func (t *Template) Digest() string {
	hash := sha256.New()
	fmt.Fprintf(hash, "%d %s", len(t.source), t.source)
	for _, name := range sortedKeys(t.specials) {
		fmt.Fprintf(hash, "%q %q", name, t.specials[name])
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// Render writes a conversation; with generationPrompt it ends where the assistant would begin to answer.
// For a template that refuses the system role, the system text goes before the first user turn,
// separated by a blank line.
func (t *Template) Render(messages []schemas.Message, generationPrompt bool) (string, error) {
	text, refused, err := t.render(messages, generationPrompt)
	if err == nil {
		return text, nil
	}
	if folded, ok := foldSystem(messages); ok && refused {
		if text, _, foldedErr := t.render(folded, generationPrompt); foldedErr == nil {
			return text, nil
		}
	}
	return "", fmt.Errorf("rendering chat template: %w", err)
}

// foldSystem moves a leading system text into the first user turn.
func foldSystem(messages []schemas.Message) ([]schemas.Message, bool) {
	if len(messages) < 2 || messages[0].Role != "system" || messages[1].Role != "user" {
		return nil, false
	}
	folded := append([]schemas.Message(nil), messages[1:]...)
	folded[0].Content = messages[0].Content + "\n\n" + folded[0].Content
	return folded, true
}

// render runs the template; refused says that it called raise_exception.
func (t *Template) render(messages []schemas.Message, generationPrompt bool) (text string, refused bool, err error) {
	defer recovered("running it", &err)
	list := make([]any, len(messages))
	for i, m := range messages {
		list[i] = map[string]any{"role": m.Role, "content": m.Content}
	}
	values := map[string]any{
		"messages":              list,
		"add_generation_prompt": generationPrompt,
		"raise_exception": func(_ *exec.Evaluator, params *exec.VarArgs) (string, error) {
			refused = true
			return "", errors.New(firstString(params))
		},
	}
	for name, token := range t.specials {
		values[name] = token
	}
	var out boundedWriter
	if err := t.parsed.Execute(&out, exec.NewContext(values)); err != nil {
		return "", refused, err
	}
	return out.String(), false, nil
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
