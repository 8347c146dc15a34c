package recipe

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/token"

	"github.com/profuser/profuser/models/safetensors"
	"github.com/profuser/profuser/trainer/merge"
)

// All says that a source gives all of its layers.
const All = -1

// Recipe is a merge file, checked.
type Recipe struct {
	// Method is the row of the table.
	Method merge.Method
	// Models are the paths as written, each once, in the order of their first mention.
	Models []string
	// Base is the index of the base model in Models, -1 without one.
	Base int
	// Slices are the pieces of the result, one after the other; a file with `models` has one of all layers.
	Slices []Slice
	// Whole says that the file has `models`: every model gives all its layers.
	Whole bool
	// DType and OutDType are storage types, "" where the file does not say.
	DType, OutDType string
	// Overlap says that rows of embeddings are matched by the bytes of their tokens (`embed: overlap`).
	Overlap bool
	// Notes are remarks to show: settings that are known and have no effect here.
	Notes []string

	shared settings
}

// Slice is a run of layers made of one or more models' layers.
type Slice struct {
	// Base is the index of the slice's base model in Recipe.Models, -1 without one.
	Base int
	// Sources are the inputs, in order.
	Sources []Source

	shared settings
}

// Source is the part of one model in a slice.
type Source struct {
	// Model is an index into Recipe.Models.
	Model int
	// First and End are the layers, End not among them; All and All for every layer.
	First, End int

	own settings
}

// BaseInput is the index of the base among the sources, -1 without one.
func (s Slice) BaseInput() int {
	for i, src := range s.Sources {
		if s.Base >= 0 && src.Model == s.Base {
			return i
		}
	}
	return -1
}

// document is the file as it stands.
type document struct {
	Method     string         `yaml:"merge_method"`
	Models     []input        `yaml:"models"`
	Slices     []slice        `yaml:"slices"`
	Base       any            `yaml:"base_model"`
	Parameters map[string]any `yaml:"parameters"`
	DType      string         `yaml:"dtype"`
	OutDType   string         `yaml:"out_dtype"`
	Source     any            `yaml:"tokenizer_source"`
	Tokenizer  *struct {
		Source any `yaml:"source"`
	} `yaml:"tokenizer"`
	Embed string `yaml:"embed"`
	Name  string `yaml:"name"`
}

type input struct {
	Model      any            `yaml:"model"`
	Parameters map[string]any `yaml:"parameters"`
}

type slice struct {
	Sources    []source       `yaml:"sources"`
	Base       any            `yaml:"base_model"`
	Parameters map[string]any `yaml:"parameters"`
}

type source struct {
	Model      any            `yaml:"model"`
	Layers     []int          `yaml:"layer_range"`
	Parameters map[string]any `yaml:"parameters"`
}

// dtypes are the names of storage types.
var dtypes = map[string]string{
	"": "", "float32": safetensors.F32, "bfloat16": safetensors.BF16, "float16": safetensors.F16,
}

// Parse reads a merge file. Errors name the key and, where YAML tells it, the line.
func Parse(data []byte) (*Recipe, error) {
	d := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict())
	var doc document
	if err := d.Decode(&doc); err != nil {
		return nil, explain(err)
	}
	if d.Decode(&document{}) == nil {
		return nil, errors.New("the file has several documents; one merge has one: run them one after the other")
	}
	method, err := merge.Lookup(doc.Method)
	if doc.Method == "" {
		return nil, errors.New("merge_method is missing")
	} else if err != nil {
		return nil, err
	}
	r := &Recipe{Method: method, Base: -1}
	for key, name := range map[string]string{"dtype": doc.DType, "out_dtype": doc.OutDType} {
		if _, ok := dtypes[strings.TrimPrefix(name, "torch.")]; !ok {
			return nil, fmt.Errorf("%s is %q, want float32, bfloat16 or float16", key, name)
		}
	}
	r.DType, r.OutDType = dtypes[strings.TrimPrefix(doc.DType, "torch.")], dtypes[strings.TrimPrefix(doc.OutDType, "torch.")]
	if r.Overlap = doc.Embed == "overlap"; !r.Overlap && doc.Embed != "" {
		return nil, fmt.Errorf("embed is %q, want overlap, or no such key", doc.Embed)
	}
	if r.shared, err = r.settings("parameters", doc.Parameters); err != nil {
		return nil, err
	}
	if err := r.inputs(doc); err != nil {
		return nil, err
	}
	if err := r.tokenizer(doc); err != nil {
		return nil, err
	}
	slices.Sort(r.Notes)
	r.Notes = slices.Compact(r.Notes)
	return r, r.check()
}

// explain turns the decoder's error into one line that names the key.
func explain(err error) error {
	var unknown *yaml.UnknownFieldError
	if errors.As(err, &unknown) {
		t := unknown.GetToken()
		if t == nil {
			return errors.New(unknown.GetMessage())
		}
		return fmt.Errorf("line %d: key %q is not supported%s", t.Position.Line, t.Value, hints[t.Value])
	}
	var kind *yaml.TypeError
	var node *yaml.UnexpectedNodeTypeError
	switch {
	case errors.As(err, &kind):
		return wrongKind(kind.Token)
	case errors.As(err, &node):
		return wrongKind(node.Token)
	}
	message, _, _ := strings.Cut(yaml.FormatError(err, false, false), "\n")
	if message == "" || message == "EOF" {
		message = "the file is empty"
	}
	return errors.New(message)
}

// wrongKind names the key whose value is a text where a list belongs, or the like.
func wrongKind(value *token.Token) error {
	key := value
	for key != nil && key.Type != token.MappingValueType {
		key = key.Prev
	}
	if key == nil || key.Prev == nil {
		return fmt.Errorf("line %d: the file wants keys with values (merge_method: …), not %q", value.Position.Line, value.Value)
	}
	return fmt.Errorf("line %d: the value of %s is of another kind than the key wants (docs/merging.md): %q", value.Position.Line, key.Prev.Value, value.Value)
}

// hints say what to do instead of a key of mergekit that is not supported.
var hints = map[string]string{
	"modules":            ": models of several modules (vision, encoder and decoder) cannot be merged",
	"chat_template":      ": the base's tokenizer files are copied as they are; change them there",
	"tokens":             ": the base's tokenizer is kept; rows of other tokenizers are matched with embed: overlap",
	"pad_to_multiple_of": ": the base's vocabulary size is kept",
	"residual_weight":    ": mergekit reads it and does nothing",
	"lora":               ": merge the adapter into its model first",
}

// inputs reads models or slices.
func (r *Recipe) inputs(doc document) error {
	if (len(doc.Models) == 0) == (len(doc.Slices) == 0) {
		return errors.New("the file wants either models or slices, and one of them")
	}
	var err error
	if len(doc.Models) > 0 {
		r.Whole = true
		s := Slice{Base: -1}
		for i, in := range doc.Models {
			if err := r.source(&s, fmt.Sprintf("models[%d]", i), source{in.Model, []int{All, All}, in.Parameters}); err != nil {
				return err
			}
		}
		if doc.Base != nil {
			if s.Base, err = r.model("base_model", doc.Base); err != nil {
				return err
			}
			if s.BaseInput() < 0 {
				s.Sources = append(s.Sources, Source{Model: s.Base, First: All, End: All})
			}
		}
		r.Slices = []Slice{s}
	}
	for i, in := range doc.Slices {
		key := fmt.Sprintf("slices[%d]", i)
		s := Slice{Base: -1}
		if s.shared, err = r.settings(key+".parameters", in.Parameters); err != nil {
			return err
		}
		for j, src := range in.Sources {
			at := fmt.Sprintf("%s.sources[%d]", key, j)
			if len(src.Layers) != 2 || src.Layers[0] < 0 || src.Layers[1] <= src.Layers[0] {
				return fmt.Errorf("%s.layer_range is %v, want [first, end] with first below end", at, src.Layers)
			}
			if err := r.source(&s, at, src); err != nil {
				return err
			}
		}
		if len(s.Sources) == 0 {
			return fmt.Errorf("%s has no sources", key)
		}
		if in.Base != nil {
			s.Base, err = r.model(key+".base_model", in.Base)
		} else if doc.Base != nil {
			s.Base, err = r.model("base_model", doc.Base)
		}
		if err != nil {
			return err
		}
		r.Slices = append(r.Slices, s)
	}
	if r.Base = -1; doc.Base != nil {
		r.Base, err = r.model("base_model", doc.Base)
	}
	return err
}

// source adds an input to a slice.
func (r *Recipe) source(s *Slice, key string, in source) error {
	m, err := r.model(key+".model", in.Model)
	if err != nil {
		return err
	}
	own, err := r.settings(key+".parameters", in.Parameters)
	if err != nil {
		return err
	}
	for _, x := range s.Sources {
		if x.Model == m {
			return fmt.Errorf("%s.model is %s, which is already an input", key, r.Models[m])
		}
		if x.End-x.First != in.Layers[1]-in.Layers[0] {
			return fmt.Errorf("%s.layer_range has %d layers, the first source %d: the inputs of a slice need equally many", key, in.Layers[1]-in.Layers[0], x.End-x.First)
		}
	}
	s.Sources = append(s.Sources, Source{Model: m, First: in.Layers[0], End: in.Layers[1], own: own})
	return nil
}

// model reads a model reference, a folder, and gives its index in Models.
func (r *Recipe) model(key string, v any) (int, error) {
	path, ok := v.(string)
	if m, isMap := v.(map[string]any); isMap {
		for k := range m {
			if k != "model" && k != "path" {
				return 0, fmt.Errorf("%s: key %q is not supported%s", key, k, hints[k])
			}
		}
		if inner, has := m["model"]; has && len(m) == 1 {
			return r.model(key, inner)
		}
		path, ok = m["path"].(string)
	}
	if !ok || path == "" {
		return 0, fmt.Errorf("%s is %v, want the folder of a model", key, v)
	}
	if strings.Contains(path, "+") {
		return 0, fmt.Errorf("%s is %s: adapters (model+lora) are not supported; merge the adapter into its model first", key, path)
	}
	if strings.Contains(path, "@") {
		return 0, fmt.Errorf("%s is %s: revisions (model@revision) are not supported; name the folder of that revision", key, path)
	}
	if i := slices.Index(r.Models, path); i >= 0 {
		return i, nil
	}
	r.Models = append(r.Models, path)
	return len(r.Models) - 1, nil
}

// tokenizer allows what comes out as the base's tokenizer, and nothing else.
func (r *Recipe) tokenizer(doc document) error {
	key, v := "tokenizer_source", doc.Source
	if doc.Tokenizer != nil {
		if v != nil {
			return errors.New("tokenizer and tokenizer_source cannot both be set")
		}
		key, v = "tokenizer.source", doc.Tokenizer.Source
	}
	if v == nil || v == "base" || r.Base >= 0 && v == r.Models[r.Base] {
		return nil
	}
	return fmt.Errorf("%s is %v: only base is supported, the base model's tokenizer (without base_model the first model's)", key, v)
}

// check looks at the number of inputs and at required parameters.
func (r *Recipe) check() error {
	for i, s := range r.Slices {
		where := ""
		if !r.Whole {
			where = fmt.Sprintf("slices[%d]: ", i)
		}
		if s.Base >= 0 && s.BaseInput() < 0 && r.Method.Base != merge.BaseUnused {
			return fmt.Errorf("%sthe base model %s is not among the sources", where, r.Models[s.Base])
		}
		if err := r.Method.Check(len(s.Sources), s.BaseInput() >= 0); err != nil {
			return fmt.Errorf("%s%w", where, err)
		}
	}
	return nil
}
