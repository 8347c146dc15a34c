package reward

import (
	"context"
	"io"

	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/inflight"
)

// Rewarder scores answers. All methods are for concurrent use.
type Rewarder interface {
	io.Closer
	// Conversation returns the tokens of the conversation with text as its last assistant turn, no generation prompt;
	// none if the model reads the text itself.
	Conversation(messages []schemas.Message, text string) ([]int32, error)
	// Context is the largest number of tokens.
	Context() int
	// Reward returns the raw logit at the last token, or a judge's number.
	Reward(ctx context.Context, r Request) (float64, error)
}

// Group is a Rewarder that scores the answers of one prompt together, which for it is less work than one after the other.
type Group interface {
	Rewarder
	// Rewards returns Reward of each.
	Rewards(ctx context.Context, requests []Request) ([]float64, error)
}

// Request is an answer to be scored.
type Request struct {
	// Messages is the conversation, Text the answer.
	Messages []schemas.Message
	Text     string
	// IDs are what Conversation made of them.
	IDs []int32
}

// Models holds the reward models of this process.
var Models inflight.Models[Rewarder]
