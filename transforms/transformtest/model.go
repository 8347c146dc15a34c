package transformtest

import (
	"context"
	"fmt"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/transforms/crossentropy"
	"github.com/profuser/profuser/transforms/generate"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/reward"
)

// Model answers "The answer is n." where n follows from the prompt's tokens, and gives every token of a text the
// log-prob LogProb, with one other entry of -4 beside it.
type Model struct {
	*chat.Format
	// LogProb of each token of a text, in (-4, -0.02]: nearer to 0 is a better reader.
	LogProb float32
	// Tokens is the context.
	Tokens int
	// Fail, if set, is the error of every call.
	Fail error
}

// Use makes Generate, Score and Reward run on such models: a Model of the directory's tokenizer, changed by set.
func Use(set func(name string, m *Model)) {
	open := func(m inflight.Model) (*Model, error) {
		f, err := chat.Load(m.Dir, chat.Options{})
		if err != nil {
			return nil, err
		}
		model := &Model{Format: f, LogProb: -0.0625, Tokens: 4096}
		if set != nil {
			set(m.Name, model)
		}
		return model, nil
	}
	generate.Models.Use(func(_ context.Context, m inflight.Model) (generate.Generator, error) { return open(m) })
	crossentropy.Models.Use(func(_ context.Context, m inflight.Model) (crossentropy.Scorer, error) { return open(m) })
	reward.Models.Use(func(_ context.Context, m inflight.Model) (reward.Rewarder, error) { return open(m) })
}

// Close forgets the models that steps have opened.
func Close() error {
	for _, c := range []func() error{generate.Models.Close, crossentropy.Models.Close, reward.Models.Close} {
		if err := c(); err != nil {
			return err
		}
	}
	return nil
}

// Close implements io.Closer.
func (*Model) Close() error { return nil }

// Context is the largest number of tokens.
func (m *Model) Context() int { return m.Tokens }

// Generate answers by the sum of the prompt's tokens.
func (m *Model) Generate(_ context.Context, r generate.Request) (generate.Answer, error) {
	if m.Fail != nil {
		return generate.Answer{}, m.Fail
	}
	ids := append(m.Tokenizer().EncodeMidText(fmt.Appendf(nil, "The answer is %d.", sum(r.PromptIDs)%100)), m.EndOfTurn())
	ids = ids[:min(len(ids), r.MaxTokens)]
	logProbs, rank, d := m.distributions(ids)
	return generate.Answer{IDs: ids, TokenLogProbs: logProbs, TextRank: rank, Dist: d}, nil
}

// Score reads a text.
func (m *Model) Score(_ context.Context, r crossentropy.Request) (crossentropy.Reading, error) {
	logProbs, rank, d := m.distributions(r.TextIDs)
	return crossentropy.Reading{TokenLogProbs: logProbs, TextRank: rank, Dist: d}, m.Fail
}

// Reward scores a conversation by its tokens: between 0 and 1, the same for the same tokens.
func (m *Model) Reward(_ context.Context, r reward.Request) (float64, error) {
	return float64(sum(r.IDs)%64) / 64, m.Fail
}

func (m *Model) distributions(text []int32) (logProbs []float32, rank []int32, d dist.Sparse) {
	for _, id := range text {
		other := (id + 1) % int32(m.Tokenizer().Size())
		logProbs, rank = append(logProbs, m.LogProb), append(rank, 0)
		d.Counts, d.IDs, d.LogProbs = append(d.Counts, 2), append(d.IDs, id, other), append(d.LogProbs, m.LogProb, -4)
	}
	return logProbs, rank, d
}

func sum(ids []int32) (n int) {
	for _, id := range ids {
		n += int(id)
	}
	return n
}
