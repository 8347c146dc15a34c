package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/models/safetensors"
	"github.com/profuser/profuser/trainer/trainertest"
)

// weights is a tensor of a test's model.
func weights(name string, shape []int, data ...float32) safetensors.Named {
	return safetensors.Named{Name: name, DType: safetensors.F32, Shape: shape, Data: data}
}

// save writes a model directory.
func save(t *testing.T, dir, config string, tensors ...safetensors.Named) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := safetensors.Write(filepath.Join(dir, "model.safetensors"), tensors); err != nil {
		t.Fatal(err)
	}
}

// recipeFile writes a merge file.
func recipeFile(t *testing.T, dir, text string) string {
	t.Helper()
	path := filepath.Join(dir, "merge.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// merged merges and reads the result.
func merged(t *testing.T, o Options) map[string][]float32 {
	t.Helper()
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.ShardSize == 0 {
		o.ShardSize = 1e9
	}
	if err := Merge(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(o.Out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := map[string][]float32{}
	for _, d := range f.Tensors() {
		if all[d.Name], err = f.Float32(d.Name); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestBytes: threads and the size of chunks change no byte of any file; the size of shards changes no element.
func TestBytes(t *testing.T) {
	for method, settings := range map[string]string{
		"ties": "density: 0.4", "dare_ties": "density: 0.5", "dare_linear": "density: 0.5", "della": "density: 0.5", "breadcrumbs": "density: 0.8, gamma: 0.1", "sce": "select_topk: 0.5",
		"model_stock": "filter_wise: true", "linear": "", "slerp": "t: 0.3", "nuslerp": "nuslerp_flatten: false, nuslerp_row_wise: true",
	} {
		t.Run(method, func(t *testing.T) {
			dir, err := filepath.Abs(filepath.Join(golden, "bfloat16"))
			if err != nil {
				t.Fatal(err)
			}
			models, base := fmt.Sprintf("{model: %[1]s/a, parameters: {weight: 0.6}}, {model: %[1]s/b, parameters: {weight: 0.7}}", dir), fmt.Sprintf("base_model: %s/base\n", dir)
			switch method {
			case "linear":
				base = ""
			case "slerp":
				models = fmt.Sprintf("{model: %s/a}", dir)
			}
			config := recipeFile(t, t.TempDir(), fmt.Sprintf("merge_method: %s\n%smodels: [%s]\nparameters: {%s}\n", method, base, models, settings))
			o := Options{Config: config, ShardSize: 5000, Seed: 4, Threads: 1}
			o.Out = filepath.Join(t.TempDir(), "first")
			elements := merged(t, o)
			want := trainertest.Files(t, o.Out)
			if _, ok := want["model.safetensors.index.json"]; !ok || len(want) < 6 {
				t.Errorf("%d files", len(want))
			}
			for _, o := range []Options{{Threads: 1, Chunk: 1}, {Threads: 4, Chunk: 100}, {Threads: 3, Chunk: 1 << 20}} {
				o.Config, o.ShardSize, o.Seed, o.Log, o.Out = config, 5000, 4, io.Discard, filepath.Join(t.TempDir(), "out")
				merged(t, o)
				if got := trainertest.Files(t, o.Out); cmp.Diff(want, got) != "" {
					t.Errorf("%d threads, chunks of %d: other bytes", o.Threads, o.Chunk)
				}
			}
			o.ShardSize, o.Out = 1e9, filepath.Join(t.TempDir(), "one")
			if d := cmp.Diff(elements, merged(t, o)); d != "" {
				t.Errorf("in one file: %s", d)
			}
			if strings.Contains(method, "dare") {
				o.Seed, o.Out = 5, filepath.Join(t.TempDir(), "seed")
				if cmp.Equal(elements, merged(t, o)) {
					t.Error("another seed has the same masks")
				}
			}
		})
	}
}

const llama = `{"model_type":"llama","num_hidden_layers":2,"vocab_size":2,"tie_word_embeddings":true,"torch_dtype":"float32"}`

// pair writes models base and other, of two layers.
func pair(t *testing.T, dir string) (base, other []safetensors.Named) {
	t.Helper()
	base = []safetensors.Named{
		weights("model.embed_tokens.weight", []int{2, 2}, 1, 2, 3, 4), weights("model.layers.0.w", []int{2}, 0, 0),
		weights("model.layers.1.w", []int{2}, 1, -1), weights("model.norm.weight", []int{2}, 1, 1),
	}
	other = []safetensors.Named{
		weights("model.embed_tokens.weight", []int{2, 2}, 1, 3, 3, 6), weights("model.layers.0.w", []int{2}, 3, -4),
		weights("model.layers.1.w", []int{2}, 1, -3), weights("model.norm.weight", []int{2}, 1, 1),
	}
	save(t, filepath.Join(dir, "base"), llama, base...)
	save(t, filepath.Join(dir, "other"), llama, other...)
	return base, other
}

const arithmetic = "merge_method: task_arithmetic\nbase_model: base\nmodels: [{model: other, parameters: {weight: 0.5}}]\n"

// TestReport is by hand: norms, sign agreement; the files of the result.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	pair(t, dir)
	third := []safetensors.Named{
		weights("model.embed_tokens.weight", []int{2, 2}, 1, 1, 3, 7), weights("model.layers.0.w", []int{2}, 1, -1),
		weights("model.layers.1.w", []int{2}, 1, -1), weights("model.norm.weight", []int{2}, 1, 1),
	}
	save(t, filepath.Join(dir, "third"), llama, third...)
	if err := os.WriteFile(filepath.Join(dir, "base", "tokenizer_config.json"), []byte(`{"x":1}`), 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	out := filepath.Join(dir, "out")
	config := strings.Replace(arithmetic, "]\n", ", {model: third, parameters: {weight: 0.5}}]\nparameters: {int8_mask: true}\n", 1)
	got := merged(t, Options{Config: recipeFile(t, dir, config), Out: out, Log: &log})
	want := map[string][]float32{"model.embed_tokens.weight": {1, 2, 3, 6.5}, "model.layers.0.w": {2, -2.5}, "model.layers.1.w": {1, -2}, "model.norm.weight": {1, 1}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	files := trainertest.Files(t, out)
	if files["config.json"] != llama || files["mergekit_config.yml"] != config || files["tokenizer_config.json"] != `{"x":1}` {
		t.Errorf("%v", files)
	}
	lines := strings.Split(strings.TrimSpace(files["merge_report.jsonl"]), "\n")
	var l reportLine
	if err := json.Unmarshal([]byte(lines[0]), &l); err != nil || len(lines) != 4 {
		t.Fatal(err, len(lines))
	}
	base, change := math.Sqrt(30), 2.5
	wantLine := reportLine{
		Tensor: "model.embed_tokens.weight", DType: "F32", Shape: []int{2, 2}, Base: &base, Change: &change, Norm: math.Sqrt(1 + 4 + 9 + 6.5*6.5), Agreement: 0.5,
		Models: []modelReport{{"other", math.Sqrt(5)}, {"third", math.Sqrt(10)}},
	}
	if d := cmp.Diff(wantLine, l); d != "" {
		t.Error(d)
	}
	if err := json.Unmarshal([]byte(lines[3]), &l); err != nil || l.Agreement != 1 || *l.Change != 0 {
		t.Error(err, l)
	}
	if s := log.String(); !strings.Contains(s, "note: parameters.int8_mask has no effect") || !strings.Contains(s, "merged 4 tensors of 3 models, 40 B, into "+out) {
		t.Error(s)
	}
}

// TestFaults: every fault is an error that names what is wrong, and leaves nothing.
func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string, base, other []safetensors.Named)
		config string
		want   string
	}{
		"NaN": {func(t *testing.T, dir string, _, other []safetensors.Named) {
			other[1].Data[1] = float32(math.NaN())
			save(t, filepath.Join(dir, "other"), llama, other...)
		}, arithmetic, "tensor model.layers.0.w: element 1 is NaN in "},
		"infinity": {func(t *testing.T, dir string, base, _ []safetensors.Named) {
			base[0].Data[3] = float32(math.Inf(-1))
			save(t, filepath.Join(dir, "base"), llama, base...)
		}, "merge_method: slerp\nbase_model: base\nmodels: [{model: other}]\nparameters: {t: 0.5}\n", "tensor model.embed_tokens.weight: element 3 is -Inf in "},
		"overflow": {func(t *testing.T, dir string, base, _ []safetensors.Named) {
			base[0].Data[3] = 140000
			save(t, filepath.Join(dir, "base"), llama, base...)
		}, arithmetic + "out_dtype: float16\n", "tensor model.embed_tokens.weight: the merged element 3 is 70003, which float16 cannot hold"},
		"shape": {func(t *testing.T, dir string, _, other []safetensors.Named) {
			other[1] = weights("model.layers.0.w", []int{3}, 1, 2, 3)
			save(t, filepath.Join(dir, "other"), llama, other...)
		}, arithmetic, "1 tensor differs: model.layers.0.w is [3] in other, [2] in base"},
		"names": {func(t *testing.T, dir string, _, other []safetensors.Named) {
			other[1].Name, other[3].Name = "model.layers.0.v", "model.final.weight"
			save(t, filepath.Join(dir, "other"), llama, other...)
		}, arithmetic, "4 tensors differ: model.layers.0.v is in other, not in base; model.layers.0.w is in base, not in other; model.final.weight is in other, not in base; model.norm.weight is"},
		"layers": {func(t *testing.T, dir string, _, other []safetensors.Named) {
			save(t, filepath.Join(dir, "other"), llama, append(other, weights("model.layers.2.w", []int{2}, 1, 1))...)
		}, arithmetic, "model other has 3 layers, base has 2"},
		"range": {nil, "merge_method: slerp\nbase_model: base\nslices: [{sources: [{model: base, layer_range: [0, 3]}, {model: other, layer_range: [0, 3]}]}]\nparameters: {t: 0.5}\n", "layer_range [0, 3] of model base: it has 2 layers"},
		"cut": {func(t *testing.T, dir string, _, _ []safetensors.Named) {
			path := filepath.Join(dir, "other", "model.safetensors")
			info, err := os.Stat(path)
			if err != nil || os.Truncate(path, info.Size()-5) != nil {
				t.Fatal(err)
			}
		}, arithmetic, "cut short or damaged"},
		"vocabulary": {func(t *testing.T, dir string, _, other []safetensors.Named) {
			other[0] = weights("model.embed_tokens.weight", []int{1, 2}, 1, 2)
			save(t, filepath.Join(dir, "other"), llama, other...)
		}, arithmetic, "have vocabularies of 2 and 1 rows, and not both have a tokenizer.json"},
		"no model": {nil, "merge_method: linear\nmodels: [{model: nowhere, parameters: {weight: 1}}]\n", "model nowhere is no folder"},
		"no config": {func(t *testing.T, dir string, _, _ []safetensors.Named) {
			_ = os.Remove(filepath.Join(dir, "other", "config.json"))
		}, arithmetic, "model other: open "},
		"bad config": {func(t *testing.T, dir string, base, _ []safetensors.Named) {
			save(t, filepath.Join(dir, "base"), "[]", base...)
		}, arithmetic, "model base: config.json: "},
		"density":      {nil, strings.NewReplacer("weight: 0.5", "weight: 0.5, density: 0", "task_arithmetic", "ties").Replace(arithmetic), "tensor model.embed_tokens.weight: density is 0"},
		"no parameter": {nil, strings.Replace(arithmetic, "weight: 0.5", "density: 0.5", 1), "tensor model.embed_tokens.weight: model other: parameter weight is missing"},
		"recipe":       {nil, arithmetic + "colour: red\n", `merge.yaml: line 4: key "colour" is not supported`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			base, other := pair(t, dir)
			if c.change != nil {
				c.change(t, dir, base, other)
			}
			out := filepath.Join(dir, "out")
			err := Merge(t.Context(), Options{Config: recipeFile(t, dir, c.config), Out: out, ShardSize: 1e9, Log: io.Discard, Threads: 2})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			for _, left := range []string{out, out + ".partial"} {
				if _, err := os.Stat(left); err == nil {
					t.Errorf("%s is left", filepath.Base(left))
				}
			}
		})
	}
}

// TestOut: a folder with files is not touched, an empty one is filled; a dry run writes nothing; a stopped merge leaves
// nothing.
func TestOut(t *testing.T) {
	dir := t.TempDir()
	pair(t, dir)
	o := Options{Config: recipeFile(t, dir, arithmetic), Out: filepath.Join(dir, "base"), ShardSize: 1e9, Log: io.Discard}
	if err := Merge(t.Context(), o); err == nil || !strings.Contains(err.Error(), "is there and not empty") {
		t.Error(err)
	}
	var log bytes.Buffer
	o.Out, o.Log, o.DryRun = filepath.Join(dir, "out"), &log, true
	if err := Merge(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"model.layers.1.w ", "F32 ", "[2 2]", "16 B  shard 1  task_arithmetic of 2", "4 tensors, 80 B read at least once, 40 B written in 1 files; nothing was written", "model base: 4 tensors, its config.json"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in:\n%s", want, log.String())
		}
	}
	if _, err := os.Stat(o.Out); err == nil {
		t.Error("a dry run made the folder")
	}
	o.DryRun, o.Log = false, io.Discard
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := Merge(stopped, o); err == nil {
		t.Error("a stopped merge says nothing")
	}
	if _, err := os.Stat(o.Out + ".partial"); err == nil {
		t.Error("a stopped merge leaves a folder")
	}
	if err := os.MkdirAll(o.Out+".partial", 0o755); err != nil { // as a killed merge leaves it
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.Out+".partial", "left"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(o.Out, 0o755); err != nil {
		t.Fatal(err)
	}
	merged(t, o)
	if _, left := trainertest.Files(t, o.Out)["left"]; left {
		t.Error("what a killed merge left is in the result")
	}
}

// TestLayers: stacked layers change the number of layers in config.json, and its lists.
func TestLayers(t *testing.T) {
	dir := t.TempDir()
	base, other := pair(t, dir)
	save(t, filepath.Join(dir, "base"), `{"n_layers":2,"layer_types":["full","sliding"],"big":12345678901234567890,"dtype":"float32"}`, base...)
	save(t, filepath.Join(dir, "other"), `{"n_layers":2,"layer_types":["other","full"]}`, other...)
	config := recipeFile(t, dir, "merge_method: passthrough\nslices: [{sources: [{model: base, layer_range: [0, 2]}]}, {sources: [{model: other, layer_range: [0, 1]}]}]\ndtype: bfloat16\n")
	out := filepath.Join(dir, "out")
	got := merged(t, Options{Config: config, Out: out})
	if d := cmp.Diff([]float32{3, -4}, got["model.layers.2.w"]); d != "" || len(got) != 5 {
		t.Error(d, got)
	}
	want := "{\n  \"big\": 12345678901234567890,\n  \"dtype\": \"bfloat16\",\n  \"layer_types\": [\n    \"full\",\n    \"sliding\",\n    \"other\"\n  ],\n  \"n_layers\": 3\n}\n"
	if d := cmp.Diff(want, trainertest.Files(t, out)["config.json"]); d != "" {
		t.Error(d)
	}
}

// TestTied: a model that lacks the output layer, since it shares the embedding, gives the embedding.
func TestTied(t *testing.T) {
	dir := t.TempDir()
	base, other := pair(t, dir)
	save(t, filepath.Join(dir, "other"), strings.Replace(llama, "true", "false", 1), append(other, weights("lm_head.weight", []int{2, 2}, 5, 5, 5, 5))...)
	o := Options{Config: recipeFile(t, dir, "merge_method: linear\nmodels: [{model: other}, {model: base}]\nparameters: {weight: 1}\n"), Out: filepath.Join(dir, "untied")}
	if d := cmp.Diff([]float32{3, 3.5, 4, 4.5}, merged(t, o)["lm_head.weight"]); d != "" {
		t.Error(d)
	}
	save(t, filepath.Join(dir, "other"), llama, append(other, weights("lm_head.weight", []int{2, 2}, 5, 5, 5, 5))...)
	o = Options{Config: recipeFile(t, dir, "merge_method: linear\nmodels: [{model: base}, {model: other}]\nparameters: {weight: 1}\n"), Out: filepath.Join(dir, "tied")}
	if _, has := merged(t, o)["lm_head.weight"]; has {
		t.Error("the result of a tied base has an output layer of its own")
	}
	save(t, filepath.Join(dir, "base"), strings.Replace(llama, "true", "false", 1), base...)
	o.Out = filepath.Join(dir, "none")
	if err := Merge(t.Context(), o); err == nil || !strings.Contains(err.Error(), "lm_head.weight is in other, not in base") {
		t.Error(err)
	}
}

// TestBuffers: whole numbers are copied if all models have the same.
func TestBuffers(t *testing.T) {
	dir := t.TempDir()
	numbers := func(name string, values ...byte) {
		header := fmt.Sprintf(`{"model.layers.0.w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"position_ids":{"dtype":"I32","shape":[%d],"data_offsets":[4,%d]}}`, len(values), 4+4*len(values))
		b := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
		b = append(b, 0, 0, 0x80, 0x3f)
		for _, v := range values {
			b = append(b, v, 0, 0, 0)
		}
		save(t, filepath.Join(dir, name), `{}`)
		if err := os.WriteFile(filepath.Join(dir, name, "model.safetensors"), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	numbers("a", 1, 2, 3)
	numbers("b", 1, 2, 3)
	o := Options{Config: recipeFile(t, dir, "merge_method: linear\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 1}\n"), Out: filepath.Join(dir, "out"), ShardSize: 1e9, Log: io.Discard}
	if err := Merge(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(o.Out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, _ := f.Lookup("position_ids")
	raw := make([]byte, d.Bytes())
	if err := d.ReadAt(raw, 0); err != nil || !bytes.Equal(raw, []byte{1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0}) || d.DType != "I32" {
		t.Error(err, raw, d.DType)
	}
	numbers("b", 1, 2, 4)
	o.Out = filepath.Join(dir, "differ")
	if err := Merge(t.Context(), o); err == nil || !strings.Contains(err.Error(), "tensor position_ids: it is of type I32, which cannot be merged, and differs between a and b") {
		t.Error(err)
	}
	numbers("b", 1, 2)
	if err := Merge(t.Context(), o); err == nil || !strings.Contains(err.Error(), "position_ids is [3] in a, [2] in b") {
		t.Error(err)
	}
}

// TestTypes: inputs of one type keep it, of two become float32, dtype and out_dtype decide otherwise; float16 is read and
// written exactly.
func TestTypes(t *testing.T) {
	dir := t.TempDir()
	for name, dtype := range map[string]string{"half": safetensors.F16, "half2": safetensors.F16, "brain": safetensors.BF16} {
		save(t, filepath.Join(dir, name), `{"torch_dtype":"x"}`, safetensors.Named{Name: "w", DType: dtype, Shape: []int{3}, Data: []float32{1.5, -0.25, 1.0 / 256}})
	}
	for _, c := range []struct{ other, types, want, config string }{
		{"half2", "", safetensors.F16, "float16"},
		{"brain", "", safetensors.F32, "float32"},
		{"brain", "dtype: float16\n", safetensors.F16, "float16"},
		{"half2", "dtype: float32\nout_dtype: torch.bfloat16\n", safetensors.BF16, "bfloat16"},
	} {
		out := filepath.Join(t.TempDir(), "out")
		config := "merge_method: linear\nmodels: [{model: half}, {model: " + c.other + "}]\nparameters: {weight: 0.5}\n" + c.types
		got := merged(t, Options{Config: recipeFile(t, dir, config), Out: out})
		if d := cmp.Diff([]float32{1.5, -0.25, 1.0 / 256}, got["w"]); d != "" {
			t.Errorf("%s %s: %s", c.other, c.types, d)
		}
		f, err := safetensors.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		if d, _ := f.Lookup("w"); d.DType != c.want || !strings.Contains(trainertest.Files(t, out)["config.json"], `"torch_dtype": "`+c.config+`"`) {
			t.Errorf("%s %s: %s, want %s; %s", c.other, c.types, d.DType, c.want, trainertest.Files(t, out)["config.json"])
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
