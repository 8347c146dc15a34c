package server

import (
	"encoding/json"
	"fmt"
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
	var choices []map[string]any
	read, written := 0, 0
	for _, ids := range prompts {
		list, n, err := s.choices(r, &q, p, ids, k)
		if err != nil {
			return err
		}
		for _, c := range list {
			c["index"] = len(choices)
			choices = append(choices, c)
		}
		read += len(ids)
		written += n
	}
	reply := s.envelope("cmpl", "text_completion", read, written)
	if q.Stream {
		return s.stream(w, reply, choices, func(c map[string]any, piece string) { c["text"] = piece }, "text")
	}
	reply["choices"] = choices
	write(w, http.StatusOK, reply)
	return nil
}

// choices are the answers of one prompt.
func (s *Server) choices(r *http.Request, q *request, p sampling, ids []int32, k int) (out []map[string]any, written int, err error) {
	if len(ids) == 0 {
		return nil, 0, wrong("prompt", "is empty, want at least one token")
	}
	var prompt []place
	if q.PromptLogProbs != nil || q.Echo && k >= 0 {
		most := k
		if q.PromptLogProbs != nil {
			most = max(most, *q.PromptLogProbs)
		}
		if prompt, err = s.readPrompt(r.Context(), ids, max(0, most)); err != nil {
			return nil, 0, err
		}
	}
	answers := make([]answer, p.n)
	if p.most > 0 {
		if answers, err = s.generate(r.Context(), ids, p, max(0, k)); err != nil {
			return nil, 0, err
		}
	}
	for _, a := range answers {
		c := map[string]any{"text": a.text, "finish_reason": a.finish, "logprobs": nil}
		if p.most == 0 {
			c["finish_reason"] = "length"
		}
		shown := a.places
		if q.Echo {
			echoed := make([]place, len(ids))
			for i, id := range ids {
				echoed[i].id = id
			}
			if k >= 0 {
				echoed = limited(prompt, k)
			}
			shown = slices.Concat(echoed, shown)
			c["text"] = s.engine.Format().Tokenizer().Decode(ids, false) + a.text
		}
		if k >= 0 {
			c["logprobs"] = s.columns(shown, q.AsIDs)
		}
		if q.PromptLogProbs != nil {
			c["prompt_logprobs"] = s.byID(limited(prompt, *q.PromptLogProbs))
		}
		if q.TokenIDs {
			own := []int32{}
			for _, x := range a.places {
				own = append(own, x.id)
			}
			c["token_ids"], c["prompt_token_ids"] = own, ids
		}
		written += len(a.places)
		out = append(out, c)
	}
	return out, written, nil
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
func (s *Server) envelope(kind, object string, read, written int) map[string]any {
	return map[string]any{
		"id": fmt.Sprintf("%s-%d", kind, s.seeds.Add(1)), "object": object, "created": time.Now().Unix(), "model": s.options.Name,
		"usage": map[string]any{"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written},
	}
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
	object := "chat.completion"
	if q.Stream {
		reply := s.envelope("chatcmpl", object+".chunk", len(ids), written)
		return s.stream(w, reply, choices, func(c map[string]any, piece string) {
			delete(c, "message")
			c["delta"] = map[string]any{"role": "assistant", "content": piece}
		}, "message")
	}
	reply := s.envelope("chatcmpl", object, len(ids), written)
	reply["choices"] = choices
	write(w, http.StatusOK, reply)
	return nil
}

// stream sends choices as server-sent events, a character or more at a time; finish_reason and logprobs come with the
// last piece, usage with the last event.
func (s *Server) stream(w http.ResponseWriter, reply map[string]any, choices []map[string]any, put func(c map[string]any, piece string), from string) error {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	usage := reply["usage"]
	delete(reply, "usage")
	send := func(v any) {
		data, err := json.Marshal(v)
		if err == nil {
			fmt.Fprintf(w, "data: %s\n\n", data)
		}
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
	}
	for _, c := range choices {
		whole, _ := c[from].(string)
		if m, ok := c[from].(map[string]any); ok {
			whole, _ = m["content"].(string)
		}
		pieces := split(whole)
		for i, piece := range pieces {
			chunk := map[string]any{"index": c["index"], "finish_reason": nil, "logprobs": nil}
			if i == len(pieces)-1 {
				for k, v := range c {
					chunk[k] = v
				}
			}
			put(chunk, piece)
			reply["choices"] = []any{chunk}
			send(reply)
		}
	}
	reply["choices"], reply["usage"] = []any{}, usage
	send(reply)
	_, _ = fmt.Fprint(w, "data: [DONE]\n\n")
	return nil
}

// split cuts a text before each space; at least one piece.
func split(text string) []string {
	var out []string
	start := 0
	for i := 1; i < len(text); i++ {
		if text[i] == ' ' {
			out = append(out, text[start:i])
			start = i
		}
	}
	return append(out, text[start:])
}
