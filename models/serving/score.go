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

// ScoreAll reads several texts after one prompt, in one request where the server takes a list of them: what it has read of
// the prompt is then at hand, and it is sent and answered once. A text over the context is ErrTooLong.
func (m *Model) ScoreAll(ctx context.Context, promptIDs []int32, texts [][]int32, truncate dist.Truncate) ([]Reading, error) {
	q := question{topK: truncate.TopK}
	var places []int
	for i, text := range texts {
		ids := slices.Concat(promptIDs, text)
		if err := m.fits(len(ids), ids); err != nil {
			return nil, m.failed("scoring", err)
		}
		if len(text) > 0 {
			places, q.more = append(places, i), append(q.more, ids)
		}
	}
	out := make([]Reading, len(texts))
	together := false
	if err := truncate.Validate(); err == nil && len(places) > 1 && len(promptIDs) > 0 {
		if together, err = m.takesLists(ctx); err != nil {
			return nil, m.failed("scoring", err)
		}
	}
	if !together { // one after another; those of other items are in flight meanwhile
		for i, text := range texts {
			var err error
			if out[i], err = m.Score(ctx, ScoreRequest{PromptIDs: promptIDs, TextIDs: text, Truncate: truncate}); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	err := m.reader.readAll(ctx, m, q, func(k int, positions []position) (err error) {
		out[places[k]], err = m.tokens.distributions(positions[len(promptIDs):], truncate.TopK, truncate)
		return err
	})
	if err != nil {
		return nil, m.failed("scoring", err)
	}
	return out, nil
}

// question is a text to be read, or several (more), with topK alternatives at each position. A probe takes a reply of another
// shape as an answer: the server does not know this way.
type question struct {
	ids   []int32
	more  [][]int32
	topK  int
	probe bool
}

// texts are those of the question.
func (q question) texts() [][]int32 {
	if q.more != nil {
		return q.more
	}
	return [][]int32{q.ids}
}

// prompt is what /v1/completions takes: the ids of a text, or a list of texts.
func (q question) prompt() any {
	if q.more != nil {
		return q.more
	}
	return q.ids
}

// reader is one way of teacher forcing.
type reader struct {
	kind string // of the servers that are known for it
	name string
	// lists says that it may ask for several texts in one request.
	lists bool
	// readAll asks and hands the positions of each text, the first of which has no entries, to use.
	readAll func(ctx context.Context, m *Model, q question, use func(i int, positions []position) error) error
}

// read is readAll of one text.
func (r reader) read(ctx context.Context, m *Model, q question, use func([]position) error) error {
	return r.readAll(ctx, m, q, func(_ int, positions []position) error { return use(positions) })
}

// readers are tried in this order.
var readers = []reader{
	{VLLM, "prompt_logprobs", true, readPromptLogProbs},
	{SGLang, "input log-probs (/generate)", false, readInputLogProbs},
	{"", "echo with logprobs", true, readEcho(0)},
	{"", "echo with logprobs and one new token", true, readEcho(1)},
}

// completionRequest is the body of /v1/completions.
type completionRequest struct {
	Model string `json:"model"`
	// Prompt is a []int32, or a [][]int32 for several.
	Prompt         any     `json:"prompt"`
	MaxTokens      int     `json:"max_tokens"`
	Temperature    float64 `json:"temperature"`
	LogProbs       *int    `json:"logprobs,omitempty"`
	PromptLogProbs *int    `json:"prompt_logprobs,omitempty"`
	Echo           bool    `json:"echo,omitempty"`
	AsIDs          bool    `json:"return_tokens_as_token_ids,omitempty"`
	*samplingRequest
}

// readPromptLogProbs is vLLM's way, and that of our own server, which need not write a token besides.
func readPromptLogProbs(ctx context.Context, m *Model, q question, use func(int, []position) error) error {
	body := completionRequest{Model: m.options.Model, Prompt: q.prompt(), MaxTokens: m.fewest, PromptLogProbs: &q.topK}
	return m.ask(ctx, "/v1/completions", body, q.probe, func(reply []byte) error {
		c, err := choices(reply, q)
		for i := 0; i < len(c) && err == nil; i++ {
			var positions []position
			if positions, err = m.tokens.promptPositions(c[i].PromptLogProbs, q.texts()[i]); err == nil {
				err = use(i, positions)
			}
		}
		return err
	})
}

// choices are a reply's, one for each text in their order.
func choices(reply []byte, q question) ([]choice, error) {
	var c completion
	if err := decode(reply, &c); err != nil {
		return nil, err
	}
	if err := c.are(len(q.texts())); err != nil {
		return nil, err
	}
	return c.Choices, nil
}

// readEcho is the way of servers that repeat the prompt with its log-probs. The reply must repeat exactly the ids.
func readEcho(more int) func(context.Context, *Model, question, func(int, []position) error) error {
	return func(ctx context.Context, m *Model, q question, use func(int, []position) error) error {
		body := completionRequest{Model: m.options.Model, Prompt: q.prompt(), MaxTokens: more, LogProbs: &q.topK, Echo: true, AsIDs: true}
		return m.ask(ctx, "/v1/completions", body, q.probe, func(reply []byte) error {
			c, err := choices(reply, q)
			for i := 0; i < len(c) && err == nil; i++ {
				var positions []position
				if positions, err = m.echoed(c[i], q.texts()[i], more); err == nil {
					err = use(i, positions)
				}
			}
			return err
		})
	}
}

// echoed are the positions of ids in a choice that repeats them, and has at most so many tokens more.
func (m *Model) echoed(c choice, ids []int32, more int) ([]position, error) {
	positions, err := m.tokens.positions(c.LogProbs)
	if err != nil {
		return nil, err
	}
	if n := len(positions); n < len(ids) || n > len(ids)+more {
		return nil, fmt.Errorf("echo returned %d tokens for %d", n, len(ids))
	}
	for i, id := range ids {
		if positions[i].id != id {
			return nil, fmt.Errorf("echo returned token %d at position %d, want %d", positions[i].id, i, id)
		}
	}
	return positions[:len(ids)], nil
}
