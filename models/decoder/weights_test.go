package decoder

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/models/safetensors"
)

func values(t *testing.T, store *model.Store) map[string][]float32 {
	t.Helper()
	all := map[string][]float32{}
	for v := range store.IterVariables() {
		value, err := v.Value()
		if err != nil {
			t.Fatal(err)
		}
		if all[TensorName(v.Path())], err = tensors.CopyFlatData[float32](value); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func parse(t *testing.T, config string) Config {
	t.Helper()
	c, err := ParseConfig([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSaveAndLoad: float32 is exact; the narrow types round each value by at most half a unit of their last place.
func TestSaveAndLoad(t *testing.T) {
	for dtype, unit := range map[string]float64{"float32": 0, "F32": 0, "bfloat16": 1.0 / 256, "float16": 1.0 / 2048} {
		for name, config := range map[string]string{"llama": tinyLlama, "mpt": tinyMPT} {
			t.Run(name+" "+dtype, func(t *testing.T) {
				c := parse(t, config)
				store, err := InitStore(c, 5)
				if err != nil {
					t.Fatal(err)
				}
				dir := filepath.Join(t.TempDir(), "new", "folder")
				if err := SaveStore(store, c, dir, dtype); err != nil {
					t.Fatal(err)
				}
				again, err := ReadConfig(dir)
				if err != nil {
					t.Fatal(err)
				}
				loaded, err := LoadStore(dir, again)
				if err != nil {
					t.Fatal(err)
				}
				want, got := values(t, store), values(t, loaded)
				if len(want) != len(got) {
					t.Errorf("saved %d weights, loaded %d", len(want), len(got))
				}
				for name, x := range want {
					for i, v := range x {
						if off := math.Abs(float64(v - got[name][i])); off > math.Max(unit*math.Abs(float64(v)), unit/1e4) {
							t.Fatalf("%s[%d] was %g, came back as %g", name, i, v, got[name][i])
						}
					}
				}
			})
		}
	}
	if err := SaveStore(model.NewStore(), parse(t, tinyLlama), t.TempDir(), "int8"); err == nil || !strings.Contains(err.Error(), "int8") {
		t.Errorf("saving as int8: %v", err)
	}
	if err := SaveStore(model.NewStore(), parse(t, tinyLlama), t.TempDir(), "float32"); err == nil || !strings.Contains(err.Error(), "not in the store") {
		t.Errorf("saving an empty store: %v", err)
	}
}

// TestSavingKeepsTheConfiguration: keys that the graphs do not use come back, numbers are spelled as before (1.0 is not
// 1 to transformers), and only one key names the storage type.
func TestSavingKeepsTheConfiguration(t *testing.T) {
	for _, name := range []string{"llama-gqa", "llama-reward", "llama-llama3", "phi3", "neox", "mpt"} {
		g := loadGolden(t, name)
		dir := t.TempDir()
		if err := SaveStore(g.store, g.config, dir, "bfloat16"); err != nil {
			t.Fatal(err)
		}
		want := keys(t, filepath.Join("testdata", name, "config.json"))
		delete(want, "dtype")
		want["torch_dtype"] = "bfloat16"
		if d := cmp.Diff(want, keys(t, filepath.Join(dir, "config.json"))); d != "" {
			t.Errorf("%s: config.json (-want +got):\n%s", name, d)
		}
	}
}

// keys reads a JSON object; numbers stay text.
func keys(t *testing.T, path string) map[string]any {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := json.NewDecoder(f)
	d.UseNumber()
	all := map[string]any{}
	if err := d.Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestInitStore(t *testing.T) {
	c := parse(t, `{"architectures":["LlamaForCausalLM"],"vocab_size":500,"hidden_size":64,"intermediate_size":100,"num_hidden_layers":1,"num_attention_heads":4}`)
	of := func(seed int64) map[string][]float32 {
		store, err := InitStore(c, seed)
		if err != nil {
			t.Fatal(err)
		}
		return values(t, store)
	}
	one := of(1)
	if d := cmp.Diff(one, of(1)); d != "" {
		t.Error("one seed gave two models")
	}
	if slices.Equal(one["lm_head.weight"], of(2)["lm_head.weight"]) {
		t.Error("two seeds gave one model")
	}
	for name, x := range one {
		var sum, square float64
		for _, v := range x {
			sum += float64(v)
			square += float64(v) * float64(v)
		}
		n := float64(len(x))
		if mean, deviation := sum/n, math.Sqrt(square/n-sum*sum/n/n); strings.Contains(name, "norm") {
			if mean != 1 || deviation != 0 {
				t.Errorf("%s has mean %g and deviation %g, want ones", name, mean, deviation)
			}
		} else if math.Abs(mean) > 0.002 || math.Abs(deviation-0.02) > 0.002 {
			t.Errorf("%s has mean %g and deviation %g, want 0 and 0.02", name, mean, deviation)
		}
	}
}

// rewrite saves the tensors of a golden model after a change.
func rewrite(t *testing.T, change func(map[string]safetensors.Named)) (dir string, c Config) {
	t.Helper()
	f, err := safetensors.Open(filepath.Join("testdata", "llama"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := map[string]safetensors.Named{}
	for _, d := range f.Tensors() {
		x, err := f.Float32(d.Name)
		if err != nil {
			t.Fatal(err)
		}
		all[d.Name] = safetensors.Named{Name: d.Name, DType: d.DType, Shape: d.Shape, Data: x}
	}
	change(all)
	var out []safetensors.Named
	for _, n := range all {
		out = append(out, n)
	}
	dir = t.TempDir()
	if err := safetensors.Write(filepath.Join(dir, "model.safetensors"), out); err != nil {
		t.Fatal(err)
	}
	if c, err = ReadConfig(filepath.Join("testdata", "llama")); err != nil {
		t.Fatal(err)
	}
	return dir, c
}

func TestLoadingListsEveryFault(t *testing.T) {
	dir, c := rewrite(t, func(all map[string]safetensors.Named) {
		delete(all, "model.layers.1.mlp.up_proj.weight")
		delete(all, "model.norm.weight")
		all["model.layers.2.mlp.up_proj.weight"] = safetensors.Named{Name: "model.layers.2.mlp.up_proj.weight", DType: "F32", Data: []float32{1}}
		n := all["model.layers.0.self_attn.q_proj.weight"]
		n.Shape = []int{8, 32}
		all[n.Name] = n
	})
	_, err := LoadStore(dir, c)
	if err == nil {
		t.Fatal("a file with wrong tensors was taken")
	}
	for _, want := range []string{
		dir, "missing model.layers.1.mlp.up_proj.weight", "missing model.norm.weight", "extra model.layers.2.mlp.up_proj.weight",
		"model.layers.0.self_attn.q_proj.weight has shape [8 32], the configuration wants [16 16]",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
}

// TestLoadingSkipsWhatIsNoWeight: position buffers of old files, and a tied model's copy of its embedding.
func TestLoadingSkipsWhatIsNoWeight(t *testing.T) {
	dir, c := rewrite(t, func(all map[string]safetensors.Named) {
		for _, name := range []string{"model.layers.0.self_attn.rotary_emb.inv_freq", "lm_head.weight"} {
			all[name] = safetensors.Named{Name: name, DType: "F32", Shape: []int{1}, Data: []float32{1}}
		}
	})
	if _, err := LoadStore(dir, c); err != nil {
		t.Error(err)
	}
	c.Tied = false
	if _, err := LoadStore(dir, c); err == nil || !strings.Contains(err.Error(), "lm_head.weight has shape [1]") {
		t.Errorf("the head of an untied model: %v", err)
	}
}

// TestLoadingSkipsBuffers of every family, by the ends of their names.
func TestLoadingSkipsBuffers(t *testing.T) {
	for name, skipped := range map[string]bool{
		"model.layers.0.self_attn.rotary_emb.inv_freq": true, "model.rotary_emb.inv_freq": true,
		"gpt_neox.layers.0.attention.bias": true, "gpt_neox.layers.0.attention.masked_bias": true, "gpt_neox.layers.0.attention.rotary_emb.inv_freq": true,
		"gpt_neox.layers.0.attention.dense.bias": false, "model.layers.0.self_attn.q_proj.bias": false,
	} {
		if isBuffer(name) != skipped {
			t.Errorf("%s: skipped is %v", name, !skipped)
		}
	}
}

// TestInitialVectors: biases begin at zero, and Gemma's norms, which count from one, too.
func TestInitialVectors(t *testing.T) {
	for name, c := range map[string]struct {
		norm, bias string
		want       float32
	}{
		"neox":  {"gpt_neox.final_layer_norm.weight", "gpt_neox.layers.1.mlp.dense_h_to_4h.bias", 1},
		"qwen3": {"model.layers.0.self_attn.q_norm.weight", "", 1},
		"gemma": {"model.norm.weight", "", 0},
	} {
		store, err := InitStore(loadGolden(t, name).config, 1)
		if err != nil {
			t.Fatal(err)
		}
		all := values(t, store)
		if got := all[c.norm]; len(got) == 0 || slices.Min(got) != c.want || slices.Max(got) != c.want {
			t.Errorf("%s: %s is %v, want %v", name, c.norm, got, c.want)
		}
		if got := all[c.bias]; c.bias != "" && (len(got) == 0 || slices.Min(got) != 0 || slices.Max(got) != 0) {
			t.Errorf("%s: %s is %v, want zeros", name, c.bias, got)
		}
	}
}

func TestRewarding(t *testing.T) {
	for _, tied := range []bool{true, false} {
		c := parse(t, with(t, tinyLlama, map[string]any{"tie_word_embeddings": tied}))
		store, err := InitStore(c, 1)
		if err != nil {
			t.Fatal(err)
		}
		if c, err = c.Rewarding(); err != nil {
			t.Fatal(err)
		}
		if err := AddRewardHead(store, c); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := SaveStore(store, c, dir, "float32"); err != nil {
			t.Fatal(err)
		}
		if c, err = ReadConfig(dir); err != nil {
			t.Fatal(err)
		}
		loaded, err := LoadStore(dir, c)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(make([]float32, c.Dim), values(t, loaded)["score.weight"]); d != "" {
			t.Errorf("a new reward head is not zero:\n%s", d)
		}
		if c.Architecture != "LlamaForSequenceClassification" {
			t.Errorf("architecture %s", c.Architecture)
		}
	}
	if _, err := parse(t, tinyMPT).Rewarding(); err == nil || !strings.Contains(err.Error(), "MptForSequenceClassification") {
		t.Errorf("a reward model of MPT: %v", err)
	}
}
