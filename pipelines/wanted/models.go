package wanted

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/profuser/profuser/internal/dataset"
)

// Model is what datasets depend on of a model, beside its entry in the configuration.
type Model struct {
	// Fingerprint is its tokenizer's, Template the digest of its chat format.
	Fingerprint, Template string
	// Digest covers its files; of a served model, what is known here of what decides its answers.
	Digest string
}

// DigestModel is the SHA-256 over names and contents of the files that make a model's answers.
func DigestModel(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || (ext != ".json" && ext != ".safetensors" && ext != ".jinja") {
			continue
		}
		sum, err := digestFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s\x1f%s\x1e", e.Name(), sum)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// digestFile is the SHA-256 of a file, hex.
func digestFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading: %w", err)
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Trained says whether there is a trained model in the store, and where.
func Trained(store dataset.Store) (dir string, ok bool) {
	if strings.Contains(store.URL(), "://") {
		return "", false
	}
	dir = filepath.Join(store.URL(), "model")
	_, err := os.Stat(filepath.Join(dir, "config.json"))
	return dir, err == nil
}

// OnlyAdapter says whether what was trained is an adapter without its model, which cannot be evaluated.
func OnlyAdapter(store dataset.Store) bool {
	dir, whole := Trained(store)
	_, err := os.Stat(filepath.Join(dir, "adapter_config.json"))
	return !whole && dir != "" && err == nil
}
