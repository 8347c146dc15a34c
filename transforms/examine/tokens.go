package examine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/profuser/profuser/fusion/harness"
	"github.com/profuser/profuser/models/tokenizer"
)

// errTooLong means that a continuation alone does not fit the model's context.
var errTooLong = errors.New(CodeTooLong)

// encode gives a text's tokens with what the tokenizer puts around a text by itself, unless the text begins with it.
func encode(t *tokenizer.Tokenizer, text string) []int32 {
	before := t.Specials()
	if len(before) > 0 && strings.HasPrefix(text, t.Token(before[0])) {
		return t.Encode(text)
	}
	return slices.Concat(before, t.Encode(text), t.SpecialsAfter())
}

// pair gives the tokens of a context and of what follows it: those of both together, cut where the context's own end.
// Together at most room tokens are kept, the last ones; a continuation that leaves no place for one before it is
// errTooLong.
func pair(t *tokenizer.Tokenizer, context, continuation string, room int) (before, after []int32, err error) {
	context, continuation = harness.MoveSpace(context, continuation)
	n := len(encode(t, context))
	whole := encode(t, context+continuation)
	n = min(n, len(whole))
	if n == 0 {
		return nil, nil, fmt.Errorf("the context %q has no tokens", context)
	}
	if len(whole)-n >= room {
		return nil, nil, fmt.Errorf("%w: a continuation of %d tokens and the token before it exceed the context of %d", errTooLong, len(whole)-n, room)
	}
	cut := max(0, len(whole)-room)
	return whole[cut:n], whole[n:], nil
}
