package stream

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/profuser/profuser/models/safetensors"
)

// model is an open input.
type model struct {
	path string // as written in the recipe
	dir  string
	file *safetensors.File
	// config is config.json, values as they stand.
	config map[string]json.RawMessage
	// layers is the number of layers; patterns are, for each, the names of its tensors with # for the layer's number; outside
	// are the names of all other tensors.
	layers   int
	patterns map[int][]string
	outside  []string
}

// openModel opens a folder: its weights' headers and its configuration.
func openModel(path, recipeDir string) (*model, error) {
	m := &model{path: path, dir: path, patterns: map[int][]string{}}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) && !filepath.IsAbs(path) {
		m.dir = filepath.Join(recipeDir, path)
	}
	if info, err := os.Stat(m.dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("model %s is no folder, neither here nor beside the merge file; models are read from disk, not from a hub", path)
	}
	raw, err := os.ReadFile(filepath.Join(m.dir, "config.json"))
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", path, err)
	}
	if err := json.Unmarshal(raw, &m.config); err != nil {
		return nil, fmt.Errorf("model %s: config.json: %w", path, err)
	}
	if m.file, err = safetensors.Open(m.dir); err != nil {
		return nil, fmt.Errorf("model %s: %w", path, err)
	}
	for _, t := range m.file.Tensors() {
		layer, pattern, ok := splitLayer(t.Name)
		if !ok {
			m.outside = append(m.outside, t.Name)
			continue
		}
		m.patterns[layer] = append(m.patterns[layer], pattern)
		m.layers = max(m.layers, layer+1)
	}
	for layer := range m.layers {
		if len(m.patterns[layer]) == 0 {
			return nil, errors.Join(fmt.Errorf("model %s has tensors of layer %d and none of layer %d", path, m.layers-1, layer), m.file.Close())
		}
	}
	return m, nil
}

// inLayer finds a layer's number in a tensor's name: the first number after a word that names layers.
var inLayer = regexp.MustCompile(`(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.`)

// splitLayer gives the layer of a name, and the name with # instead of its number.
func splitLayer(name string) (layer int, pattern string, ok bool) {
	at := inLayer.FindStringSubmatchIndex(name)
	if at == nil {
		return 0, "", false
	}
	layer, err := strconv.Atoi(name[at[2]:at[3]])
	return layer, name[:at[2]] + "#" + name[at[3]:], err == nil
}

// inside is a pattern's name in a layer.
func inside(pattern string, layer int) string {
	return strings.Replace(pattern, "#", strconv.Itoa(layer), 1)
}

// vocabularyWords are parts of the names of tensors with a row for each token.
var vocabularyWords = []string{"embed_tokens", "embed_in", "embed_out", "wte", "word_embeddings", "tok_embeddings", "lm_head"}

// ofVocabulary says whether a tensor outside of layers has a row for each token.
func ofVocabulary(name string) bool {
	return slices.ContainsFunc(vocabularyWords, func(w string) bool { return strings.Contains(name, w) })
}

// before says whether a tensor outside of layers comes before them: embeddings of tokens and positions.
func before(name string) bool {
	return !strings.Contains(name, "embed_out") && (strings.Contains(name, "embed") || strings.Contains(name, "wte") || strings.Contains(name, "wpe"))
}

// ties says whether the configuration has the output layer share the embedding.
func (m *model) ties() bool {
	var tied bool
	_ = json.Unmarshal(m.config["tie_word_embeddings"], &tied) // absent, or no boolean: not tied
	return tied
}

// tokenTable is the name of the embedding of tokens, "" if there is none.
func (m *model) tokenTable() string {
	for _, name := range m.outside {
		if ofVocabulary(name) && before(name) {
			return name
		}
	}
	return ""
}
