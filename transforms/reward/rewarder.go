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
	// Conversation returns the tokens of the conversation with text as its last assistant turn, no generation prompt.
	Conversation(messages []schemas.Message, text string) ([]int32, error)
	// Context is the largest number of tokens.
	Context() int
	// Reward returns the raw logit at the last token.
	Reward(ctx context.Context, ids []int32) (float64, error)
}

// Models holds the reward models of this process.
var Models inflight.Models[Rewarder]
