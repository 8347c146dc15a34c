package serving

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/profuser/profuser/fusion/dist"
)

// inputRequest is the body of SGLang's own /generate.
type inputRequest struct {
	InputIDs []int32        `json:"input_ids"`
	Sampling sglangSampling `json:"sampling_params"`
	LogProb  bool           `json:"return_logprob"`
	StartLen int            `json:"logprob_start_len"`
	Top      int            `json:"top_logprobs_num"`
	WithText bool           `json:"return_text_in_logprobs"`
}

// sglangSampling leaves nothing to the defaults of the server or of the model's directory.
type sglangSampling struct {
	MaxNewTokens      int      `json:"max_new_tokens"`
	Temperature       float64  `json:"temperature"`
	TopP              float64  `json:"top_p"`
	TopK              int      `json:"top_k"`
	MinP              float64  `json:"min_p"`
	RepetitionPenalty float64  `json:"repetition_penalty"`
	StopTokenIDs      []int32  `json:"stop_token_ids,omitempty"`
	Stop              []string `json:"stop,omitempty"`
}

// inputReply is its answer; a log-prob is [log-prob, id, text].
type inputReply struct {
	Text string `json:"text"`
	Meta struct {
		Finish struct {
			Type string `json:"type"`
		} `json:"finish_reason"`
		PromptTokens     int               `json:"prompt_tokens"`
		CompletionTokens int               `json:"completion_tokens"`
		Input            []json.RawMessage `json:"input_token_logprobs"`
		InputTop         []json.RawMessage `json:"input_top_logprobs"`
		Output           []json.RawMessage `json:"output_token_logprobs"`
		OutputTop        []json.RawMessage `json:"output_top_logprobs"`
	} `json:"meta_info"`
}

// triple reads [log-prob, id, text]; the log-prob of a text's first token is null.
func triple(raw json.RawMessage) (id int32, logProb *float64, err error) {
	var parts []json.RawMessage
	if err = json.Unmarshal(raw, &parts); err != nil || len(parts) < 2 {
		return 0, nil, fmt.Errorf("log-prob %.60s, want [log-prob, id, text]", raw)
	}
	if err = json.Unmarshal(parts[0], &logProb); err == nil {
		err = json.Unmarshal(parts[1], &id)
	}
	return id, logProb, err
}

// triples reads the positions of a text and their alternatives.
func (v *vocabulary) triples(own, top []json.RawMessage) ([]position, error) {
	if top != nil && len(top) != len(own) {
		return nil, fmt.Errorf("%d tokens with %d lists of alternatives", len(own), len(top))
	}
	out := make([]position, len(own))
	for i, raw := range own {
		id, logProb, err := triple(raw)
		if err != nil {
			return nil, fmt.Errorf("position %d: %w", i, err)
		}
		p := position{id: id}
		var list []json.RawMessage
		if top != nil {
			if err := json.Unmarshal(top[i], &list); err != nil {
				return nil, fmt.Errorf("position %d: %w", i, err)
			}
		}
		for place, raw := range list {
			id, logProb, err := triple(raw)
			if err == nil {
				err = v.inRange(id)
			}
			if err == nil && logProb == nil {
				err = fmt.Errorf("token %d has no log-prob", id)
			}
			if err != nil {
				return nil, fmt.Errorf("position %d: %w", i, err)
			}
			p.entries = append(p.entries, dist.Entry{ID: id, LogProb: *logProb, Rank: place + 1})
		}
		if err := v.inRange(id); err != nil {
			return nil, fmt.Errorf("position %d: %w", i, err)
		}
		p.own(logProb)
		out[i] = p
	}
	return out, nil
}

// readInputLogProbs is SGLang's way of teacher forcing.
func readInputLogProbs(ctx context.Context, m *Model, q question, use func(int, []position) error) error {
	body := inputRequest{InputIDs: q.ids, LogProb: true, Top: q.topK, Sampling: sglangSampling{TopP: 1, TopK: -1, RepetitionPenalty: 1}}
	return m.ask(ctx, "/generate", body, q.probe, func(reply []byte) error {
		var r inputReply
		if err := decode(reply, &r); err != nil {
			return err
		}
		if q.topK == 0 {
			r.Meta.InputTop = nil
		}
		positions, err := m.tokens.triples(r.Meta.Input, r.Meta.InputTop)
		if err != nil {
			return err
		}
		if len(positions) != len(q.ids) {
			return fmt.Errorf("input_token_logprobs has %d entries for %d tokens", len(positions), len(q.ids))
		}
		for i, p := range positions {
			if p.id != q.ids[i] {
				return fmt.Errorf("input_token_logprobs has token %d at position %d, want %d", p.id, i, q.ids[i])
			}
		}
		return use(0, positions)
	})
}

// generateSGLang asks for one continuation. The log-probs that come with it are those of temperature 1 only when it is
// sampled at temperature 1 or greedily, so otherwise the answer is read again.
func (m *Model) generateSGLang(ctx context.Context, r GenerateRequest) (answer, error) {
	var a answer
	body := inputRequest{InputIDs: r.PromptIDs, LogProb: true, StartLen: -1, Top: r.Truncate.TopK, Sampling: sglangSampling{
		MaxNewTokens: r.MaxTokens, Temperature: r.Temperature, TopP: r.topP(), TopK: -1, RepetitionPenalty: 1, StopTokenIDs: m.options.Format.StopIDs(), Stop: r.Stop,
	}}
	err := m.ask(ctx, "/generate", body, false, func(reply []byte) error {
		var got inputReply
		err := decode(reply, &got)
		if err != nil {
			return err
		}
		if r.Truncate.TopK == 0 {
			got.Meta.OutputTop = nil
		}
		a = answer{text: got.Text, stopped: got.Meta.Finish.Type == "stop", count: got.Meta.CompletionTokens}
		if a.positions, err = m.tokens.triples(got.Meta.Output, got.Meta.OutputTop); err != nil {
			return err
		}
		return m.checkAnswer(&a, r)
	})
	if err != nil || r.Temperature == 0 || r.Temperature == 1 {
		return a, err
	}
	var ids []int32
	for _, p := range a.positions {
		ids = append(ids, p.id)
	}
	all := append(append([]int32{}, r.PromptIDs...), ids...)
	err = readInputLogProbs(ctx, m, question{ids: all, topK: r.Truncate.TopK}, func(_ int, positions []position) error {
		a.positions = positions[len(r.PromptIDs):]
		_, err := m.tokens.distributions(a.positions, r.Truncate.TopK, r.Truncate)
		return err
	})
	return a, err
}
