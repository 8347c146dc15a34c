package crossentropy

import (
	"context"
	"io"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/inflight"
)

// Scorer reads given texts. All methods are for concurrent use.
type Scorer interface {
	io.Closer
	// Encode renders the conversation with text as its last assistant turn and finds the text's tokens.
	Encode(messages []schemas.Message, text string, closed bool) (chat.Encoded, error)
	// Context is the largest number of tokens, prompt and text together.
	Context() int
	// Score returns the log-probs of the text's tokens.
	Score(ctx context.Context, r Request) (Reading, error)
}

// Request asks for one reading.
type Request struct {
	// PromptIDs are the tokens before the text, TextIDs [T] the text's.
	PromptIDs, TextIDs []int32
	// Truncate says which entries of each distribution are kept.
	Truncate dist.Truncate
}

// Reading is what a Scorer thinks of T tokens.
type Reading struct {
	// TokenLogProbs [T] in nats.
	TokenLogProbs []float32
	// TextRank [T] is each token's place among the stored entries, -1 if it was added to them.
	TextRank []int32
	// Dist holds the T distributions.
	Dist dist.Sparse
}

// Nats is the cross-entropy of the text: the negative sum of its log-probs.
func (r Reading) Nats() float64 {
	var nats float64
	for _, logProb := range r.TokenLogProbs {
		nats -= float64(logProb)
	}
	return max(nats, 0)
}

// Models holds the scorers of this process.
var Models inflight.Models[Scorer]
