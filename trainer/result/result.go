// Package result owns the model that a training leaves: a Hugging Face directory, or an adapter's, that appears whole.
//
// Flow in: the trained weights, their configuration, the model that training began from and a model card; flow out: a
// folder with config.json, weights in one file or in shards with their index, generation_config.json, the tokenizer's files
// and README.md. With an adapter the weights are merged as they are written, one tensor at a time, or the folder holds the
// adapter alone, in PEFT's format.
//
// Not here: what stands in the card (trainer/card), checkpoints to go on from (trainer/loop).
package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/trainer/folder"
	"github.com/profuser/profuser/trainer/lora"
)

// Model is what is written.
type Model struct {
	// Store holds the weights, Config says what they are. Required.
	Store  *model.Store
	Config decoder.Config
	// DType is the storage type of the weights: float32, bfloat16 or float16. Required.
	DType string
	// ShardBytes is the largest file of weights. Default 5 GB.
	ShardBytes int64
	// Base is the folder whose tokenizer files are copied, and that an adapter names. Required.
	Base string
	// Format gives the stop tokens where the base has no generation_config.json. Required.
	Format *chat.Format
	// Adapter is merged into the weights, or written alone if AdapterOnly is set. Default none.
	Adapter     *lora.Adapter
	AdapterOnly bool
	// Card is README.md. Default none.
	Card []byte
}

// Save writes a folder that appears whole or not at all; one that is there is replaced.
func (m *Model) Save(dir string) error {
	tmp := dir + ".tmp"
	for _, path := range []string{tmp, dir} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("saving a model: %w", err)
		}
	}
	if err := m.Write(tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("saving a model: %w", err)
	}
	return nil
}

// Whole says whether Save has written a folder of this kind.
func (m *Model) Whole(dir string) bool {
	name := "config.json"
	if m.AdapterOnly {
		name = lora.ConfigFile
	}
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

// Write writes into a folder, which is made if needed.
func (m *Model) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("saving a model: %w", err)
	}
	if err := folder.CopyCompanions(dir, m.Base); err != nil {
		return err
	}
	if err := m.generation(filepath.Join(dir, "generation_config.json")); err != nil {
		return err
	}
	if m.Card != nil {
		if err := os.WriteFile(filepath.Join(dir, "README.md"), m.Card, 0o644); err != nil {
			return fmt.Errorf("writing the model card: %w", err)
		}
	}
	if m.AdapterOnly {
		return m.Adapter.Save(dir, m.Base)
	}
	limit := m.ShardBytes
	if limit == 0 {
		limit = decoder.ShardBytes
	}
	return decoder.Save(m.Config, dir, m.DType, limit, m.values)
}

// generation writes the stop tokens, unless the base's file says them.
func (m *Model) generation(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	b, err := json.MarshalIndent(map[string]any{"eos_token_id": m.Format.StopIDs()}, "", "  ")
	if err == nil {
		err = os.WriteFile(path, append(b, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// values are a weight's, with its adapter.
func (m *Model) values(name string) ([]float32, error) {
	if m.Adapter != nil {
		return m.Adapter.Merged(name)
	}
	return decoder.Values(m.Store, name)
}
