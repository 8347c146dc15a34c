package serving

import (
	"context"
	"fmt"
	"slices"

	"github.com/profuser/profuser/fusion/dist"
)

// ScoreRequest asks what the model thinks of a text: teacher forcing.
type ScoreRequest struct {
	// PromptIDs are the tokens before the text, at least one.
	PromptIDs []int32
	// TextIDs [T] are the text's tokens.
	TextIDs []int32
	// Truncate says which entries of each distribution are kept; TopK is what the server is asked for.
	Truncate dist.Truncate
}

// Reading holds what the model would have said at each of T positions.
type Reading struct {
	// TokenLogProbs [T] are the log-probs of the text's tokens in nats.
	TokenLogProbs []float32
	// TextRank [T] is each token's place among the stored entries, -1 if it was added to them.
	TextRank []int32
	// Dist holds the T distributions.
	Dist dist.Sparse
}

// Score reads a text after a prompt. A text over the context is ErrTooLong.
func (m *Model) Score(ctx context.Context, r ScoreRequest) (out Reading, err error) {
	if len(r.PromptIDs) == 0 {
		return out, fmt.Errorf("scoring with %s: no token before the text; a text needs at least one", m.options.Name)
	}
	if err := r.Truncate.Validate(); err != nil {
		return out, err
	}
	ids := slices.Concat(r.PromptIDs, r.TextIDs)
	if err := m.fits(len(ids), ids); err != nil {
		return out, m.failed("scoring", err)
	}
	if len(r.TextIDs) == 0 {
		return out, nil
	}
	way, err := m.reading(ctx)
	if err == nil {
		err = way.read(ctx, m, question{ids: ids, topK: r.Truncate.TopK}, func(positions []position) (err error) {
			out, err = m.tokens.distributions(positions[len(r.PromptIDs):], r.Truncate.TopK, r.Truncate)
			return err
		})
	}
	if err != nil {
		return Reading{}, m.failed("scoring", err)
	}
	return out, nil
}

// question is a text to be read, with topK alternatives at each position. A probe takes a reply of another shape as an
// answer: the server does not know this way.
type question struct {
	ids   []int32
	topK  int
	probe bool
}

// reader is one way of teacher forcing.
type reader struct {
	kind string // of the servers that are known for it
	name string
	// read asks and hands the positions, the first of which has no entries, to use.
	read func(ctx context.Context, m *Model, q question, use func([]position) error) error
}

// readers are tried in this order.
var readers = []reader{
	{VLLM, "prompt_logprobs", readPromptLogProbs},
	{SGLang, "input log-probs (/generate)", readInputLogProbs},
	{"", "echo with logprobs", readEcho(0)},
	{"", "echo with logprobs and one new token", readEcho(1)},
}

// completionRequest is the body of /v1/completions.
type completionRequest struct {
	Model          string  `json:"model"`
	Prompt         []int32 `json:"prompt"`
	MaxTokens      int     `json:"max_tokens"`
	Temperature    float64 `json:"temperature"`
	LogProbs       *int    `json:"logprobs,omitempty"`
	PromptLogProbs *int    `json:"prompt_logprobs,omitempty"`
	Echo           bool    `json:"echo,omitempty"`
	AsIDs          bool    `json:"return_tokens_as_token_ids,omitempty"`
	*samplingRequest
}

// readPromptLogProbs is vLLM's way, and that of our own server.
func readPromptLogProbs(ctx context.Context, m *Model, q question, use func([]position) error) error {
	body := completionRequest{Model: m.options.Model, Prompt: q.ids, MaxTokens: 1, PromptLogProbs: &q.topK}
	return m.ask(ctx, "/v1/completions", body, q.probe, func(reply []byte) error {
		var c completion
		if err := decode(reply, &c); err != nil {
			return err
		}
		if err := c.one(); err != nil {
			return err
		}
		positions, err := m.tokens.promptPositions(c.Choices[0].PromptLogProbs, q.ids)
		if err != nil {
			return err
		}
		return use(positions)
	})
}

// readEcho is the way of servers that repeat the prompt with its log-probs. The reply must repeat exactly the ids.
func readEcho(more int) func(context.Context, *Model, question, func([]position) error) error {
	return func(ctx context.Context, m *Model, q question, use func([]position) error) error {
		body := completionRequest{Model: m.options.Model, Prompt: q.ids, MaxTokens: more, LogProbs: &q.topK, Echo: true, AsIDs: true}
		return m.ask(ctx, "/v1/completions", body, q.probe, func(reply []byte) error {
			var c completion
			if err := decode(reply, &c); err != nil {
				return err
			}
			if err := c.one(); err != nil {
				return err
			}
			positions, err := m.tokens.positions(c.Choices[0].LogProbs)
			if err != nil {
				return err
			}
			if n := len(positions); n < len(q.ids) || n > len(q.ids)+more {
				return fmt.Errorf("echo returned %d tokens for %d", n, len(q.ids))
			}
			for i, id := range q.ids {
				if positions[i].id != id {
					return fmt.Errorf("echo returned token %d at position %d, want %d", positions[i].id, i, id)
				}
			}
			return use(positions[:len(q.ids)])
		})
	}
}
