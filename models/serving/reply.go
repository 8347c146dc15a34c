package serving

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/profuser/profuser/fusion/dist"
)

// position is one token of a text with what the model thought there.
type position struct {
	id      int32
	entries []dist.Entry // id's among them; none where the server gave no log-prob, as at the first token
}

// completion is the part of /v1/completions' reply that we read.
type completion struct {
	Choices []choice `json:"choices"`
	Usage   *struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
	} `json:"usage"`
}

// choice is one answer, or what a server says of one of several texts.
type choice struct {
	Index          int                        `json:"index"`
	Text           string                     `json:"text"`
	FinishReason   string                     `json:"finish_reason"`
	TokenIDs       []int32                    `json:"token_ids"`
	LogProbs       json.RawMessage            `json:"logprobs"`
	PromptLogProbs []map[string]promptLogProb `json:"prompt_logprobs"`
}

// promptLogProb is one entry of vLLM's prompt_logprobs, by id.
type promptLogProb struct {
	LogProb *float64 `json:"logprob"`
	Rank    int      `json:"rank"`
}

// one checks that a reply has one choice.
func (c *completion) one() error { return c.are(1) }

// are checks that a reply has n choices with the numbers 0 to n-1, and puts them in this order.
func (c *completion) are(n int) error {
	if len(c.Choices) != n {
		return fmt.Errorf("%d choices, want %d", len(c.Choices), n)
	}
	slices.SortStableFunc(c.Choices, func(a, b choice) int { return cmp.Compare(a.Index, b.Index) })
	for i, one := range c.Choices {
		if one.Index != i {
			return fmt.Errorf("no choice with index %d of %d", i, n)
		}
	}
	return nil
}

// listLogProbs is the shape of llama.cpp and of chat completions: a list of tokens with alternatives.
type listLogProbs struct {
	Content []struct {
		token
		LogProb *float64 `json:"logprob"`
		Top     []struct {
			token
			LogProb *float64 `json:"logprob"`
		} `json:"top_logprobs"`
	} `json:"content"`
}

// columnLogProbs is the older shape: a list for each property.
type columnLogProbs struct {
	Tokens        []string              `json:"tokens"`
	TokenLogProbs []*float64            `json:"token_logprobs"`
	Top           []map[string]*float64 `json:"top_logprobs"`
}

// positions reads either shape.
func (v *vocabulary) positions(raw json.RawMessage) ([]position, error) {
	var shape map[string]json.RawMessage
	if err := json.Unmarshal(raw, &shape); err != nil || shape == nil {
		return nil, fmt.Errorf("no log-probs in the reply")
	}
	if _, ok := shape["content"]; ok {
		var l listLogProbs
		if err := json.Unmarshal(raw, &l); err != nil {
			return nil, fmt.Errorf("reading logprobs: %w", err)
		}
		return v.fromList(l)
	}
	var c columnLogProbs
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("reading logprobs: %w", err)
	}
	return v.fromColumns(c)
}

func (v *vocabulary) fromList(l listLogProbs) ([]position, error) {
	out := make([]position, len(l.Content))
	for i, c := range l.Content {
		id, err := v.find(c.token)
		if err != nil {
			return nil, fmt.Errorf("position %d: %w", i, err)
		}
		p := position{id: id}
		for place, t := range c.Top {
			if err := v.add(&p, t.token, t.LogProb, place+1); err != nil {
				return nil, fmt.Errorf("position %d: %w", i, err)
			}
		}
		p.own(c.LogProb)
		out[i] = p
	}
	return out, nil
}

func (v *vocabulary) fromColumns(c columnLogProbs) ([]position, error) {
	if len(c.TokenLogProbs) != len(c.Tokens) || c.Top != nil && len(c.Top) != len(c.Tokens) {
		return nil, fmt.Errorf("%d tokens with %d token_logprobs and %d top_logprobs", len(c.Tokens), len(c.TokenLogProbs), len(c.Top))
	}
	out := make([]position, len(c.Tokens))
	for i, name := range c.Tokens {
		id, err := v.find(token{Token: name})
		if err != nil {
			return nil, fmt.Errorf("position %d: %w", i, err)
		}
		p := position{id: id}
		if c.Top != nil {
			for name, logProb := range c.Top[i] {
				if err := v.add(&p, token{Token: name}, logProb, 0); err != nil {
					return nil, fmt.Errorf("position %d: %w", i, err)
				}
			}
		}
		p.own(c.TokenLogProbs[i])
		out[i] = p
	}
	return out, nil
}

// add appends an alternative.
func (v *vocabulary) add(p *position, t token, logProb *float64, rank int) error {
	id, err := v.find(t)
	if err != nil {
		return err
	}
	if logProb == nil {
		return fmt.Errorf("token %d has no log-prob", id)
	}
	p.entries = append(p.entries, dist.Entry{ID: id, LogProb: *logProb, Rank: rank})
	return nil
}

// own adds the token itself unless it is among the alternatives. Without a log-prob there is nothing to add.
func (p *position) own(logProb *float64) {
	if logProb == nil {
		return
	}
	for _, e := range p.entries {
		if e.ID == p.id {
			return
		}
	}
	p.entries = append(p.entries, dist.Entry{ID: p.id, LogProb: *logProb, Rank: len(p.entries) + 1})
}

// promptPositions reads prompt_logprobs, which must be those of ids.
func (v *vocabulary) promptPositions(list []map[string]promptLogProb, ids []int32) ([]position, error) {
	if len(list) != len(ids) {
		return nil, fmt.Errorf("prompt_logprobs has %d entries for %d tokens", len(list), len(ids))
	}
	out := make([]position, len(ids))
	for i, named := range list {
		out[i].id = ids[i]
		if i == 0 {
			continue
		}
		for name, e := range named {
			n, err := strconv.ParseInt(name, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("position %d: prompt_logprobs names %q, want a token id", i, name)
			}
			id := int32(n)
			if err := v.inRange(id); err != nil {
				return nil, fmt.Errorf("position %d: %w", i, err)
			}
			if e.LogProb == nil {
				return nil, fmt.Errorf("position %d: token %d has no log-prob", i, id)
			}
			out[i].entries = append(out[i].entries, dist.Entry{ID: id, LogProb: *e.LogProb, Rank: e.Rank})
		}
	}
	return out, nil
}

// distributions truncates positions, at each of which the server was asked for topK alternatives.
func (v *vocabulary) distributions(positions []position, topK int, t dist.Truncate) (r Reading, err error) {
	ids, entries := make([]int32, len(positions)), make([][]dist.Entry, len(positions))
	for i, p := range positions {
		if n := len(p.entries); n < min(topK, v.tokenizer.Size()) {
			return r, fmt.Errorf("position %d: %d log-probs where %d were asked for", i, n, topK)
		}
		ids[i], entries[i] = p.id, p.entries
	}
	r.Dist, r.TokenLogProbs, r.TextRank, err = dist.FromEntries(entries, ids, t)
	return r, err
}
