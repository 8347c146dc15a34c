package lora

import (
	"bytes"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/models/decoder/lowrank"
	"github.com/profuser/profuser/models/safetensors"
	"github.com/profuser/profuser/trainer/loop"
	"github.com/profuser/profuser/trainer/optim"
	"github.com/profuser/profuser/trainer/trainertest"
)

const untied = `{"architectures":["LlamaForCausalLM"],"vocab_size":90,"hidden_size":16,"intermediate_size":24,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"max_position_embeddings":64,"rms_norm_eps":1e-6,"tie_word_embeddings":false,"hidden_act":"silu"}`

// models are a configuration and the targets of an adapter on it.
var models = map[string]struct {
	config  string
	targets []string
}{
	"llama":       {trainertest.Llama, []string{"q_proj", "v_proj"}},
	"llama all":   {trainertest.Llama, []string{AllLinear}},
	"llama head":  {untied, []string{AllLinear, "lm_head"}},
	"one layer":   {untied, []string{"model.layers.1.mlp.down_proj"}},
	"mpt":         {trainertest.MPT, []string{"Wqkv", "up_proj", "down_proj"}},
	"mpt outputs": {trainertest.MPT, []string{AllLinear}},
}

// start is a model with larger weights than initial ones, so that gradients are.
func start(t testing.TB, text string) (decoder.Config, *model.Store) {
	t.Helper()
	c, err := decoder.ParseConfig([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	store, err := decoder.InitStore(c, 3)
	if err != nil {
		t.Fatal(err)
	}
	for v := range store.IterVariables() {
		if v.Shape().Rank() > 1 {
			change(v, func(x float32) float32 { return 6 * x })
		}
	}
	return c, store
}

func change(v *model.Variable, f func(x float32) float32) {
	tensors.MustMutableFlatData(v.MustValue(), func(x []float32) {
		for i := range x {
			x[i] = f(x[i])
		}
	})
}

// fillB gives every B random values.
func fillB(a *Adapter) {
	random := rand.New(rand.NewPCG(5, 6))
	for _, module := range slices.Sorted(maps.Keys(a.modules)) {
		_, nameB := lowrank.Names(module)
		change(a.store.GetVariable(decoder.Path(nameB)), func(float32) float32 { return float32(0.2 * random.NormFloat64()) })
	}
}

// measured are a model's logits and, by weight, the gradients of a loss that is quadratic in them.
func measured(t testing.TB, c decoder.Config, store *model.Store) (logits []float32, loss float64, gradients map[string][]float32) {
	t.Helper()
	l, err := loop.NewLearner("", store, optim.Default(), func(scope *model.Scope, in []*graph.Node) ([]*graph.Node, map[string]*graph.Node) {
		n := loop.NewNetwork(scope, c, in[0])
		logits, back := n.Rows(in[1], "")
		back(logits)
		return []*graph.Node{logits}, n.Gradients()
	})
	if err != nil {
		t.Fatal(err)
	}
	tokens := make([]int32, 2*6)
	for i := range tokens {
		tokens[i] = int32(i * 7 % 80)
	}
	reports, err := l.Accumulate(tensors.FromFlatDataAndDimensions(tokens, 2, 6), []int32{1, 5, 7, 11})
	if err != nil {
		t.Fatal(err)
	}
	gradients = map[string][]float32{}
	var names []string
	for v := range store.IterVariables() {
		if v.Trainable {
			names = append(names, decoder.TensorName(v.Path()))
		}
	}
	slices.Sort(names)
	for i, name := range names {
		gradients[name] = l.Gradients()[i]
	}
	for _, x := range reports[0] {
		loss += 0.5 * float64(x) * float64(x)
	}
	return reports[0], loss, gradients
}

// TestStart: with B = 0, as it is at first, the model is the base model, to the last bit.
func TestStart(t *testing.T) {
	for name, m := range models {
		t.Run(name, func(t *testing.T) {
			c, base := start(t, m.config)
			_, adapted := start(t, m.config)
			if _, err := Add(adapted, c, Options{Rank: 4, Alpha: 8, Targets: m.targets}, 1); err != nil {
				t.Fatal(err)
			}
			want, _, _ := measured(t, c, base)
			got, _, gradients := measured(t, c, adapted)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("logits with B = 0 differ:\n%s", diff)
			}
			for name, g := range gradients {
				if size := optim.Norm([][]float32{g}, 1); (size == 0) != strings.Contains(name, "lora_A") {
					t.Errorf("the gradient of %s has norm %g; with B = 0 only B's is not zero", name, size)
				}
			}
		})
	}
}

// TestGradients: logits are those of the merged weights, and gradients are the projections of the merged weights' own,
// dA = s·Bᵀ·dW and dB = s·dW·Aᵀ, in float64. Nothing else is trained.
func TestGradients(t *testing.T) {
	for name, m := range models {
		t.Run(name, func(t *testing.T) {
			c, adapted := start(t, m.config)
			a, err := Add(adapted, c, Options{Rank: 3, Alpha: 6, Targets: m.targets}, 1)
			if err != nil {
				t.Fatal(err)
			}
			fillB(a)
			_, merged := start(t, m.config)
			for v := range merged.IterVariables() {
				w, err := a.Merged(decoder.TensorName(v.Path()))
				if err != nil {
					t.Fatal(err)
				}
				tensors.MustMutableFlatData(v.MustValue(), func(x []float32) { copy(x, w) })
			}
			wantLogits, _, full := measured(t, c, merged)
			logits, _, gradients := measured(t, c, adapted)
			alike(t, "logits", logits, wantLogits)
			if len(gradients) != 2*len(a.modules) {
				t.Errorf("%d weights are trained, want two for each of %d modules", len(gradients), len(a.modules))
			}
			for module, shape := range a.modules {
				factorA, factorB, err := a.factors(module)
				if err != nil {
					t.Fatal(err)
				}
				wantA, wantB := project(full[module+".weight"], factorA, factorB, shape, 3, 2)
				nameA, nameB := lowrank.Names(module)
				alike(t, nameA, gradients[nameA], wantA)
				alike(t, nameB, gradients[nameB], wantB)
			}
		})
	}
}

// project is the oracle.
func project(dW, a, b []float32, shape []int, r int, s float64) (dA, dB []float32) {
	out, in := shape[0], shape[1]
	dA, dB = make([]float32, r*in), make([]float32, out*r)
	for k := range r {
		for j := range in {
			var sum float64
			for i := range out {
				sum += float64(b[i*r+k]) * float64(dW[i*in+j])
			}
			dA[k*in+j] = float32(s * sum)
		}
		for i := range out {
			var sum float64
			for j := range in {
				sum += float64(dW[i*in+j]) * float64(a[k*in+j])
			}
			dB[i*r+k] = float32(s * sum)
		}
	}
	return dA, dB
}

func alike(t *testing.T, what string, got, want []float32) {
	t.Helper()
	var worst, size float64
	for i := range want {
		worst, size = max(worst, math.Abs(float64(got[i]-want[i]))), max(size, math.Abs(float64(want[i])))
	}
	if len(got) != len(want) || worst > 1e-5*size || size == 0 {
		t.Errorf("%s: %d and %d values differ by %g of %g", what, len(got), len(want), worst, size)
	}
}

// TestDifferences compares gradients with central differences of the loss along the gradient itself.
func TestDifferences(t *testing.T) {
	m := models["llama all"]
	adapted := func() (decoder.Config, *model.Store) {
		c, store := start(t, m.config)
		a, err := Add(store, c, Options{Rank: 2, Alpha: 2, Targets: m.targets}, 1)
		if err != nil {
			t.Fatal(err)
		}
		fillB(a)
		return c, store
	}
	c, store := adapted()
	_, _, gradients := measured(t, c, store)
	for name, g := range gradients {
		norm := optim.Norm([][]float32{g}, 1)
		at := func(step float64) float64 {
			c, store := adapted()
			tensors.MustMutableFlatData(store.GetVariable(decoder.Path(name)).MustValue(), func(x []float32) {
				for i := range x {
					x[i] += float32(step * float64(g[i]) / norm)
				}
			})
			_, loss, _ := measured(t, c, store)
			return loss
		}
		const h = 3e-3
		if slope := (at(h) - at(-h)) / (2 * h); math.Abs(slope-norm) > 0.02*norm {
			t.Errorf("%s: the loss changes by %g along the gradient, its norm is %g", name, slope, norm)
		}
	}
}

func TestModules(t *testing.T) {
	c, store := start(t, trainertest.Llama)
	for _, o := range []struct {
		Options
		want string
	}{
		{Options{0, 1, []string{"q_proj"}}, "rank: 0, must be positive"},
		{Options{1, 0, []string{"q_proj"}}, "alpha: 0, must be positive"},
		{Options{1, 1, nil}, "targets: name at least one module, or all-linear"},
		{Options{1, 1, []string{"q_proj", "query"}}, `target "query" names no matrix of a LlamaForCausalLM; it has down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj`},
		{Options{1, 1, []string{"lm_head"}}, `target "lm_head" names no matrix`},
		{Options{1, 1, []string{"embed_tokens"}}, `target "embed_tokens" names no matrix`},
	} {
		if _, err := Add(store, c, o.Options, 1); err == nil || !strings.Contains(err.Error(), o.want) {
			t.Errorf("%+v: %v, want %q", o.Options, err, o.want)
		}
	}
}

// written is a base model and an adapter with random values on disk.
func written(t *testing.T, dtype string) (dir string, a *Adapter) {
	t.Helper()
	dir = t.TempDir()
	c, store := start(t, untied)
	if err := decoder.SaveStore(store, c, filepath.Join(dir, "base"), dtype); err != nil {
		t.Fatal(err)
	}
	store, err := decoder.LoadStore(filepath.Join(dir, "base"), c)
	if err != nil {
		t.Fatal(err)
	}
	if a, err = Add(store, c, Options{Rank: 4, Alpha: 8, Targets: []string{AllLinear, "lm_head"}}, 1); err != nil {
		t.Fatal(err)
	}
	fillB(a)
	if err := a.Save(filepath.Join(dir, "adapter"), filepath.Join(dir, "base")); err != nil {
		t.Fatal(err)
	}
	return dir, a
}

// TestMerge: an adapter saved, read and merged out of core gives the weights that Merged does, in the base's type.
func TestMerge(t *testing.T) {
	for dtype, short := range map[string]string{"float32": "F32", "bfloat16": "BF16", "float16": "F16"} {
		dir, a := written(t, dtype)
		var log bytes.Buffer
		o := MergeOptions{Adapter: filepath.Join(dir, "adapter"), Out: filepath.Join(dir, "out"), ShardBytes: 4000, Log: &log}
		if err := Merge(o); err != nil {
			t.Fatal(err)
		}
		if want := "merged 15 matrices of rank 4, scale 2, "; !strings.HasPrefix(log.String(), want) {
			t.Errorf("log %q, want %q", log.String(), want)
		}
		f, err := safetensors.Open(o.Out)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(o.Out, safetensors.IndexFile)); err != nil {
			t.Error(err)
		}
		for _, x := range f.Tensors() {
			want, err := a.Merged(x.Name)
			if err != nil {
				t.Fatal(err)
			}
			raw := make([]byte, x.Bytes())
			if err := safetensors.Encode(raw, short, want); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, x.Bytes())
			if err := x.ReadAt(got, 0); err != nil || !bytes.Equal(raw, got) || x.DType != short {
				t.Errorf("%s: %s of type %s differs from the store's, %v", dtype, x.Name, x.DType, err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMergeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(dir string) error
		want string
	}{
		"no adapter":       {func(d string) error { return os.Remove(filepath.Join(d, "adapter", ConfigFile)) }, "PEFT's format is adapter_config.json and adapter_model.safetensors"},
		"no weights":       {func(d string) error { return os.Remove(filepath.Join(d, "adapter", WeightsFile)) }, "no such file"},
		"no base":          {func(d string) error { return os.RemoveAll(filepath.Join(d, "base")) }, "has no config.json: name its folder with --base"},
		"another method":   {replace(`"LORA"`, `"LOHA"`), `field peft_type: "LOHA", only LORA adapters can be merged`},
		"decomposed":       {replace(`"use_dora": false`, `"use_dora": true`), "field use_dora: true"},
		"whole modules":    {replace(`"modules_to_save": null`, `"modules_to_save": ["lm_head"]`), "field modules_to_save: [lm_head]"},
		"several ranks":    {replace(`"rank_pattern": {}`, `"rank_pattern": {"q_proj": 3}`), "field rank_pattern"},
		"another rank":     {replace(`"r": 4`, `"r": 5`), "want [5, in] and [out, 5]"},
		"rank zero":        {replace(`"r": 4`, `"r": 0`), "field r: 0, must be positive"},
		"no JSON":          {replace(`{`, `[`), "adapter_config.json: "},
		"another base":     {otherBase, "in the base model"},
		"a full Out":       {func(d string) error { return os.MkdirAll(filepath.Join(d, "out", "x"), 0o755) }, "is there and not empty"},
		"a lone factor":    {rename("0.self_attn.q_proj.lora_A", "0.self_attn.q_proj.lora_Z"), "has one factor, want"},
		"another module":   {rename("q_proj", "qq_proj"), "adapts model.layers.0.self_attn.qq_proj.weight, which the base model"},
		"without a prefix": {rename("base_model.model.", "base."), "is no factor of a matrix (base_model.model.MODULE.lora_A.weight"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := written(t, "float32")
			if err := c.harm(dir); err != nil {
				t.Fatal(err)
			}
			err := Merge(MergeOptions{Adapter: filepath.Join(dir, "adapter"), Out: filepath.Join(dir, "out"), ShardBytes: 1 << 30, Log: &bytes.Buffer{}})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if _, err := os.Stat(filepath.Join(dir, "out", "config.json")); err == nil {
				t.Error("a model was written")
			}
		})
	}
}

// replace changes adapter_config.json.
func replace(before, after string) func(dir string) error {
	return func(dir string) error {
		path := filepath.Join(dir, "adapter", ConfigFile)
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, bytes.Replace(b, []byte(before), []byte(after), 1), 0o644)
	}
}

// rename writes the adapter's tensors under other names.
func rename(before, after string) func(dir string) error {
	return func(dir string) error {
		path := filepath.Join(dir, "adapter", WeightsFile)
		f, err := safetensors.Open(path)
		if err != nil {
			return err
		}
		var all []safetensors.Named
		for _, x := range f.Tensors() {
			data, err := f.Float32(x.Name)
			if err != nil {
				return err
			}
			all = append(all, safetensors.Named{Name: strings.Replace(x.Name, before, after, 1), DType: x.DType, Shape: x.Shape, Data: data})
		}
		if err := f.Close(); err != nil {
			return err
		}
		return safetensors.Write(path, all)
	}
}

// otherBase replaces the base by a wider model.
func otherBase(dir string) error {
	c, err := decoder.ParseConfig([]byte(strings.Replace(untied, `"intermediate_size":24`, `"intermediate_size":32`, 1)))
	if err != nil {
		return err
	}
	store, err := decoder.InitStore(c, 1)
	if err != nil {
		return err
	}
	return decoder.SaveStore(store, c, filepath.Join(dir, "base"), "float32")
}
