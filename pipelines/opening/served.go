package opening

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/serving"
	"github.com/profuser/profuser/models/serving/transport"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/crossentropy"
	"github.com/profuser/profuser/transforms/generate"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/reward"
)

// remote puts a served model behind the interfaces that the steps declare.
type remote struct {
	*serving.Model
	*conversation
}

// remoteWriter, remoteReader, remoteRewarder and remoteJudge are its views.
type remoteWriter struct{ remote }

func (m remoteWriter) Generate(ctx context.Context, r generate.Request) (generate.Answer, error) {
	a, err := m.Model.Generate(ctx, serving.GenerateRequest{PromptIDs: r.PromptIDs, MaxTokens: r.MaxTokens, Temperature: r.Temperature, TopP: r.TopP, Seed: r.Seed, Truncate: r.Truncate})
	return generate.Answer{IDs: a.IDs, TokenLogProbs: a.TokenLogProbs, TextRank: a.TextRank, Dist: a.Dist}, err
}

type remoteReader struct{ remote }

func (m remoteReader) Score(ctx context.Context, r crossentropy.Request) (crossentropy.Reading, error) {
	s, err := m.Model.Score(ctx, serving.ScoreRequest(r))
	return crossentropy.Reading(s), err
}

type remoteRewarder struct{ remote }

func (m remoteRewarder) Reward(ctx context.Context, r reward.Request) (float64, error) {
	return m.Model.Reward(ctx, serving.RewardRequest{Messages: r.Messages, Text: r.Text, IDs: r.IDs})
}

// remoteJudge is a rewarder that reads texts: its server renders them and knows what is too long.
type remoteJudge struct{ *serving.Model }

func (remoteJudge) Conversation([]schemas.Message, string) ([]int32, error) { return nil, nil }

func (m remoteJudge) Reward(ctx context.Context, r reward.Request) (float64, error) {
	return m.Model.Reward(ctx, serving.RewardRequest{Messages: r.Messages, Text: r.Text})
}

// Connect opens a served model. The key comes from the environment of this process.
func Connect(ctx context.Context, m inflight.Model) (*serving.Model, error) {
	r, err := connect(ctx, m)
	return r.Model, err
}

// connect opens a served model. The key comes from the environment of this process.
func connect(ctx context.Context, m inflight.Model) (r remote, err error) {
	e := m.Endpoint
	if m.Dir != "" {
		if r.conversation, err = chat.Load(m.Dir, FormatOptions(m)); err != nil {
			return r, err
		}
	}
	cache, err := openCache(ctx, e.Cache)
	if err != nil {
		return r, err
	}
	r.Model, err = serving.Open(ctx, serving.Options{
		Name: m.Name, Model: e.Model, Kind: e.Kind, Format: r.conversation, Context: e.Context, Reward: serving.RewardAPI(e.Reward), Criteria: e.Criteria, MaxFailures: e.MaxFailures,
		Transport: transport.Options{
			URLs: strings.Fields(e.URLs), Key: os.Getenv(serving.KeyVariable), Cache: cache,
			Concurrency: e.Concurrency, Timeout: e.Timeout, MaxWait: e.MaxWait, Attempts: e.Attempts,
		},
	})
	return r, err
}

// openCache opens the response cache at a local folder or bucket; nil for "".
func openCache(ctx context.Context, url string) (*transport.Cache, error) {
	switch {
	case url == "":
		return nil, nil
	case !strings.Contains(url, "://"):
		return transport.NewCache(transport.Directory(url)), nil
	}
	store, err := dataset.OpenStore(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("endpoint.cache: %w", err)
	}
	return transport.NewCache(replies{store}), nil
}

// replies is a run's kind of store as a cache's: what is written again replaces what is there.
type replies struct{ dataset.Store }

// Write implements transport.Store.
func (r replies) Write(ctx context.Context, key string, data []byte) error {
	err := r.Create(ctx, key, data)
	if errors.Is(err, dataset.ErrExists) { // damaged, or another process was as fast
		if err = r.Remove(ctx, key); err == nil {
			err = r.Create(ctx, key, data)
		}
	}
	if errors.Is(err, dataset.ErrExists) {
		return nil // another process was faster this time; replies to one request are as good as each other
	}
	return err
}
