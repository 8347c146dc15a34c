package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/models/decoder"
)

// tinyModel writes a random model with the demo's tokenizer of that family.
func tinyModel(t testing.TB, family string, reward bool) string {
	t.Helper()
	config := map[string]string{
		"llama": `{"architectures":["LlamaForCausalLM"],"model_type":"llama","vocab_size":768,"hidden_size":32,"intermediate_size":48,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"max_position_embeddings":128,"tie_word_embeddings":true}`,
		"mpt":   `{"architectures":["MptForCausalLM"],"model_type":"mpt","vocab_size":768,"d_model":32,"n_layers":2,"n_heads":4,"max_seq_len":128,"no_bias":true}`,
	}[family]
	return writeModel(t, family, config, reward)
}

// writeModel writes a random model of a configuration with the demo's tokenizer of a family.
func writeModel(t testing.TB, family, config string, reward bool) string {
	t.Helper()
	from := filepath.Join("..", "..", "data", "tokenizers", family)
	c, err := decoder.ParseConfig([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	store, err := decoder.InitStore(c, 3)
	if err != nil {
		t.Fatal(err)
	}
	if reward {
		if c, err = c.Rewarding(); err != nil {
			t.Fatal(err)
		}
		if err := decoder.AddRewardHead(store, c); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	if err := decoder.SaveStore(store, c, dir, "float32"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		b, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t testing.TB, dir string, o Options) *Engine {
	t.Helper()
	if o.Backend == "" {
		o.Backend = os.Getenv("BACKEND") // "" is the Go backend
	}
	e, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func prompt(n, salt int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(300 + (i*37+salt*101)%400)
	}
	return ids
}

var top = dist.Truncate{Mass: 1, TopK: 8}

func TestGenerationAgreesWithTeacherForcing(t *testing.T) {
	for _, family := range []string{"llama", "mpt"} {
		e := open(t, tinyModel(t, family, false), Options{BatchRows: 4})
		ctx := context.Background()
		for n := 3; n < 24; n += 7 {
			g, err := e.Generate(ctx, GenerateRequest{PromptIDs: prompt(n, n), MaxTokens: 12, Truncate: top})
			if err != nil {
				t.Fatal(err)
			}
			s, err := e.Score(ctx, ScoreRequest{PromptIDs: prompt(n, n), TextIDs: g.IDs, Truncate: top})
			if err != nil {
				t.Fatal(err)
			}
			for i := range g.IDs {
				if d := math.Abs(float64(g.TokenLogProbs[i] - s.TokenLogProbs[i])); d > 1e-4 {
					t.Errorf("%s, prompt of %d, token %d: generated with log-prob %g, read with %g", family, n, i, g.TokenLogProbs[i], s.TokenLogProbs[i])
				}
				ids, _ := s.Dist.At(i)
				if ids[0] != g.IDs[i] {
					t.Errorf("%s, prompt of %d, token %d: greedy took %d, teacher forcing prefers %d", family, n, i, g.IDs[i], ids[0])
				}
			}
		}
	}
}

// TestResultsDoNotDependOnTheBatch compares calls made alone with the same calls made together, bit by bit, in batches
// of whole vectors and of others. The rewards are those of a demo judge, as a new head's are all zero.
func TestResultsDoNotDependOnTheBatch(t *testing.T) {
	for _, rows := range []int{4, 20} {
		e := open(t, tinyModel(t, "llama", false), Options{BatchRows: rows, Batches: 2})
		judge := open(t, filepath.Join("..", "..", "data", "models", "judge-a"), Options{BatchRows: rows, Batches: 2})
		ctx := context.Background()
		answers := func(i int) string {
			generated, err := e.Generate(ctx, GenerateRequest{PromptIDs: prompt(4+i, i), MaxTokens: 6 + i%3, Temperature: 1, TopP: 0.9, Seed: int64(i), Truncate: top})
			if err != nil {
				t.Error(err)
			}
			scored, err := e.Score(ctx, ScoreRequest{PromptIDs: prompt(4+i, i), TextIDs: prompt(5, i+50), Truncate: top})
			if err != nil {
				t.Error(err)
			}
			reward, err := judge.Reward(ctx, prompt(14+i, i))
			if err != nil {
				t.Error(err)
			}
			return fmt.Sprint(generated, scored, reward)
		}
		var alone, together [20]string
		for i := range alone {
			alone[i] = answers(i)
		}
		var group sync.WaitGroup
		for i := range together {
			group.Go(func() { together[i] = answers(i) })
		}
		group.Wait()
		if d := cmp.Diff(alone, together); d != "" {
			t.Errorf("batches of %d: alone (-) and together (+) differ:\n%s", rows, d)
		}
	}
}

func TestReward(t *testing.T) {
	e := open(t, tinyModel(t, "llama", true), Options{BatchRows: 2})
	r, err := e.Reward(context.Background(), prompt(9, 1))
	if err != nil {
		t.Fatal(err)
	}
	if r != 0 {
		t.Errorf("a zero head gave %g", r)
	}
}

func TestRefusals(t *testing.T) {
	dir := tinyModel(t, "llama", false)
	e := open(t, dir, Options{})
	ctx := context.Background()
	if _, err := e.Generate(ctx, GenerateRequest{PromptIDs: prompt(120, 1), MaxTokens: 9, Truncate: top}); !errors.Is(err, ErrTooLong) {
		t.Errorf("129 tokens in a context of 128: %v", err)
	}
	if _, err := e.Score(ctx, ScoreRequest{PromptIDs: []int32{768}, TextIDs: []int32{1}, Truncate: top}); err == nil {
		t.Error("id 768 of 768 was taken")
	}
	if _, err := e.Generate(ctx, GenerateRequest{PromptIDs: prompt(4, 1), MaxTokens: 4, TopP: 2, Truncate: top}); err == nil {
		t.Error("top_p 2 was taken")
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := e.Generate(cancelled, GenerateRequest{PromptIDs: prompt(4, 1), MaxTokens: 4, Truncate: top}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call: %v", err)
	}
	for _, c := range []struct{ remove, change, to, want string }{
		{remove: "tokenizer.json", want: "tokenizer.json"},
		{remove: "config.json", want: "config.json"},
		{remove: "model.safetensors", want: "model.safetensors"},
		{change: `"vocab_size": 768`, to: `"vocab_size": 700`, want: "768 ids"},
		{change: `"num_hidden_layers": 2`, to: `"num_hidden_layers": 3`, want: "missing model.layers.2"},
		{change: `LlamaForCausalLM`, to: `OtherLM`, want: "OtherLM"},
	} {
		broken := t.TempDir()
		if err := os.CopyFS(broken, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if c.remove != "" {
			if err := os.Remove(filepath.Join(broken, c.remove)); err != nil {
				t.Fatal(err)
			}
		} else {
			path := filepath.Join(broken, "config.json")
			b, _ := os.ReadFile(path)
			if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(b), c.change, c.to)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Open(broken, Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v", c, err)
		}
	}
	path := filepath.Join(dir, "model.safetensors")
	if info, err := os.Stat(path); err != nil {
		t.Fatal(err)
	} else if err := os.Truncate(path, info.Size()-5); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("weights cut short: %v", err)
	}
}

func TestClosedEngineAnswersWithAnError(t *testing.T) {
	e, err := Open(tinyModel(t, "mpt", false), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Score(context.Background(), ScoreRequest{PromptIDs: prompt(3, 0), TextIDs: prompt(3, 1), Truncate: top}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
