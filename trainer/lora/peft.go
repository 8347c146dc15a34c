package lora

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/profuser/profuser/models/decoder/lowrank"
	"github.com/profuser/profuser/models/safetensors"
)

// Names of an adapter's files.
const (
	ConfigFile  = "adapter_config.json"
	WeightsFile = "adapter_model.safetensors"
)

// peftPrefix begins the names of PEFT's tensors.
const peftPrefix = "base_model.model."

// settings are the fields of adapter_config.json that say what is computed. Those that change it in ways we do not know
// are read to be refused.
type settings struct {
	Type        string         `json:"peft_type"`
	Task        string         `json:"task_type,omitempty"`
	Base        string         `json:"base_model_name_or_path"`
	Rank        int            `json:"r"`
	Alpha       float64        `json:"lora_alpha"`
	Dropout     float64        `json:"lora_dropout"`
	Targets     any            `json:"target_modules"`
	Bias        string         `json:"bias"`
	FanInFanOut bool           `json:"fan_in_fan_out"`
	RankStable  bool           `json:"use_rslora"`
	Decomposed  bool           `json:"use_dora"`
	LoRABias    bool           `json:"lora_bias"`
	Inference   bool           `json:"inference_mode"`
	Whole       any            `json:"modules_to_save"`
	Ranks       map[string]any `json:"rank_pattern"`
	Alphas      map[string]any `json:"alpha_pattern"`
}

// scale is the factor of B·A: alpha/r, or alpha/√r where the file says so.
func (s settings) scale() float64 {
	if s.RankStable {
		return s.Alpha / math.Sqrt(float64(s.Rank))
	}
	return s.Alpha / float64(s.Rank)
}

// validate names the first field that cannot be merged.
func (s settings) validate() error {
	switch {
	case !strings.EqualFold(s.Type, "LORA"):
		return fmt.Errorf("peft_type: %q, only LORA adapters can be merged", s.Type)
	case s.Rank < 1:
		return fmt.Errorf("r: %d, must be positive", s.Rank)
	case !(s.Alpha > 0):
		return fmt.Errorf("lora_alpha: %g, must be positive", s.Alpha)
	case s.Bias != "" && s.Bias != "none":
		return fmt.Errorf("bias: %q, only adapters without biases can be merged", s.Bias)
	case s.FanInFanOut:
		return errors.New("fan_in_fan_out: true, only matrices [out, in] can be merged")
	case s.Decomposed:
		return errors.New("use_dora: true, adapters with weight decomposition cannot be merged")
	case s.LoRABias:
		return errors.New("lora_bias: true, only adapters without biases can be merged")
	case s.Whole != nil && len(fmt.Sprint(s.Whole)) > len("[]"):
		return fmt.Errorf("modules_to_save: %v, adapters with whole modules cannot be merged", s.Whole)
	case len(s.Ranks) > 0:
		return errors.New("rank_pattern: adapters with several ranks cannot be merged")
	case len(s.Alphas) > 0:
		return errors.New("alpha_pattern: adapters with several alphas cannot be merged")
	}
	return nil
}

// Save writes the adapter into a folder as PEFT does; base is the path of the base model that it names.
func (a *Adapter) Save(dir, base string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("saving an adapter: %w", err)
	}
	short := map[string][]int{}
	var out []safetensors.Named
	for _, module := range slices.Sorted(maps.Keys(a.modules)) {
		shape := a.modules[module]
		short[module] = shape
		factorA, factorB, err := a.factors(module)
		if err != nil {
			return fmt.Errorf("saving an adapter: %w", err)
		}
		nameA, nameB := lowrank.Names(peftPrefix + module)
		out = append(out,
			safetensors.Named{Name: nameA, DType: safetensors.F32, Shape: []int{a.options.Rank, shape[1]}, Data: factorA},
			safetensors.Named{Name: nameB, DType: safetensors.F32, Shape: []int{shape[0], a.options.Rank}, Data: factorB})
	}
	if err := safetensors.Write(filepath.Join(dir, WeightsFile), out); err != nil {
		return err
	}
	b, err := json.MarshalIndent(settings{
		Type: "LORA", Task: "CAUSAL_LM", Base: base, Rank: a.options.Rank, Alpha: a.options.Alpha, Targets: shortNames(short), Bias: "none",
		Inference: true, Ranks: map[string]any{}, Alphas: map[string]any{},
	}, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, ConfigFile), append(b, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("saving an adapter: %w", err)
	}
	return nil
}

// file is an adapter on disk.
type file struct {
	settings
	dir     string
	tensors *safetensors.File
	// modules are those adapted, by the name of their weight.
	modules map[string]bool
}

// open reads an adapter's configuration and the headers of its tensors.
func open(dir string) (*file, error) {
	f := &file{dir: dir, modules: map[string]bool{}}
	path := filepath.Join(dir, ConfigFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading an adapter: %w; PEFT's format is %s and %s", err, ConfigFile, WeightsFile)
	}
	if err := json.Unmarshal(b, &f.settings); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if err := f.validate(); err != nil {
		return nil, fmt.Errorf("reading %s: field %w", path, err)
	}
	if f.tensors, err = safetensors.Open(filepath.Join(dir, WeightsFile)); err != nil {
		return nil, err
	}
	if err := f.pair(); err != nil {
		return nil, errors.Join(fmt.Errorf("reading %s: %w", filepath.Join(dir, WeightsFile), err), f.tensors.Close())
	}
	return f, nil
}

// pair checks that the tensors are pairs of factors of the rank.
func (f *file) pair() error {
	for _, t := range f.tensors.Tensors() {
		module, isA := strings.CutSuffix(strings.TrimPrefix(t.Name, peftPrefix), ".lora_A.weight")
		module, isB := strings.CutSuffix(module, ".lora_B.weight")
		if !isA && !isB || !strings.HasPrefix(t.Name, peftPrefix) {
			return fmt.Errorf("tensor %s is no factor of a matrix (%sMODULE.lora_A.weight or lora_B.weight)", t.Name, peftPrefix)
		}
		nameA, nameB := lowrank.Names(peftPrefix + module)
		a, okA := f.tensors.Lookup(nameA)
		b, okB := f.tensors.Lookup(nameB)
		if !okA || !okB {
			return fmt.Errorf("module %s has one factor, want %s and %s", module, nameA, nameB)
		}
		if len(a.Shape) != 2 || len(b.Shape) != 2 || a.Shape[0] != f.Rank || b.Shape[1] != f.Rank {
			return fmt.Errorf("module %s has factors %v and %v, want [%d, in] and [out, %d]", module, a.Shape, b.Shape, f.Rank, f.Rank)
		}
		f.modules[module+".weight"] = true
	}
	if len(f.modules) == 0 {
		return errors.New("no factors")
	}
	return nil
}
