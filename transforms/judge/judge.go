package judge

import (
	"context"
	"fmt"
	"io"

	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/inflight"
)

// Judge is a chat model. All methods are for concurrent use; a reply does not depend on what else is in flight.
type Judge interface {
	io.Closer
	// Say is the greedy answer to a conversation, of at most maxTokens. A conversation that the model cannot read is a
	// *Refusal, or another error with a method Reject.
	Say(ctx context.Context, messages []schemas.Message, maxTokens int) (string, error)
}

// Refusal says that one question cannot be asked; the others can.
type Refusal struct {
	// Code is CodeTooLong or CodeTemplate.
	Code string
	// Cause is what the model's side said.
	Cause error
}

// Error is the cause's text.
func (r *Refusal) Error() string { return r.Cause.Error() }

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Cause }

// Reject is the code and the attempts, as a step's rejects have them.
func (r *Refusal) Reject() (code string, attempts int) { return r.Code, 1 }

// TooLong is the refusal of a question of n tokens, which leaves no room for a reply.
func TooLong(n, context int) error {
	return &Refusal{CodeTooLong, fmt.Errorf("question of %d tokens leaves less than %d for the reply in the context of %d", n, LeastReply, context)}
}

// Models holds the judges of this process.
var Models inflight.Models[Judge]
