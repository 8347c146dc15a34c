package generate

import (
	"context"
	"io"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/inflight"
)

// Generator answers prompts. All methods are for concurrent use; the answer to a request does not depend on what else
// is in flight.
type Generator interface {
	io.Closer
	// Prompt returns the tokens of the rendered conversation, generation prompt included.
	Prompt(messages []schemas.Message) ([]int32, error)
	// Answer returns the text of generated tokens, the byte where each begins, and whether they end with end-of-turn.
	Answer(ids []int32) (text string, starts []int32, closed bool)
	// Context is the largest number of tokens, prompt and answer together.
	Context() int
	// Generate continues a prompt.
	Generate(ctx context.Context, r Request) (Answer, error)
}

// Request asks for one answer.
type Request struct {
	// PromptIDs are the rendered prompt's tokens.
	PromptIDs []int32
	// MaxTokens is the longest answer in tokens, end-of-turn included.
	MaxTokens int
	// Temperature and TopP shape the sampling; temperature 0 is greedy.
	Temperature, TopP float64
	// Seed of the request's random numbers.
	Seed int64
	// Truncate says which entries of each distribution are kept.
	Truncate dist.Truncate
}

// Answer is what a Generator said: T tokens, end-of-turn included when the model ended its turn.
type Answer struct {
	// IDs [T] are the tokens.
	IDs []int32
	// TokenLogProbs [T] are their log-probs in nats, at temperature 1.
	TokenLogProbs []float32
	// TextRank [T] is each token's place among the stored entries, -1 if it was added to them.
	TextRank []int32
	// Dist holds the T distributions.
	Dist dist.Sparse
}

// Models holds the generators of this process.
var Models inflight.Models[Generator]
