package examine

import (
	"context"
	"io"

	"github.com/profuser/profuser/models/tokenizer"
	"github.com/profuser/profuser/transforms/inflight"
)

// Model scores and continues tokens. All methods are for concurrent use.
type Model interface {
	io.Closer
	// Tokenizer is the model's.
	Tokenizer() *tokenizer.Tokenizer
	// StopIDs end what the model writes.
	StopIDs() []int32
	// Context is the largest number of tokens, context and text together.
	Context() int
	// ScoreAll returns the log-probs of the tokens of each of several texts after one context, in nats.
	ScoreAll(ctx context.Context, contextIDs []int32, texts [][]int32) ([][]float32, error)
	// Write continues a context greedily with at most so many tokens, until a stop id or, if the model can tell, one of
	// the texts.
	Write(ctx context.Context, contextIDs []int32, atMost int, stops []string) ([]int32, error)
}

// Models holds the models of this process.
var Models inflight.Models[Model]
