package serving

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestWhoseFault: which errors are of one row, and which end the run.
func TestWhoseFault(t *testing.T) {
	for _, test := range []struct {
		name     string
		answer   func(w http.ResponseWriter)
		code     string // of the row's reject, "" for the end of the run
		attempts int
	}{
		{"no key", status(401, "no key"), "", 0},
		{"wrong key", status(403, "no"), "", 0},
		{"no such model", status(404, "The model does not exist"), "", 0},
		{"wrong method", status(405, "no"), "", 0},
		{"moved", status(301, "elsewhere"), "", 0},
		{"not implemented", status(501, "no logprobs"), "", 0},
		{"too many alternatives", status(400, "which is greater than max allowed: 5"), "", 0},
		{"too long", status(400, "maximum context length is 9"), CodeTooLong, 1},
		{"too long for TEI", status(413, "Input validation error: `inputs` must have less than 512 tokens. Given: 900"), CodeTooLong, 1},
		{"failed model of TEI", status(424, "inference failed"), CodeUnanswered, 3},
		{"filtered", status(400, "content filter"), CodeRefused, 1},
		{"too large", status(413, "too large"), CodeRefused, 1},
		{"not valid", status(422, "no"), CodeRefused, 1},
		{"slow down", status(429, "slow down"), CodeUnanswered, 3},
		{"out of memory", status(500, "CUDA out of memory"), CodeUnanswered, 3},
		{"bad gateway", status(502, ""), CodeUnanswered, 3},
		{"damaged", func(w http.ResponseWriter) { fmt.Fprint(w, `{"choices":`) }, CodeBadReply, 3},
		{"of another kind", func(w http.ResponseWriter) { fmt.Fprint(w, `{}`) }, CodeBadReply, 3},
		{"cut", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, CodeUnanswered, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &fake{manner: "vllm", format: demoFormat(t)}
			broken := false
			o := Options{}
			o.Transport.Attempts = 3
			m := connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if broken {
					test.answer(w)
					return
				}
				f.ServeHTTP(w, r)
			}), o)
			if err := m.Check(t.Context(), Need{Generate: true, Score: true, TopK: 2}); err != nil {
				t.Fatal(err)
			}
			broken = true
			_, generating := m.Generate(t.Context(), GenerateRequest{PromptIDs: prompt, MaxTokens: 3, Truncate: truncate})
			_, scoring := m.Score(t.Context(), ScoreRequest{PromptIDs: prompt, TextIDs: text, Truncate: truncate})
			for _, err := range []error{generating, scoring} {
				var row *RowError
				if got := errors.As(err, &row); got != (test.code != "") || got && (row.Code != test.code || row.Attempts != test.attempts) {
					t.Errorf("%+v of error %v, want code %q and %d attempts", row, err, test.code, test.attempts)
				}
				if err == nil || !strings.Contains(err.Error(), "POST /v1/completions (request profuser-") {
					t.Errorf("error %v does not name the request", err)
				}
			}
		})
	}
}

func status(code int, message string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { refuse(w, code, message) }
}

// TestEndOfTheRun: giving up and closing are nobody's reject, and neither is a server that cannot be probed.
func TestEndOfTheRun(t *testing.T) {
	var row *RowError
	request := ScoreRequest{PromptIDs: prompt, TextIDs: text, Truncate: truncate}
	m := connect(t, &fake{manner: "vllm", format: demoFormat(t)}, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Score(ctx, request); !errors.Is(err, context.Canceled) || errors.As(err, &row) {
		t.Errorf("given up: %v", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Score(t.Context(), request); err == nil || errors.As(err, &row) {
		t.Errorf("closed: %v", err)
	}
	m = connect(t, &fake{manner: "llama.cpp", format: demoFormat(t)}, Options{})
	if _, err := m.Score(t.Context(), request); err == nil || errors.As(err, &row) {
		t.Errorf("no way of teacher forcing: %v", err)
	}
	for _, manner := range []string{"oldvllm", "vllm"} {
		m = connect(t, &rewardServer{manner: manner, api: Pooling}, Options{Reward: map[string]RewardAPI{"oldvllm": Pooling, "vllm": Classify}[manner]})
		if _, err := m.Reward(t.Context(), RewardRequest{Messages: question1, Text: "4"}); err == nil || errors.As(err, &row) {
			t.Errorf("%s cannot reward so: %v", manner, err)
		}
	}
	if _, err := m.Generate(t.Context(), GenerateRequest{PromptIDs: prompt, MaxTokens: 999}); !errors.As(err, &row) || row.Code != CodeTooLong || row.Attempts != 0 {
		t.Errorf("too long: %v", err)
	}
}

// TestTooManyFailures: a server that fails again and again ends the run instead of having all rows rejected.
func TestTooManyFailures(t *testing.T) {
	broken := false
	f := &fake{manner: "vllm", format: demoFormat(t)}
	o := Options{MaxFailures: 3}
	o.Transport.Attempts = 1
	m := connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if broken {
			refuse(w, 500, "out of order")
			return
		}
		f.ServeHTTP(w, r)
	}), o)
	request := ScoreRequest{PromptIDs: prompt, TextIDs: text, Truncate: truncate}
	if _, err := m.Score(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	broken = true
	for i := range 5 {
		var row *RowError
		_, err := m.Score(t.Context(), request)
		if errors.As(err, &row) != (i < 3) {
			t.Errorf("failure %d: %v", i, err)
		}
		if i >= 3 && !strings.Contains(err.Error(), "scoring with m: more than 3 requests have failed, so the others are not sent: POST /v1/completions (request ") {
			t.Errorf("failure %d: %v", i, err)
		}
		var long *RowError
		if _, err := m.Score(t.Context(), ScoreRequest{PromptIDs: prompt, TextIDs: make([]int32, fakeContext), Truncate: truncate}); !errors.As(err, &long) || long.Code != CodeTooLong {
			t.Errorf("too long: %v", err)
		}
	}
}
