package server

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

func number(id int32) string { return strconv.Itoa(int(id)) }

// tokenID is how return_tokens_as_token_ids writes a token.
func tokenID(id int32) string { return "token_id:" + number(id) }

// complete is /v1/completions.
func (s *Server) complete(w http.ResponseWriter, r *http.Request, body []byte) error {
	var q request
	if err := json.Unmarshal(body, &q); err != nil {
		return fault{http.StatusBadRequest, "", "reading the request: " + err.Error()}
	}
	p, err := s.sampling(&q)
	if err != nil {
		return err
	}
	k := -1
	if len(q.LogProbs) > 0 && string(q.LogProbs) != "null" {
		if err := json.Unmarshal(q.LogProbs, &k); err != nil {
			return wrong("logprobs", "is %.20s, want a number", q.LogProbs)
		}
		if err := s.alternatives("logprobs", k); err != nil {
			return err
		}
	}
	if q.PromptLogProbs != nil {
		if err := s.alternatives("prompt_logprobs", *q.PromptLogProbs); err != nil {
			return err
		}
	}
	prompts, err := s.prompts("prompt", q.Prompt)
	if err != nil {
		return err
	}
	openings, err := s.openings(r.Context(), &q, prompts, k)
	if err != nil {
		return err
	}
	if q.Stream {
		return s.streamCompletion(w, r, &q, p, prompts, openings, k)
	}
	choices, written := []map[string]any{}, 0
	for i, ids := range prompts {
		answers := make([]answer, p.n)
		if p.most > 0 {
			if answers, err = s.generate(r.Context(), ids, p, max(0, k)); err != nil {
				return err
			}
		}
		for _, a := range answers {
			c := s.completion(&q, openings[i], a, k)
			c["index"] = len(choices)
			choices = append(choices, c)
			written += len(a.places)
		}
	}
	reply := s.envelope("cmpl", "text_completion")
	reply["choices"], reply["usage"] = choices, usage(total(prompts), written)
	write(w, http.StatusOK, reply)
	return nil
}

// opening is what a completion says of its prompt.
type opening struct {
	text   string  // of echo
	shown  []place // of echo, with log-probs if they are asked for
	fields map[string]any
}

func (s *Server) openings(ctx context.Context, q *request, prompts [][]int32, k int) ([]opening, error) {
	for _, ids := range prompts {
		if len(ids) == 0 {
			return nil, wrong("prompt", "is empty, want at least one token")
		}
	}
	read := make([][]place, len(prompts))
	if q.PromptLogProbs != nil || q.Echo && k >= 0 {
		most := k
		if q.PromptLogProbs != nil {
			most = max(most, *q.PromptLogProbs)
		}
		var err error
		if read, err = s.readPrompts(ctx, prompts, max(0, most)); err != nil {
			return nil, err
		}
	}
	out := make([]opening, len(prompts))
	for i, ids := range prompts {
		o := opening{fields: map[string]any{}}
		if q.Echo {
			o.text = s.engine.Format().Tokenizer().Decode(ids, false)
		}
		if q.Echo && k >= 0 {
			o.shown = limited(read[i], k)
		}
		if q.PromptLogProbs != nil {
			o.fields["prompt_logprobs"] = s.byID(limited(read[i], *q.PromptLogProbs))
		}
		if q.TokenIDs {
			o.fields["prompt_token_ids"] = ids
		}
		out[i] = o
	}
	return out, nil
}

// completion is one choice.
func (s *Server) completion(q *request, o opening, a answer, k int) map[string]any {
	c := map[string]any{"text": o.text + a.text, "finish_reason": cmp.Or(a.finish, "length"), "logprobs": nil}
	maps.Copy(c, o.fields)
	if k >= 0 {
		c["logprobs"] = s.columns(slices.Concat(o.shown, a.places), q.AsIDs, 0)
	}
	if q.TokenIDs {
		c["token_ids"] = idsOf(a.places)
	}
	return c
}

func idsOf(places []place) []int32 {
	ids := []int32{}
	for _, p := range places {
		ids = append(ids, p.id)
	}
	return ids
}

// streamCompletion sends completions token by token.
func (s *Server) streamCompletion(w http.ResponseWriter, r *http.Request, q *request, p sampling, prompts [][]int32, openings []opening, k int) error {
	return s.stream(w, r, q, p, streamed{
		reply: s.envelope("cmpl", "text_completion"), prompts: prompts, k: max(0, k),
		open: func(t *telling, i int) map[string]any {
			o := openings[i]
			for _, x := range o.shown {
				t.runes += s.length(x)
			}
			if o.text == "" && len(o.fields) == 0 {
				return nil
			}
			c := s.completion(q, o, answer{}, k)
			delete(c, "finish_reason")
			return c
		},
		next: func(t *telling, text string, places []place) map[string]any {
			c := map[string]any{"text": text}
			if k >= 0 {
				c["logprobs"] = s.columns(places, q.AsIDs, t.runes)
			}
			for _, x := range places {
				t.runes += s.length(x)
			}
			if q.TokenIDs {
				c["token_ids"] = idsOf(places)
			}
			if text == "" && len(c) == 1 {
				return nil
			}
			return c
		},
		end: func(_ *telling, text string) map[string]any { return map[string]any{"text": text} },
	})
}

// limited keeps k alternatives.
func limited(list []place, k int) []place {
	out := slices.Clone(list)
	for i := range out {
		n := min(k, len(out[i].ids))
		out[i].ids, out[i].tops = out[i].ids[:n], out[i].tops[:n]
	}
	return out
}

// envelope is what stands around choices.
func (s *Server) envelope(kind, object string) map[string]any {
	return map[string]any{"id": fmt.Sprintf("%s-%d", kind, s.seeds.Add(1)), "object": object, "created": time.Now().Unix(), "model": s.options.Name}
}

func usage(read, written int) map[string]any {
	return map[string]any{"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
}

func total(prompts [][]int32) (n int) {
	for _, ids := range prompts {
		n += len(ids)
	}
	return n
}

// chat is /v1/chat/completions.
func (s *Server) chat(w http.ResponseWriter, r *http.Request, body []byte) error {
	var q request
	if err := json.Unmarshal(body, &q); err != nil {
		return fault{http.StatusBadRequest, "", "reading the request: " + err.Error()}
	}
	p, err := s.sampling(&q)
	if err != nil {
		return err
	}
	logged := string(q.LogProbs) == "true"
	if err := s.alternatives("top_logprobs", q.TopLogProbs); err != nil {
		return err
	}
	if len(q.Messages) == 0 {
		return wrong("messages", "is empty, want a conversation")
	}
	ids, err := s.engine.Format().Prompt(q.Messages)
	if err != nil {
		return wrong("messages", "cannot be rendered: %v", err)
	}
	if q.MaxTokens == nil { // chat answers are as long as fits
		p.most = s.engine.Context() - len(ids)
	}
	if p.most < 1 {
		return wrong("max_tokens", "is %d, want at least 1 within the maximum context length %d", p.most, s.engine.Context())
	}
	if q.Stream {
		return s.streamChat(w, r, &q, p, ids, logged)
	}
	answers, err := s.generate(r.Context(), ids, p, q.TopLogProbs)
	if err != nil {
		return err
	}
	choices, written := []map[string]any{}, 0
	for i, a := range answers {
		c := map[string]any{"index": i, "message": map[string]any{"role": "assistant", "content": a.text}, "finish_reason": a.finish, "logprobs": nil}
		if logged {
			c["logprobs"] = s.list(a.places)
		}
		written += len(a.places)
		choices = append(choices, c)
	}
	reply := s.envelope("chatcmpl", "chat.completion")
	reply["choices"], reply["usage"] = choices, usage(len(ids), written)
	write(w, http.StatusOK, reply)
	return nil
}

// streamChat sends chat completions token by token.
func (s *Server) streamChat(w http.ResponseWriter, r *http.Request, q *request, p sampling, ids []int32, logged bool) error {
	delta := func(text string) map[string]any {
		return map[string]any{"delta": map[string]any{"content": text}}
	}
	return s.stream(w, r, q, p, streamed{
		reply: s.envelope("chatcmpl", "chat.completion.chunk"), prompts: [][]int32{ids}, k: q.TopLogProbs,
		open: func(*telling, int) map[string]any {
			return map[string]any{"delta": map[string]any{"role": "assistant", "content": ""}}
		},
		next: func(_ *telling, text string, places []place) map[string]any {
			c := delta(text)
			if logged {
				c["logprobs"] = s.list(places)
			} else if text == "" {
				return nil
			}
			return c
		},
		end: func(_ *telling, text string) map[string]any { return delta(text) },
	})
}
