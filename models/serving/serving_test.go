package serving

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/profuser/profuser/fusion/dist"
)

var truncate = dist.Truncate{Mass: 0.9, TopK: 8, MinProb: 1e-3}

var (
	prompt = []int32{1, 300, 301, 302}
	text   = []int32{400, 266, 310, 2}
)

func TestScoreByEveryWay(t *testing.T) {
	for _, test := range []struct{ manner, kind, way string }{
		{"vllm", "", "prompt_logprobs"},
		{"vllm", VLLM, "prompt_logprobs"},
		{"sglang", "", "input log-probs (/generate)"},
		{"sglang", SGLang, "input log-probs (/generate)"},
		{"echo0", "", "echo with logprobs"},
		{"echo1", "", "echo with logprobs and one new token"},
	} {
		t.Run(test.manner+" "+test.kind, func(t *testing.T) {
			m := connect(t, &fake{manner: test.manner, format: demoFormat(t)}, Options{Kind: test.kind})
			if m.Context() != fakeContext {
				t.Errorf("context %d", m.Context())
			}
			got, err := m.Score(t.Context(), ScoreRequest{PromptIDs: prompt, TextIDs: text, Truncate: truncate})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(read(t, prompt, text, truncate), got, cmpopts.EquateApprox(1e-6, 0)); d != "" {
				t.Errorf("reading (-want +got):\n%s", d)
			}
			if m.reader.name != test.way {
				t.Errorf("way %q, want %q", m.reader.name, test.way)
			}
		})
	}
}

func TestScoreRefusals(t *testing.T) {
	for _, test := range []struct {
		name, manner string
		limit        int
		request      ScoreRequest
		want         string
	}{
		{"echo that is ignored", "llama.cpp", 0, ScoreRequest{prompt, text, truncate}, "does not return the log-probs of a given text"},
		{"tokens by text that could be several", "echotext", 0, ScoreRequest{prompt, text, truncate}, "log-probs of a given text"},
		{"more alternatives than allowed", "vllm", 5, ScoreRequest{prompt, text, truncate}, "--max-logprobs"},
		{"too long", "vllm", 0, ScoreRequest{prompt, make([]int32, 197), truncate}, "too_long: 201 tokens, model m has a context of 200"},
		{"id out of range", "vllm", 0, ScoreRequest{prompt, []int32{768}, truncate}, "token id 768 is outside the vocabulary, 0 to 767"},
		{"no prompt", "vllm", 0, ScoreRequest{nil, text, truncate}, "at least one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := connect(t, &fake{manner: test.manner, format: demoFormat(t), limit: test.limit}, Options{})
			_, err := m.Score(t.Context(), test.request)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if strings.HasPrefix(test.want, "too_long") != errors.Is(err, ErrTooLong) {
				t.Errorf("error %v: is ErrTooLong %v", err, errors.Is(err, ErrTooLong))
			}
		})
	}
}

func TestGenerateFromEveryServer(t *testing.T) {
	stopping := stoppingPrompt(t)
	for _, test := range []struct{ manner, kind string }{{"vllm", ""}, {"sglang", SGLang}, {"llama.cpp", ""}, {"llama.cpp", LlamaCPP}} {
		for _, temperature := range []float64{0, 0.7} {
			for _, p := range [][]int32{prompt, stopping} {
				t.Run(fmt.Sprint(test, temperature, p), func(t *testing.T) {
					m := connect(t, &fake{manner: test.manner, format: demoFormat(t)}, Options{Kind: test.kind})
					got, err := m.Generate(t.Context(), GenerateRequest{PromptIDs: p, MaxTokens: 20, Temperature: temperature, TopP: 0.9, Truncate: truncate})
					if err != nil {
						t.Fatal(err)
					}
					ids := greedy(p, 20)
					want := GenerateResult{IDs: ids, Reading: read(t, p, ids, truncate), Stopped: ids[len(ids)-1] == 2}
					if d := cmp.Diff(want, got, cmpopts.EquateApprox(1e-6, 0)); d != "" {
						t.Errorf("answer (-want +got):\n%s", d)
					}
				})
			}
		}
	}
}

// TestScoreAll: several texts after one prompt are read in one request where the server takes a list, and one by one where it
// does not; an empty text has no reading.
func TestScoreAll(t *testing.T) {
	texts := [][]int32{{300, 301}, {302}, {}, {303, 304, 305}}
	for _, test := range []struct {
		manner string
		lists  bool
		calls  int64 // for two items, probes left out
	}{
		{"vllm", true, 2}, {"vllm", false, 6}, {"echo0", true, 2}, {"echo1", true, 2}, {"sglang", false, 6},
	} {
		f := &fake{manner: test.manner, format: demoFormat(t), lists: test.lists}
		m := connect(t, f, Options{})
		if _, err := m.takesLists(t.Context()); err != nil {
			t.Fatal(err)
		}
		probes := f.calls.Load()
		for range 2 {
			got, err := m.ScoreAll(t.Context(), prompt, texts, truncate)
			if err != nil {
				t.Fatalf("%+v: %v", test, err)
			}
			for i, text := range texts {
				want := Reading{}
				if len(text) > 0 {
					want = read(t, prompt, text, truncate)
				}
				if d := cmp.Diff(want, got[i], cmpopts.EquateApprox(1e-6, 0)); d != "" {
					t.Errorf("%+v, text %d (-want +got):\n%s", test, i, d)
				}
			}
		}
		if n := f.calls.Load() - probes; n != test.calls {
			t.Errorf("%+v: %d requests, want %d", test, n, test.calls)
		}
		if _, err := m.ScoreAll(t.Context(), prompt, [][]int32{{300}, make([]int32, fakeContext)}, truncate); !errors.Is(err, ErrTooLong) {
			t.Errorf("a text over the context: %v", err)
		}
	}
}

// TestStopTexts: servers are told the stop texts, and end there; what they leave of one differs.
func TestStopTexts(t *testing.T) {
	f := &fake{format: demoFormat(t)}
	whole := greedy(prompt, 20)
	stop := f.text(whole[4:6]) // across two tokens
	kept, text, ok := f.stopAt(whole, []string{stop})
	if !ok || text == "" || len(kept) == len(whole) {
		t.Fatalf("%q does not stop %q early", stop, f.text(whole))
	}
	for _, test := range []struct{ manner, kind string }{{"vllm", ""}, {"sglang", SGLang}, {"llama.cpp", ""}} {
		m := connect(t, &fake{manner: test.manner, format: f.format}, Options{Kind: test.kind})
		got, err := m.Generate(t.Context(), GenerateRequest{PromptIDs: prompt, MaxTokens: 20, Stop: []string{"no such text", stop}, Truncate: truncate})
		if err != nil {
			t.Errorf("%s: %v", test.manner, err)
			continue
		}
		before, _, _ := strings.Cut(f.text(got.IDs), stop)
		if len(got.IDs) > len(kept) || got.Stopped || !strings.HasPrefix(text, before) || len(before) < len(text)-len(stop) {
			t.Errorf("%s: %q, want %q without or with %q", test.manner, f.text(got.IDs), text, stop)
		}
	}
}

// stoppingPrompt is one after which the fake model ends its turn itself, after a few tokens.
func stoppingPrompt(t *testing.T) []int32 {
	for i := int32(300); i < 700; i++ {
		p := []int32{1, i}
		if ids := greedy(p, 20); len(ids) > 3 && len(ids) < 20 {
			return p
		}
	}
	t.Fatal("no such prompt")
	return nil
}

func TestOpenRefusals(t *testing.T) {
	models := func(reply string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, reply) })
	}
	for _, test := range []struct {
		name, reply string
		options     Options
		want        string
	}{
		{"another model", `{"data":[{"id":"a","max_model_len":9},{"id":"b"}]}`, Options{}, `endpoint.model "fake" is not on the server, which has a, b`},
		{"no context", `{"data":[{"id":"fake"}]}`, Options{}, "set the model's context"},
		{"small vocabulary", `{"data":[{"id":"x.gguf","meta":{"n_vocab":100,"n_ctx":64}}]}`, Options{}, "its tokenizer has 768 ids, the server's model 100"},
		{"damaged", `{"data":`, Options{}, "damaged reply"},
		{"llama.cpp", `{"data":[{"id":"x.gguf","meta":{"n_vocab":768,"n_ctx":64}}]}`, Options{}, ""},
		{"context of the configuration", `{"data":[{"id":"fake"}]}`, Options{Context: 7}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := tryConnect(t, models(test.reply), test.options)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestCheckAsksOnce(t *testing.T) {
	f := &fake{manner: "vllm", format: demoFormat(t), limit: 20}
	m := connect(t, f, Options{})
	if err := m.Check(t.Context(), Need{Generate: true, Score: true, TopK: 20}); err != nil {
		t.Fatal(err)
	}
	before := f.calls.Load()
	if _, err := m.Score(t.Context(), ScoreRequest{PromptIDs: prompt, TextIDs: text, Truncate: truncate}); err != nil || f.calls.Load() != before+1 {
		t.Errorf("error %v after %d calls, want one", err, f.calls.Load()-before)
	}
	if err := m.Check(t.Context(), Need{Score: true, TopK: 21}); err == nil || !strings.Contains(err.Error(), "--max-logprobs") {
		t.Errorf("error %v", err)
	}
}
