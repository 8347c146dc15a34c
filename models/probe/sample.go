package probe

import (
	"context"
	"errors"
	"slices"

	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/schemas"
)

// Question asks for one continuation.
type Question struct {
	// Prompt is the text to continue, tokenised without special tokens; with Chat what the user says.
	Prompt string
	// Chat renders Prompt as a user's turn.
	Chat bool
	// Greedy takes the most probable token at every step; otherwise tokens are drawn at temperature 1.
	Greedy bool
	// Seed of the draws.
	Seed int64
	// MaxTokens is the longest continuation, end-of-turn included, 1 or more; the context may allow less.
	MaxTokens int
}

// Sample is a continuation.
type Sample struct {
	// PromptIDs are the tokens that the model read.
	PromptIDs []int32 `json:"prompt_ids"`
	// IDs are those that it said; the last is an end-of-turn unless it was cut.
	IDs []int32 `json:"ids"`
	// Text is theirs, without end-of-turn.
	Text string `json:"text"`
}

// Continue answers a question.
func Continue(ctx context.Context, e *engine.Engine, q Question) (Sample, error) {
	f := e.Format()
	var s Sample
	if q.Chat {
		var err error
		if s.PromptIDs, err = f.Prompt([]schemas.Message{{Role: "user", Content: q.Prompt}}); err != nil {
			return Sample{}, err
		}
	} else {
		s.PromptIDs = f.Tokenizer().Encode(q.Prompt)
	}
	if len(s.PromptIDs) == 0 {
		return Sample{}, errors.New("the prompt has no tokens, there is nothing to continue")
	}
	r := engine.GenerateRequest{PromptIDs: s.PromptIDs, MaxTokens: q.MaxTokens, Temperature: 1, Seed: q.Seed}
	if room := e.Context() - len(s.PromptIDs); room > 0 {
		r.MaxTokens = min(r.MaxTokens, room)
	}
	if q.Greedy {
		r.Temperature = 0
	}
	g, err := e.Generate(ctx, r)
	if err != nil {
		return Sample{}, err
	}
	s.IDs = g.IDs
	if q.Chat {
		s.Text, _, _ = f.Answer(g.IDs)
		return s, nil
	}
	var content []byte
	for _, id := range g.IDs {
		if slices.Contains(f.StopIDs(), id) {
			break
		}
		content = append(content, f.Tokenizer().Bytes(id)...)
	}
	s.Text = string(content)
	return s, nil
}
