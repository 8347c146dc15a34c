package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/schemas"
)

// request is the body of both completion routes. Pointers tell what is absent; fields that we do not support are here to
// be refused unless they ask for nothing.
type request struct {
	Model               string            `json:"model"`
	Prompt              json.RawMessage   `json:"prompt"`
	Messages            []schemas.Message `json:"messages"`
	MaxTokens           *int              `json:"max_tokens"`
	MaxCompletionTokens *int              `json:"max_completion_tokens"`
	Temperature         *float64          `json:"temperature"`
	TopP                *float64          `json:"top_p"`
	N                   *int              `json:"n"`
	Seed                *int64            `json:"seed"`
	Stop                json.RawMessage   `json:"stop"`
	LogProbs            json.RawMessage   `json:"logprobs"` // a number, or for chat a boolean
	TopLogProbs         int               `json:"top_logprobs"`
	PromptLogProbs      *int              `json:"prompt_logprobs"`
	Echo                bool              `json:"echo"`
	AsIDs               bool              `json:"return_tokens_as_token_ids"`
	TokenIDs            bool              `json:"return_token_ids"`
	Stream              bool              `json:"stream"`
	StreamOptions       struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	TopK              *int     `json:"top_k"`
	MinP              *float64 `json:"min_p"`
	RepetitionPenalty *float64 `json:"repetition_penalty"`

	FrequencyPenalty *float64        `json:"frequency_penalty"`
	PresencePenalty  *float64        `json:"presence_penalty"`
	BestOf           *float64        `json:"best_of"`
	LogitBias        json.RawMessage `json:"logit_bias"`
	Suffix           json.RawMessage `json:"suffix"`
	Tools            json.RawMessage `json:"tools"`
	ResponseFormat   json.RawMessage `json:"response_format"`
}

// unsupported names a field that asks for something we do not do.
func (q *request) unsupported() error {
	for _, f := range []struct {
		name      string
		value     *float64
		supported float64
	}{
		{"frequency_penalty", q.FrequencyPenalty, 0},
		{"presence_penalty", q.PresencePenalty, 0},
		{"best_of", q.BestOf, 1},
	} {
		if f.value != nil && *f.value != f.supported {
			return wrong(f.name, "is %v: this server supports %v only", *f.value, f.supported)
		}
	}
	for name, raw := range map[string]json.RawMessage{"logit_bias": q.LogitBias, "suffix": q.Suffix, "tools": q.Tools, "response_format": q.ResponseFormat} {
		switch string(bytes.TrimSpace(raw)) {
		case "", "null", "{}", "[]", `""`, `{"type":"text"}`:
		default:
			return wrong(name, "is not supported by this server")
		}
	}
	return nil
}

// sampling is what a request asks for, checked.
type sampling struct {
	most                           int
	topK                           int
	temperature, topP, minP, again float64
	n                              int
	seed                           int64
	stops                          []string
}

// request is the engine's for answer i of a prompt, with k alternatives at each position.
func (p sampling) request(ids []int32, i, k int) engine.GenerateRequest {
	return engine.GenerateRequest{
		PromptIDs: ids, MaxTokens: p.most, Temperature: p.temperature, TopK: p.topK, TopP: p.topP, MinP: p.minP, RepetitionPenalty: p.again,
		Stop: p.stops, Seed: p.seed + int64(i), Truncate: every(k),
	}
}

func (s *Server) sampling(q *request) (p sampling, err error) {
	if q.Model != "" && q.Model != s.options.Name {
		return p, fault{404, "model", fmt.Sprintf("The model %q does not exist; this server has %q", q.Model, s.options.Name)}
	}
	if err := q.unsupported(); err != nil {
		return p, err
	}
	p = sampling{most: 16, temperature: 1, topP: 1, again: 1, n: 1}
	if q.MaxTokens == nil {
		q.MaxTokens = q.MaxCompletionTokens
	}
	set(&p.most, q.MaxTokens)
	set(&p.temperature, q.Temperature)
	set(&p.topK, q.TopK)
	set(&p.topP, q.TopP)
	set(&p.minP, q.MinP)
	set(&p.again, q.RepetitionPenalty)
	set(&p.n, q.N)
	if q.Seed == nil {
		next := s.seeds.Add(int64(max(1, p.n)))
		q.Seed = &next
	}
	p.seed = *q.Seed
	if err := p.check(); err != nil {
		return p, err
	}
	p.topK = max(p.topK, 0)
	p.stops, err = stops(q.Stop)
	return p, err
}

// check refuses numbers outside their ranges.
func (p sampling) check() error {
	switch {
	case p.most < 0:
		return wrong("max_tokens", "is %d, want 0 or more", p.most)
	case !(p.temperature >= 0 && p.temperature <= 10):
		return wrong("temperature", "is %v, want 0 to 10", p.temperature)
	case p.topK < -1:
		return wrong("top_k", "is %d, want 1 or more, or 0 or -1 for all", p.topK)
	case !(p.topP > 0 && p.topP <= 1):
		return wrong("top_p", "is %v, want more than 0, at most 1", p.topP)
	case !(p.minP >= 0 && p.minP <= 1):
		return wrong("min_p", "is %v, want 0 to 1", p.minP)
	case !(p.again > 0 && p.again <= 100):
		return wrong("repetition_penalty", "is %v, want more than 0, at most 100; 1 is none", p.again)
	case p.n < 1 || p.n > 128:
		return wrong("n", "is %d, want 1 to 128", p.n)
	}
	return nil
}

// stops reads a text or a list of texts.
func stops(raw json.RawMessage) (list []string, err error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		list = []string{one}
	} else if json.Unmarshal(raw, &list) != nil {
		return nil, wrong("stop", "is neither a string nor a list of strings")
	}
	if slices.Contains(list, "") {
		return nil, wrong("stop", "has an empty text")
	}
	return list, nil
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// alternatives checks a number of log-probs.
func (s *Server) alternatives(field string, k int) error {
	if k < 0 || k > s.options.MaxLogProbs {
		return wrong(field, "is %d, which is greater than max allowed: %d, or negative", k, s.options.MaxLogProbs)
	}
	return nil
}

// prompts reads a text, token ids, or a list of either.
func (s *Server) prompts(field string, raw json.RawMessage) ([][]int32, error) {
	t := s.engine.Format().Tokenizer()
	var ids []int32
	if json.Unmarshal(raw, &ids) == nil && ids != nil {
		return [][]int32{ids}, s.known(field, ids)
	}
	var text string
	if json.Unmarshal(raw, &text) == nil && string(bytes.TrimSpace(raw)) != "null" {
		return [][]int32{append(append([]int32{}, t.Specials()...), t.Encode(text)...)}, nil
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return nil, wrong(field, "is neither a text nor token ids nor a list of them")
	}
	var out [][]int32
	for _, one := range list {
		p, err := s.prompts(field, one)
		if err != nil || len(p) != 1 {
			return nil, wrong(field, "is neither a text nor token ids nor a list of them: %.60s", one)
		}
		out = append(out, p[0])
	}
	return out, nil
}

func (s *Server) known(field string, ids []int32) error {
	for _, id := range ids {
		if id < 0 || int(id) >= s.engine.VocabSize() {
			return wrong(field, "has token id %d, want 0 to %d", id, s.engine.VocabSize()-1)
		}
	}
	return nil
}
