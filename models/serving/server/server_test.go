package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/models/serving"
	"github.com/profuser/profuser/models/serving/server"
	"github.com/profuser/profuser/models/serving/transport"
	"github.com/profuser/profuser/schemas"
)

var talk = []schemas.Message{{Role: "user", Content: "What is 2 + 3?"}}

// start serves a demo model.
func start(t *testing.T, name string, rewards bool) (*engine.Engine, *httptest.Server) {
	t.Helper()
	e, err := engine.Open("../../../data/models/"+name, engine.Options{BatchRows: 4})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(server.New(e, server.Options{Name: name, Rewards: rewards}))
	t.Cleanup(func() {
		s.Close()
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e, s
}

func client(t *testing.T, name string, s *httptest.Server) *serving.Model {
	t.Helper()
	f, err := chat.Load("../../../data/models/"+name, chat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := serving.Open(t.Context(), serving.Options{Name: name, Model: name, Format: f, Transport: transport.Options{URLs: []string{s.URL}, Attempts: 1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// TestOverHTTPAsInProcess asks one model both ways: the results must be equal to the bit.
func TestOverHTTPAsInProcess(t *testing.T) {
	e, s := start(t, "target", false)
	m := client(t, "target", s)
	truncate := dist.Truncate{Mass: 0.99, TopK: 32, MinProb: 1e-3}
	if err := m.Check(t.Context(), serving.Need{Generate: true, Score: true, TopK: truncate.TopK}); err != nil {
		t.Fatal(err)
	}
	if m.Context() != e.Context() {
		t.Errorf("context %d, want %d", m.Context(), e.Context())
	}
	for _, temperature := range []float64{0, 0.9} {
		prompt, err := e.Format().Prompt(talk)
		if err != nil {
			t.Fatal(err)
		}
		want, err := e.Generate(t.Context(), engine.GenerateRequest{PromptIDs: prompt, MaxTokens: 24, Temperature: temperature, TopP: 0.9, Seed: 5, Truncate: truncate})
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Generate(t.Context(), serving.GenerateRequest{PromptIDs: prompt, MaxTokens: 24, Temperature: temperature, TopP: 0.9, Seed: 5, Truncate: truncate})
		if err != nil {
			t.Fatal(err)
		}
		reading := serving.Reading{TokenLogProbs: want.TokenLogProbs, TextRank: want.TextRank, Dist: want.Dist}
		if d := cmp.Diff(serving.GenerateResult{IDs: want.IDs, Reading: reading, Stopped: want.Stopped}, got); d != "" {
			t.Errorf("temperature %v (-in process +over HTTP):\n%s", temperature, d)
		}
		read, err := e.Score(t.Context(), engine.ScoreRequest{PromptIDs: prompt, TextIDs: want.IDs, Truncate: truncate})
		if err != nil {
			t.Fatal(err)
		}
		over, err := m.Score(t.Context(), serving.ScoreRequest{PromptIDs: prompt, TextIDs: want.IDs, Truncate: truncate})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(serving.Reading{TokenLogProbs: read.TokenLogProbs, TextRank: read.TextRank, Dist: read.Dist}, over); d != "" {
			t.Errorf("reading (-in process +over HTTP):\n%s", d)
		}
	}
	answer, err := m.Chat(t.Context(), serving.ChatRequest{Messages: talk, MaxTokens: 24, TopLogProbs: 2})
	if err != nil || answer.Text == "" || len(answer.IDs) == 0 {
		t.Errorf("chat: %+v, error %v", answer, err)
	}
}

func TestRewardsOverHTTP(t *testing.T) {
	e, s := start(t, "judge-a", true)
	m := client(t, "judge-a", s)
	for _, text := range []string{"5", "The answer is 6."} {
		ids, err := e.Format().Conversation(talk, text)
		if err != nil {
			t.Fatal(err)
		}
		want, err := e.Reward(t.Context(), ids)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Reward(t.Context(), serving.RewardRequest{Messages: talk, Text: text})
		if err != nil || got != want {
			t.Errorf("reward %v, error %v; want %v", got, err, want)
		}
		_, body := post(t, s, "/classify", fmt.Sprintf(`{"messages":[{"role":"user","content":"What is 2 + 3?"},{"role":"assistant","content":%q}]}`, text))
		var r struct{ Data []struct{ Probs []float64 } }
		if err := json.Unmarshal([]byte(body), &r); err != nil || len(r.Data) != 1 || math.Abs(r.Data[0].Probs[0]-1/(1+math.Exp(-want))) > 1e-12 {
			t.Errorf("%s: error %v, want the sigmoid of %v", body, err, want)
		}
	}
}

func post(t *testing.T, s *httptest.Server, path, body string) (int, string) {
	t.Helper()
	r, err := http.Post(s.URL+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(data)
}

func TestAPI(t *testing.T) {
	_, s := start(t, "target", false)
	type reply struct {
		Choices []struct {
			Index        int
			Text         string
			FinishReason string `json:"finish_reason"`
			LogProbs     struct {
				Tokens        []string
				TokenLogProbs []*float64           `json:"token_logprobs"`
				Top           []map[string]float64 `json:"top_logprobs"`
			}
		}
		Usage map[string]int
	}
	ask := func(body string) (r reply) {
		t.Helper()
		status, text := post(t, s, "/v1/completions", body)
		if err := json.Unmarshal([]byte(text), &r); err != nil || status != 200 {
			t.Fatalf("status %d, error %v: %s", status, err, text)
		}
		return r
	}
	r := ask(`{"model":"target","prompt":["one","two"],"n":2,"max_tokens":3,"temperature":0}`)
	if len(r.Choices) != 4 || r.Choices[3].Index != 3 || r.Choices[0].Text != r.Choices[1].Text {
		t.Errorf("%+v", r)
	}
	r = ask(`{"prompt":[300,301,302],"max_tokens":0,"echo":true,"logprobs":2,"return_tokens_as_token_ids":true}`)
	p := r.Choices[0].LogProbs
	if len(p.Tokens) != 3 || p.Tokens[0] != "token_id:300" || p.TokenLogProbs[0] != nil || p.TokenLogProbs[2] == nil || len(p.Top[1]) < 2 {
		t.Errorf("echo: %+v", r)
	}
	whole := ask(`{"prompt":"Say","max_tokens":12,"temperature":0}`).Choices[0].Text
	if len(whole) > 3 {
		cut := ask(fmt.Sprintf(`{"prompt":"Say","max_tokens":12,"temperature":0,"stop":[%q]}`, whole[2:3])).Choices[0]
		if want, _, _ := strings.Cut(whole, whole[2:3]); cut.Text != want || cut.FinishReason != "stop" {
			t.Errorf("stopped at %q: %+v, want %q", whole[2:3], cut, want)
		}
	}
	status, events := post(t, s, "/v1/completions", `{"prompt":"Say","max_tokens":12,"temperature":0,"stream":true}`)
	var streamed strings.Builder
	for _, line := range strings.Split(events, "\n") {
		var chunk reply
		if data, ok := strings.CutPrefix(line, "data: "); ok && json.Unmarshal([]byte(data), &chunk) == nil && len(chunk.Choices) > 0 {
			streamed.WriteString(chunk.Choices[0].Text)
		}
	}
	if status != 200 || streamed.String() != whole || !strings.HasSuffix(events, "data: [DONE]\n\n") {
		t.Errorf("streamed %q, want %q", streamed.String(), whole)
	}
	for _, test := range []struct {
		path, body, want string
		status           int
	}{
		{"/v1/completions", `{"prompt":`, "not JSON", 400},
		{"/v1/completions", `{"model":"x","prompt":"a"}`, "does not exist", 404},
		{"/v1/completions", `{"prompt":"a","logprobs":5000}`, "greater than max allowed", 400},
		{"/v1/completions", `{"prompt":"a","max_tokens":9999}`, "maximum context length", 400},
		{"/v1/completions", `{"prompt":[99999]}`, "prompt has token id 99999", 400},
		{"/v1/completions", `{"prompt":""}`, "prompt is empty", 400},
		{"/v1/completions", `{"prompt":"a","frequency_penalty":1}`, "frequency_penalty is 1", 400},
		{"/v1/completions", `{"prompt":"a","logit_bias":{"5":1}}`, "logit_bias is not supported", 400},
		{"/v1/completions", `{"prompt":"a","temperature":-1}`, "temperature is -1", 400},
		{"/v1/completions", `{"prompt":"a","top_k":-2}`, "top_k is -2", 400},
		{"/v1/completions", `{"prompt":"a","min_p":2}`, "min_p is 2", 400},
		{"/v1/completions", `{"prompt":"a","repetition_penalty":0}`, "repetition_penalty is 0", 400},
		{"/v1/completions", `{"prompt":"a","stop":["x",""]}`, "stop has an empty text", 400},
		{"/v1/completions", `{"prompt":"a","max_tokens":9999,"stream":true}`, "maximum context length", 400},
		{"/v1/chat/completions", `{"messages":[]}`, "messages is empty", 400},
		{"/classify", `{"input":"a"}`, "language model", 404},
	} {
		if status, body := post(t, s, test.path, test.body); status != test.status || !strings.Contains(body, test.want) {
			t.Errorf("%s: status %d: %s", test.body, status, body)
		}
	}
	for path, want := range map[string]string{"/health": "{}", "/metrics": `profuser_requests_total{path="/v1/completions"}`, "/v1/models": `"max_model_len":256`} {
		response, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, error %v", path, body, err)
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestParametersOverHTTP: every sampling parameter reaches the engine.
func TestParametersOverHTTP(t *testing.T) {
	e, s := start(t, "target", false)
	prompt := []int32{300, 301, 302}
	plain := engine.GenerateRequest{PromptIDs: prompt, MaxTokens: 16, Temperature: 1.5, TopP: 1, Seed: 4, Truncate: dist.Truncate{Mass: 1, TopK: 1}}
	whole, err := e.Generate(t.Context(), plain)
	if err != nil {
		t.Fatal(err)
	}
	differ := 0
	for _, test := range []struct {
		body string
		set  func(r *engine.GenerateRequest)
	}{
		{`"top_k":-1`, func(*engine.GenerateRequest) {}},
		{`"top_k":2`, func(r *engine.GenerateRequest) { r.TopK = 2 }},
		{`"min_p":0.5`, func(r *engine.GenerateRequest) { r.MinP = 0.5 }},
		{`"top_p":0.3`, func(r *engine.GenerateRequest) { r.TopP = 0.3 }},
		{`"repetition_penalty":1.7,"temperature":0`, func(r *engine.GenerateRequest) { r.RepetitionPenalty, r.Temperature = 1.7, 0 }},
	} {
		r := plain
		test.set(&r)
		want, err := e.Generate(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if !cmp.Equal(want.IDs, whole.IDs) {
			differ++
		}
		status, body := post(t, s, "/v1/completions", `{"prompt":[300,301,302],"max_tokens":16,"seed":4,"return_token_ids":true,"temperature":1.5,`+test.body+`}`)
		var got struct {
			Choices []struct {
				IDs []int32 `json:"token_ids"`
			}
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 || len(got.Choices) != 1 || !cmp.Equal(got.Choices[0].IDs, want.IDs) {
			t.Errorf("%s: status %d, %s; want %v", test.body, status, body, want.IDs)
		}
	}
	if differ != 4 {
		t.Errorf("%d of 4 parameters changed the answer", differ)
	}
}

// slow is a parrot that says one token, then waits until it is let go on.
type slow struct {
	parrot
	goOn chan bool
	end  error
}

func (p slow) Generate(ctx context.Context, r engine.GenerateRequest) (engine.GenerateResult, error) {
	emit := r.Emit
	r.Emit = func(soFar *engine.GenerateResult) {
		emit(soFar)
		if len(soFar.IDs) == 1 {
			select {
			case <-p.goOn:
			case <-ctx.Done():
			}
		}
	}
	a, err := p.parrot.Generate(ctx, r)
	if ctx.Err() != nil {
		p.goOn <- true // the test hears that the answer was given up
		return a, ctx.Err()
	}
	if p.end != nil {
		return a, p.end
	}
	return a, err
}

// TestStreamsAsItGoes: a token reaches the client while the engine is at the next; a client that goes away ends the
// answer; an error in the middle is told in an event.
func TestStreamsAsItGoes(t *testing.T) {
	format, err := chat.Load("../../../data/models/target", chat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []error{nil, errors.New("out of luck"), context.Canceled} {
		e := slow{parrot{format}, make(chan bool), nil}
		if end != nil && !errors.Is(end, context.Canceled) {
			e.end = end
		}
		s := httptest.NewServer(server.New(e, server.Options{Name: "m"}))
		ctx, cancel := context.WithCancel(t.Context())
		q, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/v1/completions", strings.NewReader(`{"prompt":[300,301,302],"max_tokens":3,"stream":true,"logprobs":0,"stream_options":{"include_usage":true}}`))
		if err != nil {
			t.Fatal(err)
		}
		reply, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(reply.Body)
		if !lines.Scan() || !strings.Contains(lines.Text(), `"token_logprobs":[0]`) {
			t.Fatalf("first event %q, error %v", lines.Text(), lines.Err())
		}
		if errors.Is(end, context.Canceled) {
			cancel()
			<-e.goOn
		} else {
			e.goOn <- true
			var rest []string
			for lines.Scan() {
				rest = append(rest, lines.Text())
			}
			all := strings.Join(rest, "\n")
			if end == nil && (strings.Count(all, `"token_logprobs":[0]`) != 2 || !strings.Contains(all, `"completion_tokens":3`) || !strings.Contains(all, "[DONE]")) || end != nil && (!strings.Contains(all, `"error":{"code":500,"message":"out of luck"`) || strings.Contains(all, "[DONE]")) {
				t.Errorf("error %v: events %s", end, all)
			}
		}
		cancel()
		if err := reply.Body.Close(); err != nil {
			t.Error(err)
		}
		s.Close()
	}
}
