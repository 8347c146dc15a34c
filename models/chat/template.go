package chat

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/profuser/profuser/models/jinja"
	"github.com/profuser/profuser/schemas"
)

// Template renders conversations. It may be used by many goroutines at once.
type Template struct {
	source   string
	specials map[string]string
	parsed   *jinja.Template
}

// ParseTemplate reads a Jinja chat template. Specials are the special tokens that it may use, such as
// bos_token and eos_token; one that is missing renders as nothing.
func ParseTemplate(source string, specials map[string]string) (*Template, error) {
	parsed, err := jinja.Parse(source)
	if err != nil {
		return nil, fmt.Errorf("chat template: %w", err)
	}
	return &Template{source, specials, parsed}, nil
}

// Digest is the SHA-256, in hex, of the template's source and its special tokens.
func (t *Template) Digest() string {
	hash := sha256.New()
	fmt.Fprintf(hash, "%d %s", len(t.source), t.source)
	for _, name := range slices.Sorted(maps.Keys(t.specials)) {
		fmt.Fprintf(hash, "%q %q", name, t.specials[name])
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// Render writes a conversation; with generationPrompt it ends where the assistant would begin to answer.
// For a template that refuses the system role, the system text goes before the first user turn,
// separated by a blank line.
func (t *Template) Render(messages []schemas.Message, generationPrompt bool) (string, error) {
	text, _, err := t.compose(messages, generationPrompt)
	return text, err
}

// compose is Render; it gives the messages that the template got.
func (t *Template) compose(messages []schemas.Message, generationPrompt bool) (string, []schemas.Message, error) {
	text, refused, err := t.render(messages, generationPrompt)
	if err == nil {
		return text, messages, nil
	}
	if folded, ok := foldSystem(messages); ok && refused {
		if text, _, foldedErr := t.render(folded, generationPrompt); foldedErr == nil {
			return text, folded, nil
		}
	}
	return "", nil, fmt.Errorf("rendering chat template: %w", err)
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
	list := make([]any, len(messages))
	for i, m := range messages {
		list[i] = jinja.Object(jinja.Field{Key: "role", Value: m.Role}, jinja.Field{Key: "content", Value: m.Content})
	}
	values := map[string]any{"messages": list, "add_generation_prompt": generationPrompt}
	for name, token := range t.specials {
		values[name] = token
	}
	return t.parsed.Render(values)
}
