package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/models/serving/server"
)

// parrot answers with the last tokens of its prompt, each certain, and scores by counting.
type parrot struct{ format *chat.Format }

func (p parrot) Format() *chat.Format { return p.format }
func (p parrot) Context() int         { return 64 }
func (p parrot) VocabSize() int       { return p.format.Tokenizer().Size() }

func (p parrot) Generate(_ context.Context, r engine.GenerateRequest) (out engine.GenerateResult, err error) {
	switch {
	case len(r.PromptIDs) == 0 || r.MaxTokens < 1:
		return out, errors.New("a request that the engine refuses")
	case len(r.PromptIDs)+r.MaxTokens > p.Context():
		return out, engine.ErrTooLong
	}
	out.IDs = r.PromptIDs[len(r.PromptIDs)-min(len(r.PromptIDs), r.MaxTokens):]
	out.Dist, out.TokenLogProbs, out.TextRank = certain(out.IDs)
	if r.Emit != nil {
		for n := range out.IDs {
			soFar := engine.GenerateResult{IDs: out.IDs[:n+1]}
			soFar.Dist, soFar.TokenLogProbs, soFar.TextRank = certain(soFar.IDs)
			r.Emit(&soFar)
		}
	}
	return out, nil
}

func (p parrot) Score(_ context.Context, r engine.ScoreRequest) (out engine.ScoreResult, err error) {
	if len(r.PromptIDs)+len(r.TextIDs) > p.Context() {
		return out, engine.ErrTooLong
	}
	out.Dist, out.TokenLogProbs, out.TextRank = certain(r.TextIDs)
	return out, nil
}

func (p parrot) Reward(_ context.Context, ids []int32) (float64, error) {
	return float64(len(ids)), nil
}

func certain(ids []int32) (d dist.Sparse, logProbs []float32, ranks []int32) {
	for range ids {
		d.Counts = append(d.Counts, 1)
	}
	d.IDs, d.LogProbs = ids, make([]float32, len(ids))
	return d, make([]float32, len(ids)), make([]int32, len(ids))
}

// FuzzRequests: any body gets JSON (or events) with a status that says whose fault it is, and it is never the server's.
func FuzzRequests(f *testing.F) {
	for _, body := range []string{
		`{"model":"m","prompt":[300,301],"max_tokens":3,"temperature":0,"logprobs":2,"echo":true,"prompt_logprobs":1,"return_tokens_as_token_ids":true}`,
		`{"prompt":["one","two"],"n":2,"max_tokens":3,"stop":["a"],"seed":-1,"stream":true}`,
		`{"prompt":[[1,2],[3]],"return_token_ids":true,"top_k":5,"min_p":0.1,"repetition_penalty":1.2}`,
		`{"messages":[{"role":"user","content":"hi"}],"logprobs":true,"top_logprobs":2,"max_completion_tokens":4}`,
		`{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yes"}],"use_activation":false}`,
		`{"input":["a","b"]}`, `{"prompt":null}`, `[]`, `{"prompt":"a","max_tokens":0}`, `{"prompt":"a","n":1e300}`,
	} {
		for path := range byte(3) {
			f.Add(path, body)
		}
	}
	format, err := chat.Load("../../../data/models/target", chat.Options{})
	if err != nil {
		f.Fatal(err)
	}
	writer, judge := server.New(parrot{format}, server.Options{Name: "m"}), server.New(parrot{format}, server.Options{Name: "m", Rewards: true})
	f.Fuzz(func(t *testing.T, path byte, body string) {
		to := []string{"/v1/completions", "/v1/chat/completions", "/classify"}[path%3]
		h := http.Handler(writer)
		if to == "/classify" {
			h = judge
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, to, strings.NewReader(body)))
		if w.Code != 200 && w.Code != 400 && w.Code != 404 {
			t.Fatalf("%s %s: status %d: %s", to, body, w.Code, w.Body)
		}
		reply := w.Body.String()
		if events, ok := strings.CutSuffix(reply, "data: [DONE]\n\n"); ok {
			for _, e := range strings.Split(strings.TrimSuffix(events, "\n\n"), "\n\n") {
				if !json.Valid([]byte(strings.TrimPrefix(e, "data: "))) {
					t.Fatalf("%s %s: event %q", to, body, e)
				}
			}
			return
		}
		if !json.Valid([]byte(reply)) {
			t.Fatalf("%s %s: %q", to, body, reply)
		}
	})
}
