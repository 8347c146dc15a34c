package result

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/models/processor"
	"github.com/profuser/profuser/models/safetensors"
	"github.com/profuser/profuser/trainer/lora"
	"github.com/profuser/profuser/trainer/trainertest"
)

// rewrite makes the folders anew that transformers has read; then run testdata/expect.py.
var rewrite = flag.Bool("rewrite", false, "rewrite testdata/results")

// kind is a kind of folder that Write makes.
type kind struct {
	name, config, dtype string
	shardBytes          int64
	adapter             bool
}

var kinds = []kind{
	{"llama-F32", trainertest.Llama, "float32", 0, false},
	{"llama-BF16-shards", trainertest.Llama, "bfloat16", 6000, false},
	{"llama-F16-shards", trainertest.Llama, "float16", 1, false},
	{"llama-merged", trainertest.Llama, "float32", 9000, true},
	{"mpt-BF16-shards", mpt, "bfloat16", 9000, false},
}

// mpt has the feed-forward width that transformers takes whatever the file says.
const mpt = `{"architectures":["MptForCausalLM"],"model_type":"mpt","vocab_size":360,"d_model":16,"n_heads":2,"n_layers":2,"max_seq_len":128,"expansion_ratio":4,"no_bias":true,"eos_token_id":0}
`

// made writes a folder of a kind.
func made(t *testing.T, k kind, dir string) {
	t.Helper()
	base := t.TempDir()
	if err := trainertest.WriteTokenizer(base); err != nil {
		t.Fatal(err)
	}
	format, err := chat.Load(base, chat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := decoder.ParseConfig([]byte(k.config))
	if err != nil {
		t.Fatal(err)
	}
	store, err := decoder.InitStore(c, 7)
	if err != nil {
		t.Fatal(err)
	}
	grow(store, "")
	m := Model{Store: store, Config: c, DType: k.dtype, ShardBytes: k.shardBytes, Base: base, Format: format, Card: []byte("# card\n")}
	if k.adapter {
		if m.Adapter, err = lora.Add(store, c, lora.Options{Rank: 2, Alpha: 4, Targets: []string{lora.AllLinear}}, 1); err != nil {
			t.Fatal(err)
		}
		grow(store, "lora_B")
	}
	if err := m.Save(dir); err != nil {
		t.Fatal(err)
	}
	if !m.Whole(dir) {
		t.Errorf("%s: the folder is not whole", k.name)
	}
}

// grow makes matrices larger, or gives factors that are zero values, so that logits depend on all of them.
func grow(store *model.Store, of string) {
	for v := range store.IterVariables() {
		tensors.MustMutableFlatData(v.MustValue(), func(x []float32) {
			for i := range x {
				switch {
				case of == "" && v.Shape().Rank() > 1:
					x[i] *= 6
				case of != "" && filepath.Base(filepath.Dir(v.Path())) == of:
					x[i] = 0.1 * float32(i%5-2)
				}
			}
		})
	}
}

// logits are a folder's, of two rows of six tokens, by models/decoder.
func logits(t *testing.T, dir string) []float32 {
	t.Helper()
	c, err := decoder.ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	store, err := decoder.LoadStore(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	backend, err := processor.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Finalize()
	tokens := make([]int32, 12)
	for i := range tokens {
		tokens[i] = int32(i * 7 % 80)
	}
	out := model.MustNewExec(backend, store, func(scope *model.Scope, in []*graph.Node) []*graph.Node {
		return []*graph.Node{decoder.New(c).Logits(scope, in[0])}
	}).MustCall(tensors.FromFlatDataAndDimensions(tokens, 2, 6))
	return tensors.MustCopyFlatData[float32](out[0])
}

// TestTransformers: folders of every storage type, in one file and in shards, with an adapter merged in, have the logits
// that transformers computed from the same bytes; testdata/expect.py wrote them.
func TestTransformers(t *testing.T) {
	for _, k := range kinds {
		dir, committed := filepath.Join(t.TempDir(), "out"), filepath.Join("testdata", "results", k.name)
		if *rewrite {
			made(t, k, committed)
			continue
		}
		made(t, k, dir)
		if diff := cmp.Diff(trainertest.Files(t, committed), trainertest.Files(t, dir)); diff != "" {
			t.Errorf("%s: transformers has read other files (-read +written):\n%s", k.name, diff)
		}
		b, err := os.ReadFile(filepath.Join("testdata", k.name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var want []float32
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatal(err)
		}
		got := logits(t, dir)
		if len(got) != len(want) {
			t.Fatalf("%s: %d logits, transformers has %d", k.name, len(got), len(want))
		}
		var worst float64
		for i := range got {
			worst = max(worst, math.Abs(float64(got[i]-want[i])))
		}
		if worst > 1e-4 {
			t.Errorf("%s: logits differ from those of transformers by %g", k.name, worst)
		}
		shards, err := filepath.Glob(filepath.Join(dir, "model-*.safetensors"))
		if err != nil || (len(shards) > 1) != (k.shardBytes > 0) {
			t.Errorf("%s: %d shards, %v", k.name, len(shards), err)
		}
	}
}

// TestOverShards: a single file over a folder of shards, and shards over a single file, are what is read afterwards.
func TestOverShards(t *testing.T) {
	c, err := decoder.ParseConfig([]byte(trainertest.Llama))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for seed, limit := range []int64{1 << 30, 6000, 1 << 30, 9000} {
		store, err := decoder.InitStore(c, int64(seed))
		if err != nil {
			t.Fatal(err)
		}
		name := "model.layers.0.mlp.up_proj.weight"
		want := tensors.MustCopyFlatData[float32](store.GetVariable(decoder.Path(name)).MustValue())
		m := Model{Store: store, Config: c, DType: "float32", ShardBytes: limit}
		if err := decoder.Save(c, dir, m.DType, limit, m.values); err != nil {
			t.Fatal(err)
		}
		f, err := safetensors.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Float32(name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("save %d reads as another: %s", seed, diff)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
