package stream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// companions are the files of a model directory that go with the base's configuration.
var companions = []string{
	"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
	"merges.txt", "vocab.txt", "tiktoken.model", "qwen.tiktoken", "chat_template.jinja", "chat_template.json", "generation_config.json",
}

// folder is a result under way: a folder beside the final one, locked against a second merge.
type folder struct {
	final, partial string
	lock           *os.File
}

// newFolder makes the folder beside, empty; what a killed merge left there is removed.
func newFolder(final string) (f *folder, err error) {
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
	f = &folder{final: final, partial: final + ".partial"}
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

// finish gives the folder its name.
func (f *folder) finish() error {
	if err := os.Remove(f.final); err != nil && !errors.Is(err, os.ErrNotExist) { // an empty folder; rename replaces none
		return fmt.Errorf("finishing %s: %w", f.final, err)
	}
	if err := os.Rename(f.partial, f.final); err != nil {
		return fmt.Errorf("finishing %s: %w", f.final, err)
	}
	f.partial = ""
	return nil
}

// close removes what was not finished.
func (f *folder) close() {
	if f.partial != "" {
		_ = os.RemoveAll(f.partial) // the error of the merge says more
	}
	_ = f.lock.Close()
}

// files writes everything besides the weights: configuration, tokenizer, the merge file and the report.
func (p *plan) files(dir string, mergeFile []byte, w written) error {
	config, err := p.config()
	if err != nil {
		return err
	}
	var report bytes.Buffer
	for _, l := range w.lines {
		line, err := json.Marshal(l)
		if err != nil {
			return fmt.Errorf("writing the report of %s: %w", l.Tensor, err)
		}
		report.Write(append(line, '\n'))
	}
	out := map[string][]byte{"config.json": config, "mergekit_config.yml": mergeFile, reportFile: report.Bytes()}
	for _, name := range companions {
		b, err := os.ReadFile(filepath.Join(p.donor.dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return fmt.Errorf("copying from model %s: %w", p.donor.path, err)
		}
		out[name] = b
	}
	for name, b := range out {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}

// config is the donor's config.json with the type and the number of layers of the result; as it is if those are equal.
func (p *plan) config() ([]byte, error) {
	raw, err := os.ReadFile(filepath.Join(p.donor.dir, "config.json"))
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", p.donor.path, err)
	}
	changes := map[string]string{}
	if dtype, ok := dtypeNames[p.commonType()]; ok {
		key := "torch_dtype"
		if _, has := p.donor.config["dtype"]; has {
			key = "dtype"
		}
		changes[key] = strconv.Quote(dtype)
	}
	if p.layers != p.donor.layers {
		if err := p.layerConfig(changes); err != nil {
			return nil, err
		}
	}
	changed := false
	for key, v := range changes {
		if string(p.donor.config[key]) != v {
			p.donor.config[key], changed = json.RawMessage(v), true
		}
	}
	if !changed {
		return raw, nil
	}
	b, err := json.MarshalIndent(p.donor.config, "", "  ")
	return append(b, '\n'), err
}

// commonType is the type of all merged tensors, "" if they differ.
func (p *plan) commonType() string {
	common := ""
	for _, t := range p.tensors {
		if t.copied {
			continue
		}
		if common != "" && t.outline.DType != common {
			return ""
		}
		common = t.outline.DType
	}
	return common
}

// layerConfig notes the number of layers, and lists with an entry a layer.
func (p *plan) layerConfig(changes map[string]string) error {
	for _, key := range []string{"num_hidden_layers", "n_layers", "n_layer", "num_layers"} {
		if _, has := p.donor.config[key]; has {
			changes[key] = strconv.Itoa(p.layers)
		}
	}
	if len(changes) == 0 {
		return fmt.Errorf("model %s: config.json has no number of layers (num_hidden_layers, n_layers) that could become %d", p.donor.path, p.layers)
	}
	if _, has := p.donor.config["layer_types"]; !has {
		return nil
	}
	var types []string
	for _, s := range p.sources {
		var of []string
		if err := json.Unmarshal(s.model.config["layer_types"], &of); err != nil || s.layer >= len(of) {
			return fmt.Errorf("model %s: layer_types of config.json has no entry for layer %d", s.model.path, s.layer)
		}
		types = append(types, of[s.layer])
	}
	b, err := json.Marshal(types)
	changes["layer_types"] = string(b)
	return err
}
