package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// set is one tokenizer and the reference's results.
type set struct {
	name   string
	data   []byte
	golden []result
}

// result is one row of a golden file.
type result struct {
	Text    string  `json:"text"`
	IDs     []int32 `json:"ids_no_special"`
	Decoded string  `json:"decoded_no_special_ids"`
}

// find reads the tokenizers of a folder that have golden results.
func find(folder string) ([]set, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.json*"))
	if err != nil {
		return nil, err
	}
	var sets []set
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(file), ".gz"), ".json")
		if strings.Contains(name, ".golden") {
			continue
		}
		for _, golden := range []string{filepath.Join(folder, "golden", name+".jsonl"), filepath.Join(folder, name+".golden.jsonl")} {
			for _, suffix := range []string{"", ".gz"} {
				if _, err := os.Stat(golden + suffix); err != nil {
					continue
				}
				s, err := readSet(name, file, golden+suffix)
				if err != nil {
					return nil, err
				}
				sets = append(sets, s)
			}
		}
	}
	return sets, nil
}

func readSet(name, file, golden string) (set, error) {
	s := set{name: name}
	var err error
	if s.data, err = read(file); err != nil {
		return s, err
	}
	rows, err := read(golden)
	if err != nil {
		return s, err
	}
	for line := range bytes.Lines(rows) {
		var r result
		if err := json.Unmarshal(line, &r); err != nil {
			return s, fmt.Errorf("%s: %w", golden, err)
		}
		s.golden = append(s.golden, r)
	}
	return s, nil
}

// read reads a file, unpacked if its name ends in .gz.
func read(file string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil || !strings.HasSuffix(file, ".gz") {
		return data, err
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return io.ReadAll(z)
}
