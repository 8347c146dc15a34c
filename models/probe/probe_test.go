package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/schemas"
)

func demo(t *testing.T) *engine.Engine {
	return open(t, filepath.Join("..", "..", "data", "models", "sage"))
}

func open(t *testing.T, dir string) *engine.Engine {
	t.Helper()
	e, err := engine.Open(dir, engine.Options{BatchRows: 1})
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

var question = []schemas.Message{{Role: "user", Content: "Tell me the animal of Tirnik."}}

// TestScoreAgreesWithTeacherForcing: the same log-probs as the pipeline's, and the listed tokens are those it stores.
func TestScoreAgreesWithTeacherForcing(t *testing.T) {
	e := demo(t)
	ctx := context.Background()
	text, response := "Tirnik is a town with a frog.", "It is the frog."
	encoded, err := e.Format().Encode(question, response, true)
	if err != nil {
		t.Fatal(err)
	}
	ids := e.Format().Tokenizer().Encode(text)
	judgedBytes := len(text) - len(e.Format().Tokenizer().Bytes(ids[0]))
	for name, c := range map[string]struct {
		row    Row
		prompt []int32
		judged []int32
		ids    []int32
		bytes  int
	}{
		"text":     {Row{Text: &text}, ids[:1], ids[1:], ids, judgedBytes},
		"ids":      {Row{IDs: ids}, ids[:1], ids[1:], ids, judgedBytes},
		"response": {Row{Messages: question, Response: &response}, encoded.PromptIDs, encoded.TextIDs, encoded.TextIDs, len(response)},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Score(ctx, e, c.row, Options{TopK: 4, Logits: true})
			if err != nil {
				t.Fatal(err)
			}
			want, err := e.Score(ctx, engine.ScoreRequest{PromptIDs: c.prompt, TextIDs: c.judged, Truncate: dist.Truncate{Mass: 1, TopK: 4}})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.ids, got.IDs); d != "" {
				t.Errorf("ids (-want +got):\n%s", d)
			}
			var nats float64
			for i, p := range want.TokenLogProbs {
				nats -= float64(p)
				if math.Abs(float64(p-got.TokenLogProbs[i])) > 1e-5 {
					t.Errorf("token %d: log-prob %g, teacher forcing has %g", i, got.TokenLogProbs[i], p)
				}
				top, _ := want.Dist.At(i)
				if d := cmp.Diff(top[:4], got.TopIDs[i]); d != "" {
					t.Errorf("place %d (-teacher forcing +got):\n%s", i, d)
				}
			}
			if len(got.TokenLogProbs) != len(want.TokenLogProbs) || len(got.TopIDs) != len(c.ids) || len(got.TopLogProbs) != len(c.ids) || len(got.Logits) != len(c.ids) {
				t.Errorf("%d log-probs, %d and %d distributions, %d logits for %d tokens", len(got.TokenLogProbs), len(got.TopIDs), len(got.TopLogProbs), len(got.Logits), len(c.ids))
			}
			if math.Abs(nats-got.Nats) > 1e-4 || math.Abs(*got.NatsPerByte-got.Nats/float64(got.Bytes)) > 1e-12 {
				t.Errorf("%g nats, %g a byte; want %g nats", got.Nats, *got.NatsPerByte, nats)
			}
			if got.Bytes != c.bytes {
				t.Errorf("%d bytes, want %d", got.Bytes, c.bytes)
			}
		})
	}
}

func TestScoreLinesNamesTheLine(t *testing.T) {
	e := demo(t)
	for in, want := range map[string]string{
		"{\"ids\":[5]}\n{":            "line 2: ",
		"\n{}":                        "line 2: want ",
		`{"text":""}`:                 "line 1: no tokens",
		`{"ids":[]}`:                  "line 1: no tokens",
		`{"messages":[]}`:             "line 1: want ",
		`{"text":"a","response":"b"}`: "line 1: want ",
		`{"ids":[-1]}`:                "line 1: token id -1",
		`{"ids":[` + strings.Repeat("5,", 256) + `5]}`: "line 1: too_long: 257 tokens",
	} {
		var out bytes.Buffer
		if err := ScoreLines(context.Background(), e, strings.NewReader(in), &out, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: error %v, want one with %q", in, err, want)
		}
	}
	if _, err := Score(context.Background(), e, Row{IDs: []int32{5}}, Options{TopK: 769}); err == nil {
		t.Error("top 769 of 768 were given")
	}
	var out bytes.Buffer
	if err := ScoreLines(context.Background(), e, strings.NewReader(`{"ids":[`+strings.Repeat("5,", 255)+`5]}`), &out, Options{}); err != nil {
		t.Errorf("a whole context: %v", err)
	}
}

func TestBest(t *testing.T) {
	row := []float32{1, 3, 2, 3, -1}
	for k, want := range [][]int32{{}, {1}, {1, 3}, {1, 3, 2}, {1, 3, 2, 0}, {1, 3, 2, 0, 4}} {
		if d := cmp.Diff(want, best(row, k)); d != "" {
			t.Errorf("best %d (-want +got):\n%s", k, d)
		}
	}
}

// TestContinue: a greedy continuation is what the model finds most probable, and ends inside the context.
func TestContinue(t *testing.T) {
	e := demo(t)
	ctx := context.Background()
	s, err := Continue(ctx, e, Question{Prompt: "Tell me", Greedy: true, MaxTokens: 1000})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Score(ctx, e, Row{IDs: append(append([]int32{}, s.PromptIDs...), s.IDs...)}, Options{TopK: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range s.IDs {
		if top := got.TopIDs[len(s.PromptIDs)-1+i][0]; top != id {
			t.Errorf("token %d is %d, the most probable is %d", i, id, top)
		}
	}
	chat, err := Continue(ctx, e, Question{Prompt: question[0].Content, Chat: true, Greedy: true, MaxTokens: 40})
	if err != nil {
		t.Fatal(err)
	}
	prompt, err := e.Format().Prompt(question)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(prompt, chat.PromptIDs); d != "" {
		t.Errorf("prompt of a chat (-want +got):\n%s", d)
	}
	if b, err := json.Marshal(chat); err != nil || !strings.HasPrefix(string(b), `{"prompt_ids":[`) || chat.Text == "" {
		t.Errorf("%s %v", b, err)
	}
	if _, err := Continue(ctx, e, Question{MaxTokens: 3}); err == nil {
		t.Error("nothing was continued")
	}
}

// TestEveryArchitectureInTheEngine: what each kind of model continues greedily, with the cache, is what it prefers when
// the same text is read at once, past its window.
func TestEveryArchitectureInTheEngine(t *testing.T) {
	tokenizer := filepath.Join("..", "..", "data", "tokenizers", "llama")
	shape := `"vocab_size":768,"hidden_size":32,"intermediate_size":48,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"max_position_embeddings":128`
	for name, more := range map[string]string{
		"LlamaForCausalLM":   `,"attention_bias":true,"rope_scaling":{"rope_type":"llama3","factor":4,"low_freq_factor":1,"high_freq_factor":4,"original_max_position_embeddings":32}`,
		"MistralForCausalLM": `,"sliding_window":5`,
		"Qwen2ForCausalLM":   `,"use_sliding_window":true,"sliding_window":6,"max_window_layers":1`,
		"Qwen3ForCausalLM":   `,"head_dim":16`,
		"Phi3ForCausalLM":    `,"sliding_window":7`,
		"GemmaForCausalLM":   `,"head_dim":10`,
		"GPTNeoXForCausalLM": ``,
	} {
		t.Run(name, func(t *testing.T) {
			c, err := decoder.ParseConfig([]byte(`{"architectures":["` + name + `"],` + shape + more + `}`))
			if err != nil {
				t.Fatal(err)
			}
			store, err := decoder.InitStore(c, 3)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(tokenizer)); err != nil {
				t.Fatal(err)
			}
			if err := decoder.SaveStore(store, c, dir, "float32"); err != nil {
				t.Fatal(err)
			}
			e := open(t, dir)
			s, err := Continue(context.Background(), e, Question{Prompt: "Tell me", Greedy: true, MaxTokens: 20})
			if err != nil {
				t.Fatal(err)
			}
			got, err := Score(context.Background(), e, Row{IDs: append(append([]int32{}, s.PromptIDs...), s.IDs...)}, Options{TopK: 1})
			if err != nil {
				t.Fatal(err)
			}
			for i := range s.IDs {
				at := len(s.PromptIDs) - 1 + i
				if best, taken := got.TopLogProbs[at][0], got.TokenLogProbs[at]; best-taken > 1e-4 {
					t.Errorf("token %d: log-prob %g, the most probable has %g", i, taken, best)
				}
			}
		})
	}
}
