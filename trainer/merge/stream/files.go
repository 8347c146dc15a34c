package stream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/profuser/profuser/trainer/folder"
)

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
	if err := folder.CopyCompanions(dir, p.donor.dir); err != nil {
		return err
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
