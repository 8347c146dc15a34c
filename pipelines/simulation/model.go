package main

import (
	"context"
	"hash/maphash"
	"math/rand/v2"
	"slices"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/engine"
)

// trivial is a model whose next token depends on the two before it: one of a few dozen distributions, drawn once.
type trivial struct {
	format *chat.Format
	states [][]float32 // logits [V]
}

// states is how many distributions a trivial model has.
const states = 64

func newTrivial(dir string, seed uint64) (*trivial, error) {
	format, err := chat.Load(dir, chat.Options{})
	if err != nil {
		return nil, err
	}
	m := &trivial{format: format}
	random := rand.New(rand.NewPCG(seed, 1))
	for i := range states {
		logits := make([]float32, m.VocabSize())
		for id := range logits {
			logits[id] = float32(2 * random.NormFloat64())
			if b := format.Tokenizer().Bytes(int32(id)); id < 6 || len(b) == 0 || b[0] >= 128 {
				logits[id] = -9 // special tokens and halves of characters
			}
		}
		if i%8 == 0 {
			logits[format.StopIDs()[0]] = 12
		}
		m.states = append(m.states, logits)
	}
	return m, nil
}

func (m *trivial) Format() *chat.Format { return m.format }
func (m *trivial) Context() int         { return 512 }
func (m *trivial) VocabSize() int       { return m.format.Tokenizer().Size() }

// seed makes the same states follow the same tokens in every request of a process.
var seed = maphash.MakeSeed()

// after is the distribution after some tokens, at least one.
func (m *trivial) after(ids []int32) []float32 {
	last := [2]int32{ids[max(0, len(ids)-2)], ids[len(ids)-1]}
	return m.states[maphash.Comparable(seed, last)%states]
}

// Generate takes the most probable token each time.
func (m *trivial) Generate(ctx context.Context, r engine.GenerateRequest) (out engine.GenerateResult, err error) {
	all := slices.Clone(r.PromptIDs)
	for range r.MaxTokens {
		logits := m.after(all)
		best := int32(0)
		for id, x := range logits {
			if x > logits[best] {
				best = int32(id)
			}
		}
		all = append(all, best)
		if out.Stopped = best == m.format.StopIDs()[0]; out.Stopped {
			break
		}
	}
	out.IDs = all[len(r.PromptIDs):]
	s, err := m.Score(ctx, engine.ScoreRequest{PromptIDs: r.PromptIDs, TextIDs: out.IDs, Truncate: r.Truncate})
	out.TokenLogProbs, out.TextRank, out.Dist = s.TokenLogProbs, s.TextRank, s.Dist
	return out, err
}

// Score reads a text.
func (m *trivial) Score(_ context.Context, r engine.ScoreRequest) (out engine.ScoreResult, err error) {
	if len(r.TextIDs) == 0 {
		return out, nil
	}
	all := slices.Concat(r.PromptIDs, r.TextIDs)
	flat := make([]float32, 0, len(r.TextIDs)*m.VocabSize())
	for i := range r.TextIDs {
		flat = append(flat, m.after(all[:len(r.PromptIDs)+i])...)
	}
	logits := dist.Logits(flat, len(r.TextIDs), m.VocabSize())
	out.Dist, out.TokenLogProbs, out.TextRank, err = dist.FromLogits(logits, r.TextIDs, r.Truncate)
	return out, err
}

// Reward is a number that looks like chance.
func (m *trivial) Reward(_ context.Context, ids []int32) (float64, error) {
	n := 0
	for _, id := range ids {
		n = n*31 + int(id)
	}
	return float64(uint(n)%977) / 100, nil
}
