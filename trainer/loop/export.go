package loop

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
)

// SaveModel writes a Hugging Face model directory: weights in a storage type and config.json, tokenizer files copied
// from another directory, and a generation_config.json (made from the format's stop tokens where the source has none).
func SaveModel(store *model.Store, config decoder.Config, dir, dtype, tokenizerDir string, format *chat.Format) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("saving a model: %w", err)
	}
	if err := folder.CopyCompanions(dir, tokenizerDir); err != nil {
		return err
	}
	generation := filepath.Join(dir, "generation_config.json")
	if _, err := os.Stat(generation); errors.Is(err, fs.ErrNotExist) {
		b, err := json.MarshalIndent(map[string]any{"eos_token_id": format.StopIDs()}, "", "  ")
		if err == nil {
			err = os.WriteFile(generation, append(b, '\n'), 0o644)
		}
		if err != nil {
			return fmt.Errorf("writing %s: %w", generation, err)
		}
	}
	return decoder.SaveStore(store, config, dir, dtype)
}
