package chat

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/profuser/profuser/models/tokenizer"
)

// Stops gives the ids that end an answer, end-of-turn first, of a model that need not have a chat template: the special
// token that its template puts after an answer, if it has one, then eos_token of tokenizer_config.json and the
// end-of-text ids of generation_config.json and config.json. path is the model's directory or a file in it; without any
// of these files there is only </s>, if t has it.
func Stops(path string, t *tokenizer.Tokenizer) ([]int32, error) {
	dir, err := directoryOf(path)
	if err != nil {
		return nil, fmt.Errorf("finding the end of turn: %w", err)
	}
	d, err := readDirectory(dir)
	if err != nil {
		return nil, fmt.Errorf("finding the end of turn: %w", err)
	}
	d.completeSpecials(t)
	var stops []int32
	if d.template != "" {
		f := &Format{tokenizer: t}
		if f.template, err = ParseTemplate(d.template, d.specials); err == nil {
			err = f.chooseEndOfTurn("auto", nil)
		}
		if err != nil {
			return nil, fmt.Errorf("finding the end of turn of %s: %w", dir, err)
		}
		stops = f.stops
	}
	if id, ok := t.ID(d.specials["eos_token"]); ok {
		stops = append(stops, id)
	}
	var different []int32
	seen := map[int32]bool{}
	for _, id := range append(stops, d.eosIDs...) {
		if id >= 0 && int(id) < t.Size() && !seen[id] {
			seen[id] = true
			different = append(different, id)
		}
	}
	return different, nil
}

// VocabSize is vocab_size of a model's config.json, which may be more than its tokenizer has; 0 without that file. path is
// the model's directory or a file in it.
func VocabSize(path string) (int, error) {
	dir, err := directoryOf(path)
	if err != nil {
		return 0, err
	}
	var config struct {
		Size int `json:"vocab_size"`
	}
	d := directory{path: dir}
	err = d.readJSON("config.json", &config)
	return config.Size, err
}

// directoryOf is a directory, or that of a file.
func directoryOf(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		path = filepath.Dir(path)
	}
	return path, nil
}
