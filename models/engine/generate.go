package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/models/chat"
)

// GenerateRequest asks for one continuation.
type GenerateRequest struct {
	// PromptIDs are the tokens before the answer, at least one.
	PromptIDs []int32
	// MaxTokens is the longest answer in tokens, end-of-turn included.
	MaxTokens int
	// Temperature divides the logits before sampling; 0 takes the most probable token.
	Temperature float64
	// TopK keeps the most probable tokens, so many; 0 keeps all.
	TopK int
	// TopP keeps the smallest set of tokens whose probability reaches it, in (0, 1]; 0 means 1.
	TopP float64
	// MinP keeps the tokens that are at least so probable as this share of the most probable one, in [0, 1].
	MinP float64
	// RepetitionPenalty divides the positive logits of tokens that the prompt or the answer holds already, and multiplies
	// the negative ones; 0 means 1.
	RepetitionPenalty float64
	// Stop are texts that end the answer where its bytes first hold one.
	Stop []string
	// Seed of this request's random numbers.
	Seed int64
	// Truncate says which entries of each distribution are kept.
	Truncate dist.Truncate
	// Emit, if set, sees the result so far after each token, from another goroutine; it must not wait nor keep the result.
	Emit func(soFar *GenerateResult)
}

// GenerateResult is an answer of T tokens with the model's distributions at temperature 1, whatever the sampling.
type GenerateResult struct {
	// IDs [T] are the tokens; the last is a stop id when Stopped.
	IDs []int32
	// TokenLogProbs [T] are their log-probs in nats.
	TokenLogProbs []float32
	// TextRank [T] is each token's place among the stored entries, -1 if it was added to them.
	TextRank []int32
	// Dist holds the T distributions.
	Dist dist.Sparse
	// Stopped is true when the model ended its turn or the answer holds StopText, false when it was cut at MaxTokens.
	Stopped bool
	// StopText is the text of Stop that ended the answer, which ends before it, within the last token or some before; "" if
	// none did.
	StopText string
}

// Generate continues a prompt. A prompt and MaxTokens over the context are ErrTooLong.
func (e *Engine) Generate(ctx context.Context, r GenerateRequest) (GenerateResult, error) {
	if len(r.PromptIDs) == 0 || r.MaxTokens < 1 {
		return GenerateResult{}, fmt.Errorf("generating with %s: %d prompt tokens and at most %d new ones; both must be positive", e.dir, len(r.PromptIDs), r.MaxTokens)
	}
	if err := r.check(); err != nil {
		return GenerateResult{}, fmt.Errorf("generating with %s: %w", e.dir, err)
	}
	if err := e.fits(len(r.PromptIDs)+r.MaxTokens, r.PromptIDs); err != nil {
		return GenerateResult{}, err
	}
	return e.generate.do(ctx, r)
}

// check refuses sampling parameters outside their ranges.
func (r GenerateRequest) check() error {
	switch {
	case !(r.Temperature >= 0):
		return fmt.Errorf("temperature %g must not be negative", r.Temperature)
	case r.TopK < 0:
		return fmt.Errorf("top_k %d must not be negative", r.TopK)
	case !(r.TopP >= 0 && r.TopP <= 1):
		return fmt.Errorf("top_p %g must lie in (0, 1]", r.TopP)
	case !(r.MinP >= 0 && r.MinP <= 1):
		return fmt.Errorf("min_p %g must lie in [0, 1]", r.MinP)
	case !(r.RepetitionPenalty >= 0) || math.IsInf(r.RepetitionPenalty, 1):
		return fmt.Errorf("repetition_penalty %g must be positive", r.RepetitionPenalty)
	case slices.Contains(r.Stop, ""):
		return errors.New("a stop text is empty")
	}
	return nil
}

// generation is one request on its way.
type generation struct {
	request GenerateRequest
	ctx     context.Context
	arrived time.Time
	random  *rand.Rand
	// said is the end of the answer's text, long enough to find a stop text that the next token completes.
	said   []byte
	result GenerateResult
	ended  bool
	err    error
	done   chan struct{} // closed when result and err are final
}

func newGeneration(ctx context.Context, r GenerateRequest) *generation {
	return &generation{request: r, ctx: ctx, arrived: time.Now(), random: rand.New(rand.NewPCG(uint64(r.Seed), 1)), done: make(chan struct{})}
}

func (g *generation) samePrompt(other *generation) bool {
	return slices.Equal(g.request.PromptIDs, other.request.PromptIDs)
}

// finish makes the result, or err, final.
func (g *generation) finish(err error) {
	g.err = err
	close(g.done)
}

// take draws one token from logits [V] and records its distribution. Ids that the tokenizer does not have, with which
// models pad their vocabulary, keep their log-probs but are never drawn: they stand for no text. It may change logits.
func (g *generation) take(logits []float32, format *chat.Format) (int32, error) {
	scores := logits[:format.Tokenizer().Size()]
	if p := g.request.RepetitionPenalty; p != 0 && p != 1 {
		scores = slices.Clone(scores)
		penalise(scores, p, g.request.PromptIDs, g.result.IDs)
	}
	id := sample(scores, g.request.sampling(), g.random)
	block := dist.Logits(logits, 1, len(logits))
	d, logprobs, rank, err := dist.FromLogits(block, []int32{id}, g.request.Truncate)
	if err != nil {
		return 0, err
	}
	r := &g.result
	r.IDs = append(r.IDs, id)
	r.TokenLogProbs = append(r.TokenLogProbs, logprobs...)
	r.TextRank = append(r.TextRank, rank...)
	r.Dist.Append(d.IDs, d.LogProbs)
	if r.Stopped = slices.Contains(format.StopIDs(), id); !r.Stopped && len(g.request.Stop) > 0 {
		g.stopAt(format.Tokenizer().Bytes(id))
	}
	g.ended = r.Stopped || len(r.IDs) == g.request.MaxTokens
	if g.request.Emit != nil {
		g.request.Emit(r)
	}
	return id, nil
}

// stopAt ends the answer if the bytes of its last token complete a stop text: the one that begins first, on ties the
// longest.
func (g *generation) stopAt(token []byte) {
	g.said = append(g.said, token...)
	first, longest := len(g.said), 0
	for _, stop := range g.request.Stop {
		longest = max(longest, len(stop))
		if at := bytes.Index(g.said, []byte(stop)); at >= 0 && (at < first || (at == first && len(stop) > len(g.result.StopText))) {
			first = at
			g.result.Stopped, g.result.StopText = true, stop
		}
	}
	if spare := len(g.said) - longest; spare > 0 {
		g.said = g.said[spare:]
	}
}
