package serving

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/profuser/profuser/fusion/verdict"
	"github.com/profuser/profuser/models/serving/transport"
	"github.com/profuser/profuser/schemas"
)

var question1 = []schemas.Message{{Role: "user", Content: "What is 2 + 2?"}}

// rewardServer scores a text by its number of tokens or bytes, in the manner of a real server.
type rewardServer struct {
	manner string // vllm, oldvllm (ignores use_activation), text (takes no ids), sglang, tei, judge
	api    RewardAPI
	extra  int    // tokens that it adds
	says   string // of the judge
	calls  atomic.Int64
}

// rawScore is the logit, so that tests know it.
func rawScore(n int) float64 { return 0.01 * float64(n) }

func (s *rewardServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.calls.Add(1)
	if r.URL.Path == "/v1/models" {
		fmt.Fprint(w, `{"data":[{"id":"fake","max_model_len":200}]}`)
		return
	}
	var q map[string]json.RawMessage
	_ = json.NewDecoder(r.Body).Decode(&q)
	want := map[RewardAPI]string{SGLangClassify: "/classify", Predict: "/predict", Judge: "/v1/chat/completions"}[s.api]
	if want == "" {
		want = "/" + string(s.api)
	}
	if r.URL.Path != want {
		refuse(w, 404, "Not Found")
		return
	}
	name := map[RewardAPI]string{SGLangClassify: "input_ids", Predict: "inputs", PairScore: "text_2"}[s.api]
	if name == "" {
		name = "input"
	}
	ids, isIDs := field[[]int32](q, name)
	text, isText := field[string](q, name)
	if !isText {
		text, isText = field[string](q, "text")
	}
	n := len(ids) + len(text)
	if s.api == Judge {
		reply(w, map[string]any{"choices": []any{map[string]any{"message": map[string]any{"content": s.says}, "finish_reason": "stop"}}})
		return
	}
	if isIDs && (s.manner == "text" || s.api == Predict) || !isIDs && !isText {
		refuse(w, 422, "input must be a string")
		return
	}
	score := rawScore(n)
	off, given := field[bool](q, "use_activation")
	if raw, ok := field[bool](q, "raw_scores"); ok {
		off, given = !raw, raw
	}
	if s.api != SGLangClassify && (s.manner == "oldvllm" || !given || off) {
		score = 1 / (1 + math.Exp(-score))
	}
	usage := map[string]any{"prompt_tokens": n + s.extra}
	switch s.api {
	case SGLangClassify:
		reply(w, map[string]any{"embedding": []float64{score}, "meta_info": usage})
	case Predict:
		reply(w, []any{map[string]any{"score": score, "label": "LABEL_0"}})
	case Pooling:
		reply(w, map[string]any{"data": []any{map[string]any{"index": 0, "data": []float64{score}}}, "usage": usage})
	case PairScore:
		reply(w, map[string]any{"data": []any{map[string]any{"index": 0, "score": score}}, "usage": usage})
	default:
		reply(w, map[string]any{"data": []any{map[string]any{"index": 0, "probs": []float64{score}, "num_classes": 1}}, "usage": usage})
	}
}

func TestRewards(t *testing.T) {
	f := demoFormat(t)
	ids, err := f.Conversation(question1, "4")
	if err != nil {
		t.Fatal(err)
	}
	rendered := len(f.Tokenizer().Decode(ids, false))
	for _, test := range []struct {
		api    RewardAPI
		manner string
		want   float64
		err    string
	}{
		{Classify, "vllm", rawScore(len(ids)), ""},
		{Classify, "oldvllm", 0, "apply a sigmoid"},
		{Pooling, "vllm", rawScore(len(ids)), ""},
		{Pooling, "oldvllm", 0, "apply a sigmoid"},
		{PairScore, "vllm", rawScore(1), ""},
		{SGLangClassify, "sglang", rawScore(len(ids)), ""},
		{SGLangClassify, "text", rawScore(rendered), ""},
		{Predict, "tei", rawScore(rendered), ""},
	} {
		t.Run(fmt.Sprint(test.api, " ", test.manner), func(t *testing.T) {
			s := &rewardServer{manner: test.manner, api: test.api}
			if test.manner == "text" {
				s.extra = len(ids) - rendered
			}
			m := connect(t, s, Options{Reward: test.api})
			if test.manner == "text" { // its count of the probe does not fit, so it says none
				m.rewards = &rewardForm{text: true}
			}
			got, err := m.Reward(t.Context(), RewardRequest{Messages: question1, Text: "4"})
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, want %q", err, test.err)
				}
				return
			}
			if err != nil || math.Abs(got-test.want) > 1e-9 {
				t.Errorf("reward %v, error %v; want %v", got, err, test.want)
			}
			before := s.calls.Load()
			if _, err := m.Reward(t.Context(), RewardRequest{Messages: question1, Text: "5"}); err != nil || s.calls.Load() != before+1 {
				t.Errorf("error %v after %d calls, want one", err, s.calls.Load()-before)
			}
		})
	}
}

func TestRewardCountsTokens(t *testing.T) {
	m := connect(t, &rewardServer{manner: "vllm", api: Classify, extra: 1}, Options{})
	if err := m.Check(t.Context(), Need{Reward: true}); err == nil || !strings.Contains(err.Error(), "the server read 5 tokens, the conversation has 4") {
		t.Errorf("error %v", err)
	}
	m = connect(t, &rewardServer{manner: "vllm", api: Classify}, Options{})
	if _, err := m.Reward(t.Context(), RewardRequest{IDs: make([]int32, 201)}); err == nil || !strings.Contains(err.Error(), "too_long") {
		t.Errorf("error %v", err)
	}
}

func TestRecordedRewards(t *testing.T) {
	for _, test := range []struct {
		name string
		want float64
		err  string
	}{
		{"rm_classify_raw", 0.9338626861572266, ""},
		{"rm_pooling", 0.7178583145141602, ""},
		{"rm_classify", 0, "a reply with 0 scores, want one"},
		{"rm_score", 0, "want one"},
		{"rm_emb", 0, "want one"},
	} {
		body, _ := fixture(t, test.name)
		got, err := (&Model{}).readReward(body, 0)
		if got != test.want || test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%s: %v, error %v; want %v, %q", test.name, got, err, test.want, test.err)
		}
	}
	if err := rawLogit(0.9338626861572266, 0.7178583145141602); err != nil {
		t.Errorf("vLLM's pair of scores: %v", err)
	}
}

// TestRewardsWithoutTokenizer: servers that render texts themselves need none here, everything else does.
func TestRewardsWithoutTokenizer(t *testing.T) {
	for _, test := range []struct {
		api  RewardAPI
		want float64
	}{{PairScore, rawScore(1)}, {Judge, 8}} {
		s := httptest.NewServer(&rewardServer{manner: "vllm", api: test.api, says: "Verdict: 8"})
		defer s.Close()
		m, err := Open(t.Context(), Options{Name: "m", Model: "fake", Reward: test.api, Transport: transport.Options{URLs: []string{s.URL}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Check(t.Context(), Need{Reward: true}); err != nil {
			t.Error(err)
		}
		if got, err := m.Reward(t.Context(), RewardRequest{Messages: question1, Text: "4"}); err != nil || math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%s: %v, error %v; want %v", test.api, got, err, test.want)
		}
		if _, err := m.Score(t.Context(), ScoreRequest{PromptIDs: prompt, TextIDs: text, Truncate: truncate}); err == nil || !strings.Contains(err.Error(), "reads texts only") {
			t.Errorf("%s: error %v", test.api, err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := Open(t.Context(), Options{Name: "m", Model: "fake", Reward: Classify}); err == nil || !strings.Contains(err.Error(), "no tokenizer, which") {
		t.Errorf("error %v", err)
	}
}

func TestJudge(t *testing.T) {
	for _, test := range []struct {
		says string
		want float64
		err  string
	}{
		{"Correct and short.\nVerdict: 9\n", 9, ""},
		{"Verdict: 1", 1, ""},
		{"fine\n**Verdict: 10/10**", 10, ""},
		{"Verdict: 7.5", 7.5, ""},
		{"Verdict: 11", 0, "want 1 to 10"},
		{"Verdict: 0", 0, "want 1 to 10"},
		{"Verdict: nine", 0, `want "Verdict: N"`},
		{"Verdict: 9\nor perhaps not", 0, `want "Verdict: N"`},
		{"", 0, `want "Verdict: N"`},
	} {
		s := &rewardServer{api: Judge, says: test.says}
		m := connect(t, s, Options{Reward: Judge})
		got, err := m.Reward(t.Context(), RewardRequest{Messages: question1, Text: "4"})
		if got != test.want || test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%q: %v, error %v; want %v, %q", test.says, got, err, test.want, test.err)
		}
		if test.err != "" && !errors.Is(err, verdict.ErrNone) {
			t.Errorf("%q: error %v, want verdict.ErrNone", test.says, err)
		}
		if s.calls.Load() != 2 {
			t.Errorf("%q: %d calls, want two: the model and the verdict", test.says, s.calls.Load())
		}
	}
}
