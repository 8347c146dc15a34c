package serving

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/models/chat"
)

// The files of testdata/api are requests to vLLM 0.32 (vl_, rm_) and llama.cpp's server (ls_) with SmolLM2-135M-Instruct,
// and what they answered.

// fixture gives a recorded reply and its status.
func fixture(t testing.TB, name string) (body []byte, status int) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "api", name+".res"))
	if err != nil {
		t.Fatal(err)
	}
	text, code, ok := strings.Cut(strings.TrimSpace(string(data)), "\nHTTP ")
	if _, err := fmt.Sscan(code, &status); !ok || err != nil {
		t.Fatalf("%s: no status", name)
	}
	return []byte(text), status
}

// recorded answers every request with one recorded reply; /v1/models fits.
func recorded(t testing.TB, name string) http.Handler {
	body, status := fixture(t, name)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/models" {
			fmt.Fprint(w, `{"data":[{"id":"fake","max_model_len":1024}]}`)
			return
		}
		w.WriteHeader(status)
		_, _ = w.Write(body)
	})
}

// smolFormat has the tokens of the recorded replies at their ids, and single bytes; the rest of the vocabulary is empty.
func smolFormat(t testing.TB) *chat.Format {
	t.Helper()
	vocab := map[string]int{}
	next := 17
	for b := 0; b < 256; b++ { // the printable bytes stand for themselves
		if b > 32 && b < 127 || b > 160 && b != 173 {
			vocab[string(rune(b))] = next
			next++
		}
	}
	shift := 256
	next = 20000
	for b := 0; b < 256; b++ {
		if !(b > 32 && b < 127 || b > 160 && b != 173) {
			vocab[string(rune(shift))] = next
			next, shift = next+1, shift+1
		}
	}
	for word, id := range map[string]int{
		"The": 504, "Ġcapital": 3575, "Ġof": 282, "Ġcity": 2240, "ĠFrance": 4649, "Ġthe": 260, "Ġis": 314, "ĠParis": 7042, "ĠLondon": 4528,
		"Ġand": 284, "Yes": 10539, "'m": 5248, "Ġam": 744,
	} {
		vocab[word] = id
	}
	added := []map[string]any{}
	for id, name := range []string{"<|endoftext|>", "<|im_start|>", "<|im_end|>"} {
		added = append(added, map[string]any{"id": id, "content": name, "special": true, "normalized": false, "single_word": false, "lstrip": false, "rstrip": false})
	}
	dir := t.TempDir()
	for name, v := range map[string]any{
		"tokenizer.json": map[string]any{
			"version": "1.0", "added_tokens": added,
			"pre_tokenizer": map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
			"decoder":       map[string]any{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
			"model":         map[string]any{"type": "BPE", "vocab": vocab, "merges": []string{}},
		},
		"tokenizer_config.json": map[string]any{"eos_token": "<|im_end|>"},
	} {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := chat.Load(dir, chat.Options{ChatTemplate: "chatml"})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var capital = []int32{504, 3575, 282, 4649, 314} // "The capital of France is"

func smol(t testing.TB, name string) *Model {
	return connect(t, recorded(t, name), Options{Format: smolFormat(t), VocabSize: 49152})
}

func bf(x float64) float32 { return dist.RoundBFloat16(float32(x)) }

func TestRecordedPromptLogProbs(t *testing.T) {
	m := smol(t, "vl_completions_pl")
	_, err := m.Score(t.Context(), ScoreRequest{PromptIDs: capital[:1], TextIDs: capital[1:], Truncate: dist.Truncate{Mass: 1, TopK: 2}})
	// The probe sent other tokens, so vLLM's way was not taken for granted.
	if err == nil || !strings.Contains(err.Error(), "log-probs of a given text") {
		t.Errorf("error %v", err)
	}
	m.reader = &readers[0]
	got, err := m.Score(t.Context(), ScoreRequest{PromptIDs: capital[:1], TextIDs: capital[1:], Truncate: dist.Truncate{Mass: 1, TopK: 2}})
	if err != nil {
		t.Fatal(err)
	}
	want := Reading{
		TokenLogProbs: []float32{-11.539274215698242, -0.3376066982746124, -2.4386610984802246, -0.45092111825942993},
		TextRank:      []int32{-1, 0, 1, 0},
		Dist: dist.Sparse{
			Counts:   []int32{3, 2, 2, 2},
			IDs:      []int32{29, 28, 3575, 282, 2240, 260, 4649, 314, 28},
			LogProbs: []float32{bf(-0.8654828), bf(-2.6532407), bf(-11.539274), bf(-0.3376067), bf(-2.3195479), bf(-2.1845050), bf(-2.4386611), bf(-0.4509211), bf(-2.4384947)},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("reading (-want +got):\n%s", d)
	}
}

func TestRecordedEcho(t *testing.T) {
	ids := append(capital[:5:5], 7042)
	m := smol(t, "vl_completions_echo")
	m.reader = &readers[2]
	got, err := m.Score(t.Context(), ScoreRequest{PromptIDs: ids[:1], TextIDs: ids[1:], Truncate: dist.Truncate{Mass: 1, TopK: 2}})
	if err != nil || len(got.TokenLogProbs) != 5 || math.Abs(float64(got.TokenLogProbs[4])+0.25807321) > 1e-6 || got.TextRank[0] != -1 {
		t.Errorf("%+v, error %v", got, err)
	}
	m = smol(t, "ls_completions_echo")
	m.reader = &readers[3]
	if _, err := m.Score(t.Context(), ScoreRequest{PromptIDs: ids[:1], TextIDs: ids[1:], Truncate: dist.Truncate{Mass: 1, TopK: 2}}); err == nil || !strings.Contains(err.Error(), "echo returned 1 tokens for 6") {
		t.Errorf("llama.cpp's silence: error %v", err)
	}
}

func TestRecordedAnswers(t *testing.T) {
	for _, test := range []struct {
		name     string
		most, k  int
		ids      []int32
		first    float32
		firstTop []int32
	}{
		{"vl_completions_ids", 1, 2, []int32{7042}, -0.25807321071624756, []int32{7042, 260}},
		{"vl_completions_logprobs", 2, 3, []int32{7042, 30}, -0.25807321071624756, []int32{7042, 260, 4528}},
		{"ls_completions_ids", 1, 2, []int32{7042}, -0.25889989733695984, []int32{7042, 260}},
		{"ls_completions_logprobs", 2, 3, []int32{7042, 30}, -0.25889989733695984, []int32{7042, 260, 4528}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := smol(t, test.name).Generate(t.Context(), GenerateRequest{PromptIDs: capital, MaxTokens: test.most, Truncate: dist.Truncate{Mass: 1, TopK: test.k}})
			if err != nil {
				t.Fatal(err)
			}
			top, _ := got.Dist.At(0)
			if d := cmp.Diff(test.ids, got.IDs) + cmp.Diff(test.firstTop, top) + cmp.Diff(test.first, got.TokenLogProbs[0]); d != "" || got.Stopped {
				t.Error(d)
			}
		})
	}
}

func TestRecordedChat(t *testing.T) {
	for _, name := range []string{"vl_chat_logprobs", "ls_chat_logprobs"} {
		got, err := smol(t, name).Chat(t.Context(), ChatRequest{MaxTokens: 2, TopLogProbs: 2})
		if d := cmp.Diff(ChatAnswer{Text: "I'm", IDs: []int32{57, 5248}}, got); d != "" || err != nil {
			t.Errorf("%s: error %v\n%s", name, err, d)
		}
	}
}

func TestRecordedRefusals(t *testing.T) {
	for _, test := range []struct{ name, want string }{
		{"vl_badmodel", "status 404: The model `nope` does not exist. Valid aliases: smollm2."},
		{"vl_badjson", "status 400: 1 validation error"},
		{"ls_badjson", "status 400: [json.exception.parse_error.101]"},
		{"vl_too_many_logprobs", "--max-logprobs"},
		{"vl_toolong", "too_long"},
		{"ls_toolong", "too_long"},
		{"vl_embeddings", "status 404: Not Found"},
		{"ls_embeddings", "status 501: This server does not support embeddings"},
		{"ls_stop", "no log-probs in the reply"},
		{"vl_batch", "2 choices, want 1"},
		{"ls_completions_echo", "the answer was broken off"},
	} {
		_, err := smol(t, test.name).Generate(t.Context(), GenerateRequest{PromptIDs: capital, MaxTokens: 8, Truncate: dist.Truncate{Mass: 1, TopK: 4}})
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "request profuser-") {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
		if (test.want == "too_long") != errors.Is(err, ErrTooLong) {
			t.Errorf("%s: error %v", test.name, err)
		}
	}
}

func TestTokens(t *testing.T) {
	v := newVocabulary(demoFormat(t).Tokenizer(), fakeVocab)
	number := func(n int32) *int32 { return &n }
	for _, test := range []struct {
		token token
		id    int32
		want  string
	}{
		{token{Token: "token_id:300"}, 300, ""},
		{token{Token: "token_id:768"}, 0, "outside the vocabulary"},
		{token{Token: "token_id:x"}, 0, "has no number"},
		{token{Token: "</s>"}, 2, ""},
		{token{Token: "\uFFFD"}, 0, "part of a character"},
		{token{Token: "no such token"}, 0, "not in the tokenizer"},
		{token{ID: number(2), Token: "</s>", Bytes: []int{60, 47, 115, 62}}, 2, ""},
		{token{ID: number(-1)}, 0, "outside the vocabulary"},
		{token{ID: number(300), Token: "?", Bytes: []int{63, 63}}, 0, "belongs to another model"},
		{token{Token: "?", Bytes: []int{256}}, 0, "among its bytes"},
	} {
		id, err := v.find(test.token)
		if id != test.id || test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			if test.want == "" || err == nil {
				t.Errorf("%+v: %d, error %v; want %d, %q", test.token, id, err, test.id, test.want)
			}
		}
	}
	// Every token that is named by its bytes comes back, or is reported as ambiguous.
	ambiguous := 0
	for id := range int32(fakeVocab) {
		b := v.tokenizer.Bytes(id)
		if b == nil {
			continue
		}
		named := token{Token: string(b), Bytes: []int{}}
		for _, x := range b {
			named.Bytes = append(named.Bytes, int(x))
		}
		got, err := v.find(named)
		switch {
		case err != nil && strings.Contains(err.Error(), "ambiguous"):
			ambiguous++
		case err != nil || got != id:
			t.Fatalf("%q: %d, error %v; want %d", b, got, err, id)
		}
	}
	if ambiguous == 0 || ambiguous > 256 {
		t.Errorf("%d ambiguous tokens; the byte tokens of letters that have their own should be", ambiguous)
	}
}
