package chat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/profuser/profuser/schemas"
)

// outcome is what transformers made of a template: a text, or the message of a fault.
type outcome struct {
	Text  string
	Error *string
}

// fault says how a rendering differs from the reference's, "" if it does not.
func (want outcome) fault(text string, err error) string {
	switch {
	case want.Error == nil && err != nil:
		return fmt.Sprintf("error %v\n  want %q", err, want.Text)
	case want.Error != nil && err == nil:
		return fmt.Sprintf("got %q\n  want an error %q", text, *want.Error)
	case err != nil && !strings.Contains(err.Error(), *want.Error):
		return fmt.Sprintf("error %v\n  want %q", err, *want.Error)
	case err == nil && text != want.Text:
		return fmt.Sprintf("\n   got %q\n  want %q", text, want.Text)
	}
	return ""
}

func readGolden(t testing.TB, name string, value any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err == nil {
		err = json.Unmarshal(data, value)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// lines reads JSONL.
func lines[T any](t testing.TB, name string) (rows []T) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var row T
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatalf("%s: %v in %s", name, err, line)
		}
		rows = append(rows, row)
	}
	return rows
}

// goldenTemplates are the templates of testdata with their special tokens.
func goldenTemplates(t testing.TB) map[string]*Template {
	t.Helper()
	var list map[string]map[string]string
	readGolden(t, "templates.json", &list)
	templates := map[string]*Template{}
	for name, fields := range list {
		file := filepath.Join("templates", name+".jinja")
		if fields["file"] != "" {
			file = fields["file"]
		}
		source, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		specials := map[string]string{}
		for field, token := range fields {
			if strings.HasSuffix(field, "_token") {
				specials[field] = token
			}
		}
		if templates[name], err = ParseTemplate(string(source), specials); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return templates
}

// TestTemplatesAsTransformers renders real templates as transformers does.
func TestTemplatesAsTransformers(t *testing.T) {
	templates := goldenTemplates(t)
	var conversations [][]schemas.Message
	readGolden(t, "conversations.json", &conversations)
	rows := lines[struct {
		Template         string
		Conversation     int
		GenerationPrompt bool `json:"generation_prompt"`
		outcome
	}](t, "golden.jsonl")
	for _, row := range rows {
		messages := conversations[row.Conversation]
		text, _, err := templates[row.Template].render(messages, row.GenerationPrompt)
		if fault := row.fault(text, err); fault != "" {
			t.Errorf("%s, %q, generation prompt %v: %s", row.Template, messages, row.GenerationPrompt, fault)
		}
	}
	t.Logf("%d renderings", len(rows))
}

// TestSnippetsAsTransformers renders small templates, one feature of Jinja each.
func TestSnippetsAsTransformers(t *testing.T) {
	rows := lines[struct {
		Messages []schemas.Message
		Source   string
		outcome
	}](t, "snippets.jsonl")
	differs := knownDifferences(t)
	for _, row := range rows[1:] {
		var text string
		template, err := ParseTemplate(row.Source, map[string]string{"bos_token": "<s>", "eos_token": "</s>"})
		if err == nil {
			text, _, err = template.render(rows[0].Messages, true)
		}
		fault := row.fault(text, err)
		if fault == "" && differs[row.Source] {
			t.Errorf("%s is as in transformers now: take it out of differs.txt", row.Source)
		}
		if fault != "" && !differs[row.Source] {
			t.Errorf("%s: %s", row.Source, fault)
		}
		delete(differs, row.Source)
	}
	for source := range differs {
		t.Errorf("differs.txt names %s, which is no snippet", source)
	}
	t.Logf("%d snippets", len(rows)-1)
}

// knownDifferences are the snippets of differs.txt, which says why each is there.
func knownDifferences(t *testing.T) map[string]bool {
	data, err := os.ReadFile(filepath.Join("testdata", "differs.txt"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			known[line] = true
		}
	}
	return known
}
