package opening

import (
	"context"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/models/serving"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/judge"
)

// speaker is a model in the process as a judge that compares.
type speaker struct{ inProcess }

// Say implements judge.Judge.
func (m speaker) Say(ctx context.Context, messages []schemas.Message, maxTokens int) (string, error) {
	ids, err := m.Prompt(messages)
	if err != nil {
		return "", &judge.Refusal{Code: judge.CodeTemplate, Cause: err}
	}
	room := min(maxTokens, m.Engine.Context()-len(ids))
	if room < min(maxTokens, judge.LeastReply) {
		return "", judge.TooLong(len(ids), m.Engine.Context())
	}
	a, err := m.Engine.Generate(ctx, engine.GenerateRequest{PromptIDs: ids, MaxTokens: room, Truncate: dist.Truncate{Mass: 1, TopK: 1}})
	if err != nil {
		return "", err
	}
	text, _, _ := m.Answer(a.IDs)
	return text, nil
}

// remoteSpeaker is a served one; its server renders the question and knows what is too long.
type remoteSpeaker struct{ *serving.Model }

// Say implements judge.Judge.
func (m remoteSpeaker) Say(ctx context.Context, messages []schemas.Message, maxTokens int) (string, error) {
	a, err := m.Chat(ctx, serving.ChatRequest{Messages: messages, MaxTokens: maxTokens})
	return a.Text, err
}

// openJudge opens a judge that compares.
func openJudge(ctx context.Context, m inflight.Model) (judge.Judge, error) {
	if m.Endpoint.URLs != "" {
		s, err := connect(ctx, m)
		return remoteSpeaker{s.Model}, err
	}
	p, err := acquire(m)
	return speaker{p}, err
}
