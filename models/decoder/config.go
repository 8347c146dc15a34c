package decoder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// Config is a model's shape, read from config.json.
type Config struct {
	// Architecture is the first entry of config.json's architectures, such as LlamaForCausalLM.
	Architecture string
	// Vocab is the number of rows of the embedding.
	Vocab int
	// Dim is the model width D.
	Dim int
	// Layers is the number of blocks.
	Layers int
	// Heads is the number of query heads H.
	Heads int
	// KVHeads is the number of key-value heads; it divides Heads.
	KVHeads int
	// HeadDim is the width of one head.
	HeadDim int
	// FFN is the width of the feed-forward layer.
	FFN int
	// Epsilon of the norms.
	Epsilon float64
	// RopeTheta is the base of the rotary embedding; 0 for none (MPT).
	RopeTheta float64
	// AlibiBiasMax scales the ALiBi slopes (MPT); 8 by default. We heed other values as the original MPT code does;
	// transformers 5.23 ignores them.
	AlibiBiasMax float64
	// MaxPositions is the context length in tokens.
	MaxPositions int
	// Tied is true when the embedding is also the output head.
	Tied bool
	// Compute says how training graphs are computed; it is no part of config.json.
	Compute Compute

	v   variant
	raw map[string]any // config.json as read, so that saving keeps keys that we do not use
}

// variant is what a model does otherwise than the plain Llama or MPT.
type variant struct {
	activation string // of the feed-forward layer, a key of activations
	// attention of Llama-like models: biases of the projections in and out, a norm over each query and key head, one
	// fused matrix for query, key and value and one for gate and up
	qkvBias, outBias, qkNorm, fused bool
	ffnBias                         bool
	normPlusOne                     bool        // norms multiply by 1 + weight
	embeddingScale                  float64     // multiplies the embedding; 0 is none
	rotary                          int         // values of a head that positions turn
	scaling                         ropeScaling // of the angles
	window                          int         // keys that a query of a windowed layer sees, itself included; 0 is all
	windowed                        func(layer int) bool
	parallel                        bool    // attention and feed-forward layer read the same input (GPT-NeoX)
	clip                            float64 // bounds query, key and value (MPT); 0 is none
	scoreScale                      float64 // multiplies the attention scores; 0 is 1/√C
}

// windowOf is a layer's window; 0 is none.
func (v variant) windowOf(layer int) int {
	if v.window == 0 || (v.windowed != nil && !v.windowed(layer)) {
		return 0
	}
	return v.window
}

// Plain says whether the model is a Llama or an MPT without options: no biases, scaled positions, windows, other
// activations, clipping or scales.
func (c Config) Plain() bool {
	v := c.v
	want := variant{activation: "silu", rotary: c.HeadDim}
	switch {
	case c.AlibiBiasMax != 0:
		want = variant{activation: "gelu"}
	case v.scaling.scaled():
		return false
	}
	v.scaling, v.windowed = ropeScaling{}, nil
	return reflect.DeepEqual(v, want)
}

// Context is the longest sequence in tokens.
func (c Config) Context() int { return c.MaxPositions }

// VocabSize is the number of logits V.
func (c Config) VocabSize() int { return c.Vocab }

// ReadConfig reads dir/config.json, or the file itself when path is one. Errors name the file and the field.
func ReadConfig(path string) (Config, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "config.json")
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, fmt.Errorf("reading a model: %s does not exist; a model directory has config.json, tokenizer.json and model.safetensors", path)
	} else if err != nil {
		return Config{}, fmt.Errorf("reading a model: %w", err)
	}
	c, err := ParseConfig(b)
	if err != nil {
		return Config{}, fmt.Errorf("reading %s: %w", path, err)
	}
	return c, nil
}

// ParseConfig reads the text of a config.json.
func ParseConfig(b []byte) (Config, error) {
	var head struct {
		Architectures []string `json:"architectures"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return Config{}, err
	}
	if len(head.Architectures) == 0 {
		return Config{}, errors.New("field architectures is missing")
	}
	a, err := lookup(head.Architectures[0])
	if err != nil {
		return Config{}, err
	}
	c, err := a.parse(b)
	if err != nil {
		return Config{}, err
	}
	c.Architecture = head.Architectures[0]
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // 1.0 must be saved as 1.0: transformers refuses 1 where it wants a float
	if err := d.Decode(&c.raw); err != nil {
		return Config{}, err
	}
	if err := c.validate(a.fields); err != nil {
		return Config{}, err
	}
	return c, nil
}

// validate checks that the numbers make a model.
func (c Config) validate(fields [6]string) error {
	if c.Vocab <= 0 {
		return fmt.Errorf("field vocab_size: %d must be positive", c.Vocab)
	}
	for i, v := range []int{c.Dim, c.Layers, c.Heads, c.KVHeads, c.FFN, c.MaxPositions} {
		if v <= 0 {
			return fmt.Errorf("field %s: %d must be positive", fields[i], v)
		}
	}
	if c.Heads%c.KVHeads != 0 {
		return fmt.Errorf("field %s: %d heads cannot share %d key-value heads, the second must divide the first", fields[3], c.Heads, c.KVHeads)
	}
	if c.HeadDim <= 0 {
		return fmt.Errorf("field head_dim: %d must be positive", c.HeadDim)
	}
	if c.RopeTheta < 0 {
		return fmt.Errorf("field rope_theta: %g must be positive", c.RopeTheta)
	}
	if c.RopeTheta != 0 && (c.v.rotary <= 0 || c.v.rotary%2 != 0) {
		return fmt.Errorf("field head_dim: %d of %d values are turned by rotary positions, the number must be even and positive", c.v.rotary, c.HeadDim)
	}
	if activations[c.v.activation] == nil {
		return fmt.Errorf("field hidden_act: %q is not supported; known: %s", c.v.activation, strings.Join(slices.Sorted(maps.Keys(activations)), ", "))
	}
	if c.v.window < 0 {
		return fmt.Errorf("field sliding_window: %d must not be negative", c.v.window)
	}
	return nil
}

// write saves config.json: the keys it was read with, as they were, and the storage type of the weights.
func (c Config) write(dir, dtype string) error {
	out := map[string]any{}
	for k, v := range c.raw {
		out[k] = v
	}
	delete(out, "dtype") // the name of newer versions, which read both
	out["torch_dtype"] = dtype
	b, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), append(b, '\n'), 0o644)
}
