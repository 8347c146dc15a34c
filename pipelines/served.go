package pipelines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/serving"
	"github.com/profuser/profuser/models/serving/transport"
	"github.com/profuser/profuser/transforms/crossentropy"
	"github.com/profuser/profuser/transforms/generate"
	"github.com/profuser/profuser/transforms/inflight"
)

// remote puts a served model behind the interfaces that the steps declare.
type remote struct {
	*serving.Model
	*conversation
}

// Reward implements reward.Rewarder.
func (m remote) Reward(ctx context.Context, ids []int32) (float64, error) {
	return m.RewardIDs(ctx, ids)
}

// remoteWriter and remoteReader are the other two views.
type remoteWriter struct{ remote }

func (m remoteWriter) Generate(ctx context.Context, r generate.Request) (generate.Answer, error) {
	a, err := m.Model.Generate(ctx, serving.GenerateRequest{PromptIDs: r.PromptIDs, MaxTokens: r.MaxTokens, Temperature: r.Temperature, TopP: r.TopP, Seed: r.Seed, Truncate: r.Truncate})
	return generate.Answer{IDs: a.IDs, TokenLogProbs: a.TokenLogProbs, TextRank: a.TextRank, Dist: a.Dist}, err
}

type remoteReader struct{ remote }

func (m remoteReader) Score(ctx context.Context, r crossentropy.Request) (crossentropy.Reading, error) {
	s, err := m.Model.Score(ctx, serving.ScoreRequest{PromptIDs: r.PromptIDs, TextIDs: r.TextIDs, Truncate: r.Truncate})
	return crossentropy.Reading{TokenLogProbs: s.TokenLogProbs, TextRank: s.TextRank, Dist: s.Dist}, err
}

// served is the step's description of a model with an endpoint.
func served(m config.Model) inflight.Model {
	e := m.Endpoint
	return inflight.Model{
		Name: m.Name, Dir: m.Tokenizer, Concurrency: e.Concurrency * len(e.URLs),
		ChatTemplate: auto(m.ChatTemplate), EndOfTurn: auto(m.EndOfTurn), BOS: auto(m.BOS),
		Endpoint: inflight.Endpoint{
			URLs: strings.Join(e.URLs, " "), Model: e.Model, Kind: e.Kind, Reward: e.Reward, Cache: e.Cache,
			Concurrency: e.Concurrency, Timeout: e.Timeout, Context: int(m.Context),
		},
	}
}

// connect opens a served model. The key comes from the environment of this process.
func connect(ctx context.Context, m inflight.Model) (remote, error) {
	format, err := chat.Load(m.Dir, formatOptions(m))
	if err != nil {
		return remote{}, err
	}
	e := m.Endpoint
	o := serving.Options{
		Name: m.Name, Model: e.Model, Kind: e.Kind, Format: format, Context: e.Context, Reward: serving.RewardAPI(e.Reward),
		Transport: transport.Options{URLs: strings.Fields(e.URLs), Key: os.Getenv(serving.KeyVariable), Concurrency: e.Concurrency, Timeout: e.Timeout},
	}
	if e.Cache != "" {
		if o.Transport.Cache, err = transport.OpenCache(e.Cache); err != nil {
			return remote{}, err
		}
	}
	s, err := serving.Open(ctx, o)
	return remote{s, format}, err
}

// checkServed asks a model's server for everything that the run will, once and small, and takes the digest of what
// decides its answers as far as that is known here: the tokenizer's files and the names.
func (r *Run) checkServed(ctx context.Context, m inflight.Model, reward bool) (err error) {
	s, err := connect(ctx, m)
	if err != nil {
		return fmt.Errorf("model %s: %w", m.Name, err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	need := serving.Need{Generate: !reward, Score: !reward, Reward: reward, TopK: r.config.Truncate.TopK}
	if err := s.Check(ctx, need); err != nil {
		return err
	}
	digest, err := digestModel(m.Dir)
	if err != nil {
		return fmt.Errorf("model %s: %w", m.Name, err)
	}
	r.checked[m.Name] = checkedModel{
		fingerprint: s.Format().Tokenizer().Fingerprint(), template: s.Format().Digest(), context: s.Context(),
		digest: strings.Join([]string{digest, m.Endpoint.Model, m.Endpoint.Kind}, "\x1f"),
	}
	return nil
}
