package serving

import (
	"context"
	"fmt"

	"github.com/profuser/profuser/fusion/verdict"
	"github.com/profuser/profuser/schemas"
)

// ChatRequest asks a chat model for an answer, rendered by the server's own template.
type ChatRequest struct {
	// Messages is the conversation.
	Messages []schemas.Message
	// MaxTokens is the longest answer in tokens.
	MaxTokens int
	// Temperature of sampling; 0 is greedy.
	Temperature float64
	// Seed of this request's random numbers.
	Seed int64
	// TopLogProbs is the number of alternatives at each position; 0 asks for none.
	TopLogProbs int
}

// ChatAnswer is what a chat model said.
type ChatAnswer struct {
	// Text of the answer, and whether the model ended it itself.
	Text    string
	Stopped bool
	// IDs [T] are its tokens, if TopLogProbs were asked for.
	IDs []int32
}

// chatReply is the part of /v1/chat/completions' reply that we read.
type chatReply struct {
	Choices []struct {
		Message struct {
			Content *string `json:"content"`
		} `json:"message"`
		FinishReason string        `json:"finish_reason"`
		LogProbs     *listLogProbs `json:"logprobs"`
	} `json:"choices"`
}

// Chat asks /v1/chat/completions. Which tokens the conversation becomes is up to the server: data for fusion comes from
// Generate instead.
func (m *Model) Chat(ctx context.Context, r ChatRequest) (a ChatAnswer, err error) {
	body := map[string]any{
		"model": m.options.Model, "messages": r.Messages, "max_tokens": r.MaxTokens, "temperature": r.Temperature, "seed": r.Seed,
	}
	if r.TopLogProbs > 0 {
		body["logprobs"], body["top_logprobs"] = true, r.TopLogProbs
	}
	err = m.ask(ctx, "/v1/chat/completions", body, false, func(reply []byte) error {
		a, err = m.readChat(reply, r)
		return err
	})
	if err != nil {
		return ChatAnswer{}, m.failed("chatting", err)
	}
	return a, nil
}

func (m *Model) readChat(reply []byte, r ChatRequest) (a ChatAnswer, err error) {
	var c chatReply
	if err := decode(reply, &c); err != nil {
		return a, err
	}
	if len(c.Choices) != 1 || c.Choices[0].Message.Content == nil {
		return a, fmt.Errorf("%d choices, want one with content", len(c.Choices))
	}
	got := c.Choices[0]
	a = ChatAnswer{Text: *got.Message.Content, Stopped: got.FinishReason == "stop"}
	if r.TopLogProbs == 0 {
		return a, nil
	}
	if got.LogProbs == nil {
		return a, fmt.Errorf("no log-probs in the reply")
	}
	positions, err := m.tokens.fromList(*got.LogProbs)
	if err != nil {
		return a, err
	}
	for _, p := range positions {
		a.IDs = append(a.IDs, p.id)
	}
	if len(a.IDs) > r.MaxTokens || !m.tokens.sameText(a.IDs, a.Text) && !(m.stops(positions) && m.tokens.sameText(a.IDs[:len(a.IDs)-1], a.Text)) {
		return a, fmt.Errorf("the text %.80q is not that of its %d tokens", a.Text, len(a.IDs))
	}
	return a, nil
}

// judge lets a chat model score an answer.
func (m *Model) judge(ctx context.Context, r RewardRequest) (float64, error) {
	var score float64
	body := map[string]any{
		"model": m.options.Model, "max_tokens": 512, "temperature": 0, "seed": 0, "messages": verdict.ScoreQuestion(m.options.Criteria, r.Messages, r.Text),
	}
	err := m.ask(ctx, "/v1/chat/completions", body, false, func(reply []byte) error {
		a, err := m.readChat(reply, ChatRequest{})
		if err != nil {
			return err
		}
		if score, err = verdict.ReadScore(a.Text); err != nil {
			return &otherReply{err} // greedy: the same question would bring the same answer
		}
		return nil
	})
	return score, err
}
