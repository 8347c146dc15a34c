package serving

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/profuser/profuser/fusion/dist"
)

// GenerateRequest asks for one continuation.
type GenerateRequest struct {
	// PromptIDs are the tokens before the answer, at least one.
	PromptIDs []int32
	// MaxTokens is the longest answer in tokens, end-of-turn included.
	MaxTokens int
	// Temperature divides the logits before sampling; 0 takes the most probable token.
	Temperature float64
	// TopP keeps the smallest set of tokens whose probability reaches it, in (0, 1]; 0 means 1.
	TopP float64
	// Seed of this request's random numbers, where the server takes one.
	Seed int64
	// Stop are texts that end the answer; servers take them on top of stop ids. The tokens of the one that came up are part
	// of the answer where the server returns them.
	Stop []string
	// Truncate says which entries of each distribution are kept; TopK is what the server is asked for.
	Truncate dist.Truncate
}

func (r GenerateRequest) topP() float64 {
	if r.TopP == 0 {
		return 1
	}
	return r.TopP
}

// GenerateResult is an answer of T tokens with the model's distributions at temperature 1, whatever the sampling.
type GenerateResult struct {
	// IDs [T] are the tokens; the last is a stop id when Stopped.
	IDs []int32
	// Reading has the T distributions.
	Reading
	// Stopped is true when the model ended its turn, false when it was cut at MaxTokens or by a text of Stop.
	Stopped bool
}

// samplingRequest leaves nothing to the defaults of a server or of the model's directory: llama.cpp samples from 40
// tokens, vLLM takes what generation_config.json says. Unknown fields are ignored by both.
type samplingRequest struct {
	TopP              float64 `json:"top_p"`
	TopK              int     `json:"top_k"`
	MinP              float64 `json:"min_p"`
	RepetitionPenalty float64 `json:"repetition_penalty"`
	RepeatPenalty     float64 `json:"repeat_penalty"`
	Seed              int64   `json:"seed"`
	StopTokenIDs      []int32 `json:"stop_token_ids,omitempty"`
	TokenIDs          bool    `json:"return_token_ids"`
	// Stop has four texts at most where a server follows OpenAI; the caller cuts at all of them.
	Stop []string `json:"stop,omitempty"`
}

// answer is a continuation before it is truncated.
type answer struct {
	positions []position
	text      string
	stopped   bool // the server says that the model ended
	count     int  // tokens as the server counts them, 0 if it does not say
}

// Generate continues a prompt. A prompt and MaxTokens over the context are ErrTooLong.
func (m *Model) Generate(ctx context.Context, r GenerateRequest) (out GenerateResult, err error) {
	if len(r.PromptIDs) == 0 || r.MaxTokens < 1 {
		return out, fmt.Errorf("generating with %s: %d prompt tokens and at most %d new ones; both must be positive", m.options.Name, len(r.PromptIDs), r.MaxTokens)
	}
	if err := errors.Join(r.Truncate.Validate(), m.fits(len(r.PromptIDs)+r.MaxTokens, r.PromptIDs)); err != nil {
		return out, m.failed("generating", err)
	}
	generate := m.generateOpenAI
	if m.options.Kind == SGLang {
		generate = m.generateSGLang
	}
	a, err := generate(ctx, r)
	if err == nil && a.stopped && len(r.Stop) == 0 && !m.stops(a.positions) && len(a.positions) < r.MaxTokens {
		var end position
		if end, err = m.stoppedWith(ctx, r, a); err == nil {
			a.positions = append(a.positions, end)
		}
	}
	if err == nil {
		out.Reading, err = m.tokens.distributions(a.positions, r.Truncate.TopK, r.Truncate)
	}
	if err != nil {
		return GenerateResult{}, m.failed("generating", err)
	}
	for _, p := range a.positions {
		out.IDs = append(out.IDs, p.id)
	}
	out.Stopped = m.stops(a.positions)
	return out, nil
}

// stops says whether positions end with a stop id.
func (m *Model) stops(positions []position) bool {
	return len(positions) > 0 && slices.Contains(m.options.Format.StopIDs(), positions[len(positions)-1].id)
}

// generateOpenAI asks /v1/completions.
func (m *Model) generateOpenAI(ctx context.Context, r GenerateRequest) (a answer, err error) {
	err = m.ask(ctx, "/v1/completions", m.samplingBody(r), false, func(reply []byte) (err error) {
		a, err = m.readAnswer(reply)
		if err != nil {
			return err
		}
		return m.checkAnswer(&a, r)
	})
	return a, err
}

func (m *Model) samplingBody(r GenerateRequest) completionRequest {
	topK := max(r.Truncate.TopK, 1)
	return completionRequest{
		Model: m.options.Model, Prompt: r.PromptIDs, MaxTokens: r.MaxTokens, Temperature: r.Temperature, LogProbs: &topK, AsIDs: true,
		samplingRequest: &samplingRequest{
			TopP: r.topP(), RepetitionPenalty: 1, RepeatPenalty: 1, Seed: r.Seed & math.MaxInt64, StopTokenIDs: m.options.Format.StopIDs(), TokenIDs: true, Stop: r.Stop,
		},
	}
}

// readAnswer reads a completion.
func (m *Model) readAnswer(reply []byte) (a answer, err error) {
	var c completion
	if err := decode(reply, &c); err != nil {
		return a, err
	}
	if err := c.one(); err != nil {
		return a, err
	}
	got := c.Choices[0]
	a = answer{text: got.Text, stopped: got.FinishReason == "stop"}
	if c.Usage != nil {
		a.count = c.Usage.Completion
	}
	if a.positions, err = m.tokens.positions(got.LogProbs); err != nil {
		return a, err
	}
	if got.TokenIDs != nil && len(got.TokenIDs) != len(a.positions) {
		return a, fmt.Errorf("%d token_ids with %d log-probs", len(got.TokenIDs), len(a.positions))
	}
	for i, id := range got.TokenIDs {
		if id != a.positions[i].id {
			return a, fmt.Errorf("position %d: token_ids has %d, the log-probs are of %d", i, id, a.positions[i].id)
		}
	}
	return a, nil
}

// checkAnswer checks an answer against itself and its request, and cuts it after the first stop id.
func (m *Model) checkAnswer(a *answer, r GenerateRequest) error {
	n := len(a.positions)
	if n > r.MaxTokens || n == 0 && !a.stopped {
		return fmt.Errorf("%d tokens, want 1 to %d", n, r.MaxTokens)
	}
	if n < r.MaxTokens && !a.stopped && !m.stops(a.positions) {
		return fmt.Errorf("%d tokens of %d, and the model has not ended: the answer was broken off", n, r.MaxTokens)
	}
	byText := a.stopped && len(r.Stop) > 0 && !m.stops(a.positions) // servers count and return the tokens of the stop text, or not
	if a.count != 0 && a.count != n && !(a.stopped && a.count == n+1) && !(byText && a.count > n) {
		return fmt.Errorf("log-probs of %d tokens, the server counts %d", n, a.count)
	}
	var ids []int32
	for i, p := range a.positions {
		if int(p.id) >= m.tokens.tokenizer.Size() {
			return fmt.Errorf("position %d: token id %d is not in the tokenizer, which has %d", i, p.id, m.tokens.tokenizer.Size())
		}
		ids = append(ids, p.id)
	}
	if stop := m.stops(a.positions); !m.tokens.sameText(ids, a.text) && !(stop && m.tokens.sameText(ids[:n-1], a.text)) && !(byText && m.tokens.beginsWith(ids, a.text)) {
		return fmt.Errorf("the text %.80q is not that of its tokens %.80q", a.text, m.tokens.tokenizer.Decode(ids, false))
	}
	if _, err := m.tokens.distributions(a.positions, r.Truncate.TopK, r.Truncate); err != nil {
		return err
	}
	for i, id := range ids {
		if slices.Contains(m.options.Format.StopIDs(), id) {
			a.positions, a.stopped = a.positions[:i+1], true
			break
		}
	}
	return nil
}

// stoppedWith finds the stop id that a server kept to itself: it asks for the one token after the answer, and takes the
// most probable stop id of its alternatives.
func (m *Model) stoppedWith(ctx context.Context, r GenerateRequest, a answer) (end position, err error) {
	for _, p := range a.positions {
		r.PromptIDs = append(slices.Clip(r.PromptIDs), p.id)
	}
	r.MaxTokens, r.Temperature = 1, 0
	body := m.samplingBody(r)
	err = m.ask(ctx, "/v1/completions", body, false, func(reply []byte) error {
		next, err := m.readAnswer(reply)
		if err != nil {
			return err
		}
		if len(next.positions) != 1 {
			return fmt.Errorf("the model ended with a token that the server does not return: %d tokens, want 1", len(next.positions))
		}
		best := math.Inf(-1)
		for _, e := range next.positions[0].entries {
			if slices.Contains(m.options.Format.StopIDs(), e.ID) && e.LogProb > best {
				best, end = e.LogProb, position{id: e.ID, entries: next.positions[0].entries}
			}
		}
		if math.IsInf(best, -1) {
			return fmt.Errorf("the model ended with a token that the server does not return, and no stop id is among the %d most probable", len(next.positions[0].entries))
		}
		return nil
	})
	return end, err
}
