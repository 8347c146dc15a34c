package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/profuser/profuser/models/tokenizer"
)

// maxFileBytes bounds the small files of a model directory.
const maxFileBytes = 16 << 20

// directory is what a model's directory says about conversations.
type directory struct {
	path     string
	specials map[string]string // bos_token, eos_token, …
	template string            // the model's own chat template, "" without one
	named    map[string]string // further templates of tokenizer_config.json by name
	eosIDs   []int32           // of generation_config.json, then config.json
}

// readDirectory reads the files that are there; only a broken one is an error.
func readDirectory(path string) (*directory, error) {
	d := &directory{path: path, specials: map[string]string{}, named: map[string]string{}}
	for _, name := range []string{"tokenizer_config.json", "special_tokens_map.json"} {
		if err := d.readTokenizerConfig(name); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"generation_config.json", "config.json"} {
		if err := d.readStops(name); err != nil {
			return nil, err
		}
	}
	source, err := readSmall(filepath.Join(path, "chat_template.jinja"))
	if err != nil {
		return nil, err
	}
	if source != nil {
		d.template = string(source)
	}
	return d, nil
}

// readSmall reads a file; nil when there is none.
func readSmall(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFileBytes {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are allowed", file, info.Size(), maxFileBytes)
	}
	return os.ReadFile(file)
}

// readJSON reads a file of the directory into value, if it is there.
func (d *directory) readJSON(name string, value any) error {
	file := filepath.Join(d.path, name)
	data, err := readSmall(file)
	if err != nil || data == nil {
		return err
	}
	if err := json.Unmarshal(data, value); err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	return nil
}

// readTokenizerConfig takes the special tokens and the chat template; what an earlier file said stays.
func (d *directory) readTokenizerConfig(name string) error {
	var fields map[string]json.RawMessage
	if err := d.readJSON(name, &fields); err != nil {
		return err
	}
	for field, raw := range fields {
		token, ok := specialToken(raw)
		if _, known := d.specials[field]; ok && !known && strings.HasSuffix(field, "_token") {
			d.specials[field] = token
		}
	}
	if raw, ok := fields["chat_template"]; ok && string(raw) != "null" {
		if err := d.readTemplates(raw); err != nil {
			return fmt.Errorf("reading %s: chat_template: %w", filepath.Join(d.path, name), err)
		}
	}
	return nil
}

// specialToken reads "</s>" or {"content": "</s>", …}.
func specialToken(raw json.RawMessage) (string, bool) {
	var token string
	if json.Unmarshal(raw, &token) == nil {
		return token, token != ""
	}
	var object struct {
		Content string `json:"content"`
	}
	return object.Content, json.Unmarshal(raw, &object) == nil && object.Content != ""
}

// readTemplates reads one template, or a list of named ones of which "default" is the model's.
func (d *directory) readTemplates(raw json.RawMessage) error {
	if json.Unmarshal(raw, &d.template) == nil {
		return nil
	}
	var list []struct {
		Name     string `json:"name"`
		Template string `json:"template"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return fmt.Errorf("neither a string nor a list of name and template: %w", err)
	}
	for _, item := range list {
		d.named[item.Name] = item.Template
	}
	d.template = d.named["default"]
	return nil
}

// readStops takes eos_token_id, a number or a list of numbers.
func (d *directory) readStops(name string) error {
	var config struct {
		EOS json.RawMessage `json:"eos_token_id"`
	}
	if err := d.readJSON(name, &config); err != nil {
		return err
	}
	if len(config.EOS) == 0 || string(config.EOS) == "null" {
		return nil
	}
	var one int32
	if json.Unmarshal(config.EOS, &one) == nil {
		d.eosIDs = append(d.eosIDs, one)
		return nil
	}
	var list []int32
	if err := json.Unmarshal(config.EOS, &list); err != nil {
		return fmt.Errorf("reading %s: eos_token_id is neither an id nor a list of ids: %w", filepath.Join(d.path, name), err)
	}
	d.eosIDs = append(d.eosIDs, list...)
	return nil
}

// completeSpecials fills bos_token and eos_token from the tokenizer and the eos ids where no file names them.
func (d *directory) completeSpecials(t *tokenizer.Tokenizer) {
	if before := t.Specials(); d.specials["bos_token"] == "" && len(before) > 0 {
		d.specials["bos_token"] = t.Token(before[0])
	}
	if d.specials["eos_token"] == "" && len(d.eosIDs) > 0 {
		d.specials["eos_token"] = t.Token(d.eosIDs[0])
	}
	if _, ok := t.ID("</s>"); ok && d.specials["eos_token"] == "" {
		d.specials["eos_token"] = "</s>"
	}
}

// chooseTemplate gives the source of the template that the options ask for; builtinName is its name if
// it is a built-in one.
func (d *directory) chooseTemplate(name string) (source, builtinName string, err error) {
	builtins := strings.Join(BuiltinNames(), ", ")
	if name == "" || name == "auto" {
		if d.template == "" {
			return "", "", fmt.Errorf("model %s has no chat template (chat_template.jinja, or chat_template in tokenizer_config.json); "+
				"choose a built-in one with chat_template: %s", d.path, builtins)
		}
		return d.template, "", nil
	}
	if source, ok := d.named[name]; ok {
		return source, "", nil
	}
	if source, ok := builtin(name); ok {
		return source, name, nil
	}
	return "", "", fmt.Errorf("chat_template %q of model %s is unknown; allowed are auto and the built-in %s", name, d.path, builtins)
}
