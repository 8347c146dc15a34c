// Package folder owns the folder of a result: a model directory that appears whole or not at all.
//
// Flow in: the final path and, for what is not made anew, the directory of another model; flow out: a folder beside the
// final one to write into, locked against a second writer, that gets its name when all is there. What is left by a killed
// writer is removed by the next one.
//
// It also knows the companions of weights: tokenizer, chat template and generation settings, which a new model takes over
// from the one that it was made of.
//
// Not here: weights (models/safetensors) and configurations (models/decoder).
package folder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Companions are the files of a model directory that go with its weights and configuration.
var Companions = []string{
	"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
	"merges.txt", "vocab.txt", "tiktoken.model", "qwen.tiktoken", "chat_template.jinja", "chat_template.json", "generation_config.json",
}

// CopyCompanions copies those companions that a model directory has.
func CopyCompanions(to, from string) error {
	for _, name := range Companions {
		b, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), b, 0o644)
		}
		if err != nil {
			return fmt.Errorf("copying %s from %s: %w", name, from, err)
		}
	}
	return nil
}

// Folder is a result under way.
type Folder struct {
	final, partial string
	lock           *os.File
}

// New makes the folder beside final, empty; what a killed writer left there is removed. final must not exist, or be empty.
func New(final string) (f *Folder, err error) {
	if final == "" {
		return nil, errors.New("--out is missing: name the folder to make")
	}
	final = filepath.Clean(final)
	if info, err := os.Stat(final); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("--out %s is a file: name a folder that is not there yet", final)
	}
	if entries, err := os.ReadDir(final); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("%s is there and not empty: remove it, or name another --out", final)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("--out %s: %w", final, err)
	}
	f = &Folder{final: final, partial: final + ".partial"}
	if err := os.MkdirAll(f.partial, 0o755); err != nil {
		return nil, fmt.Errorf("--out %s: %w", final, err)
	}
	if f.lock, err = os.Open(f.partial); err != nil {
		return nil, fmt.Errorf("--out %s: %w", final, err)
	}
	if err := syscall.Flock(int(f.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another merge is writing to %s", f.partial), f.lock.Close())
	}
	entries, err := os.ReadDir(f.partial)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(f.partial, e.Name())))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("removing what a broken merge left: %w", err), f.lock.Close())
	}
	return f, nil
}

// Path is where to write until Finish.
func (f *Folder) Path() string { return f.partial }

// Finish gives the folder its name.
func (f *Folder) Finish() error {
	if err := os.Remove(f.final); err != nil && !errors.Is(err, os.ErrNotExist) { // an empty folder; rename replaces none
		return fmt.Errorf("finishing %s: %w", f.final, err)
	}
	if err := os.Rename(f.partial, f.final); err != nil {
		return fmt.Errorf("finishing %s: %w", f.final, err)
	}
	f.partial = ""
	return nil
}

// Close removes what was not finished.
func (f *Folder) Close() {
	if f.partial != "" {
		_ = os.RemoveAll(f.partial) // the error of the writing says more
	}
	_ = f.lock.Close()
}
