package recipe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/models/safetensors"
	"github.com/profuser/profuser/trainer/merge"
)

func parse(t *testing.T, text string) *Recipe {
	t.Helper()
	r, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestModels reads a file as mergekit's documentation shows it.
func TestModels(t *testing.T) {
	r := parse(t, `
models:
  - model: base
    # no parameters necessary for base model
  - model: orca
    parameters:
      density: [1, 0.7, 0.1] # density gradient
      weight: 1.0
  - model: {model: {path: wizard}}
    parameters:
      density: 0.33
      weight:
        - filter: mlp
          value: 0.5
        - value: 0
merge_method: ties
base_model: base
parameters:
  normalize: true
  int8_mask: true
  t: 0.5
dtype: float16
out_dtype: bfloat16
tokenizer_source: base
`)
	if d := cmp.Diff([]string{"base", "orca", "wizard"}, r.Models); d != "" {
		t.Error(d)
	}
	if r.Base != 0 || !r.Whole || len(r.Slices) != 1 || r.Slices[0].BaseInput() != 0 || r.DType != safetensors.F16 || r.OutDType != safetensors.BF16 {
		t.Errorf("%+v", r)
	}
	notes := []string{"parameters.int8_mask has no effect: masks take no memory here", "parameters.t has no effect: ties has no such parameter"}
	if d := cmp.Diff(notes, r.Notes); d != "" {
		t.Error(d)
	}
	resolve := func(name string, at float64) []merge.Settings {
		_, own, err := r.Resolve(0, name, []string{name, name, name}, at)
		if err != nil {
			t.Fatal(err)
		}
		return own
	}
	want := []merge.Settings{{}, {"density": 0.85, "weight": 1}, {"density": 0.33, "weight": 0.5}}
	if d := cmp.Diff(want, resolve("model.layers.1.mlp.up_proj.weight", 0.25)); d != "" {
		t.Error(d)
	}
	want = []merge.Settings{{}, {"density": 0.1, "weight": 1}, {"density": 0.33, "weight": 0}}
	if d := cmp.Diff(want, resolve("model.norm.weight", 1)); d != "" {
		t.Error(d)
	}
	shared, _, err := r.Resolve(0, "x", []string{"x", "x", "x"}, 0)
	if d := cmp.Diff(merge.Settings{"lambda": 1, "normalize": 1, "rescale": 0, "int8_mask": 1, "consensus_method": 0}, shared); d != "" || err != nil {
		t.Error(d, err)
	}
}

// TestSlices reads slices with gradients, filters and settings at three places.
func TestSlices(t *testing.T) {
	r := parse(t, `
slices:
  - sources:
      - {model: a, layer_range: [0, 4]}
      - {model: b, layer_range: [2, 6]}
    parameters: {t: [{filter: attn, value: [0, 1]}]}
  - base_model: b
    sources:
      - {model: a, layer_range: [4, 5]}
      - {model: b, layer_range: [0, 1]}
merge_method: slerp
base_model: a
parameters: {t: [{filter: mlp, value: [1, 0]}, {value: 0.5}]}
`)
	for _, c := range []struct {
		slice int
		name  string
		at    float64
		want  float64
	}{{0, "x.attn.q", 0.25, 0.25}, {0, "x.mlp.up", 0.25, 0.75}, {0, "norm", 0.25, 0.5}, {1, "x.attn.q", 0.25, 0.5}} {
		shared, _, err := r.Resolve(c.slice, c.name, []string{c.name, c.name}, c.at)
		if err != nil || shared["t"] != c.want {
			t.Errorf("slice %d, %s: t is %v, %v, want %v", c.slice, c.name, shared["t"], err, c.want)
		}
	}
	if r.Slices[0].BaseInput() != 0 || r.Slices[1].BaseInput() != 1 || r.Whole || r.Slices[0].Sources[1].First != 2 {
		t.Errorf("%+v", r.Slices)
	}
}

// TestAddsBase: a base that is no input is one, the last, as in mergekit.
func TestAddsBase(t *testing.T) {
	r := parse(t, "merge_method: task_arithmetic\nbase_model: base\nmodels: [{model: a, parameters: {weight: 1}}]\n")
	if d := cmp.Diff([]string{"a", "base"}, r.Models); d != "" || r.Base != 1 || r.Slices[0].BaseInput() != 1 {
		t.Error(d, r.Base)
	}
}

// TestMissing: a required parameter that no place sets names the model and the tensor.
func TestMissing(t *testing.T) {
	r := parse(t, "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}, {model: b, parameters: {weight: {filter: mlp, value: 1}}}]\n")
	_, _, err := r.Resolve(0, "norm", []string{"norm", "norm"}, 0)
	if err == nil || err.Error() != "model b: parameter weight is missing for tensor norm: it has no default" {
		t.Error(err)
	}
}

// TestRefused: what is not supported is an error that names it.
func TestRefused(t *testing.T) {
	const models = "models: [{model: a, parameters: {weight: 1}}]\n"
	for text, want := range map[string]string{
		"":                       "the file is empty",
		models:                   "merge_method is missing",
		"merge_method: linear\n": "either models or slices",
		"merge_method: linear\nmodules: {}\n" + models:                                                                                  `line 2: key "modules" is not supported: models of several modules`,
		"merge_method: linear\nchat_template: auto\n" + models:                                                                          `key "chat_template" is not supported`,
		"merge_method: karcher\n" + models:                                                                                              `merge_method "karcher" is not supported, want one of breadcrumbs`,
		"merge_method: linear\ntokenizer_source: union\n" + models:                                                                      "tokenizer_source is union: only base",
		"merge_method: linear\ntokenizer: {source: base, tokens: {}}\n" + models:                                                        `key "tokens" is not supported`,
		"merge_method: linear\ntokenizer: {source: union}\n" + models:                                                                   "tokenizer.source is union",
		"merge_method: linear\ndtype: int8\n" + models:                                                                                  `dtype is "int8", want float32`,
		"merge_method: linear\nembed: union\n" + models:                                                                                 `embed is "union"`,
		"merge_method: linear\nparameters: {wieght: 1}\n" + models:                                                                      "parameters.wieght is not a parameter of linear",
		"merge_method: linear\nmodels: [{model: a+b}]\n":                                                                                "models[0].model is a+b: adapters",
		"merge_method: linear\nmodels: [{model: a@main}]\n":                                                                             "revisions",
		"merge_method: linear\nmodels: [{model: {model: a, lora: b}}]\n":                                                                `key "lora" is not supported: merge the adapter`,
		"merge_method: linear\nmodels: [{model: a}, {model: a}]\n":                                                                      "already an input",
		"merge_method: linear\nmodels: [{model: 3}]\n":                                                                                  "models[0].model is 3, want the folder",
		"merge_method: linear\nmodels: [{model: a, parameters: {weight: heavy}}]\n":                                                     "models[0].parameters: weight is heavy, want a number",
		"merge_method: linear\nmodels: [{model: a, parameters: {weight: [{filter: 3, value: 1}]}}]\n":                                   "filter is 3",
		"merge_method: linear\nmodels: [{model: a, parameters: {weight: [{filter: mlp}]}}]\n":                                           `a filter "mlp" has no value`,
		"merge_method: linear\nmodels: [{model: a, parameters: {weight: [{when: mlp, value: 1}]}}]\n":                                   `key "when" is not supported`,
		"merge_method: linear\nmodels: [{model: a, parameters: {weight: [1, {value: 1}]}}]\n":                                           "mixes",
		"merge_method: linear\nmodels: [{model: a, parameters: {weight: [[1]]}}]\n":                                                     "want a value",
		"merge_method: slerp\nmodels: [{model: a}, {model: b}]\nparameters: {t: 1}\n":                                                   "needs base_model",
		"merge_method: slerp\nbase_model: a\nmodels: [{model: a}, {model: b}, {model: c}]\n":                                            "not 2",
		"merge_method: slerp\nslices: [{sources: [{model: a, layer_range: [0, 0]}]}]\n":                                                 "slices[0].sources[0].layer_range is [0 0]",
		"merge_method: slerp\nslices: [{sources: [{model: a, layer_range: [0, 2]}, {model: b, layer_range: [0, 3]}]}]\n":                "equally many",
		"merge_method: slerp\nbase_model: c\nslices: [{sources: [{model: a, layer_range: [0, 2]}, {model: b, layer_range: [0, 2]}]}]\n": "slices[0]: the base model c is not among the sources",
		"models: x\n":                       `line 1: the value of models is of another kind than the key wants (docs/merging.md): "x"`,
		"merge_method: [linear]\n" + models: "line 1: the value of merge_method is of another kind",
		"- a\n":                             "line 1: the file wants keys with values",
		"merge_method: linear\nmodels: [\n": "",
		"merge_method: linear\n" + models + "---\nmerge_method: x\n": "several documents",
	} {
		_, err := Parse([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %q on one line", text, err, want)
		}
	}
}

// FuzzParse: whatever the file, the result is an error of one line or a recipe whose parameters resolve or are named.
func FuzzParse(f *testing.F) {
	paths, err := filepath.Glob("../testdata/golden/float32/*.yaml")
	if err != nil || len(paths) == 0 {
		f.Fatal(paths, err)
	}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("merge_method: linear\nmodels: [{model: {path: a}, parameters: {weight: []}}]\nparameters: {weight: [true, 0.5]}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Parse(data)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		for i, s := range r.Slices {
			names := make([]string, len(s.Sources))
			for j := range names {
				names[j] = "model.layers.0.mlp.up_proj.weight"
			}
			for _, at := range []float64{0, 0.3, 1} {
				if _, _, err := r.Resolve(i, names[0], names, at); err != nil && !strings.Contains(err.Error(), "missing") {
					t.Error(err)
				}
			}
		}
	})
}
