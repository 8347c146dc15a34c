package opening

import (
	"context"
	"sync"

	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/models/serving"
	"github.com/profuser/profuser/transforms/crossentropy"
	"github.com/profuser/profuser/transforms/generate"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/judge"
	"github.com/profuser/profuser/transforms/reward"
)

// conversation is a model's way from messages to tokens and back; embedded, it is half of each interface.
type conversation = chat.Format

// inProcess puts an engine behind the interfaces that the steps declare.
type inProcess struct {
	*engine.Engine
	*conversation
	release func() error
}

func (m inProcess) Close() error { return m.release() }

// writer, reader and rewarder are the three views of a model.
type writer struct{ inProcess }

func (m writer) Generate(ctx context.Context, r generate.Request) (generate.Answer, error) {
	a, err := m.Engine.Generate(ctx, engine.GenerateRequest{PromptIDs: r.PromptIDs, MaxTokens: r.MaxTokens, Temperature: r.Temperature, TopP: r.TopP, Seed: r.Seed, Truncate: r.Truncate})
	return generate.Answer{IDs: a.IDs, TokenLogProbs: a.TokenLogProbs, TextRank: a.TextRank, Dist: a.Dist}, err
}

type reader struct{ inProcess }

func (m reader) Score(ctx context.Context, r crossentropy.Request) (crossentropy.Reading, error) {
	s, err := m.Engine.Score(ctx, engine.ScoreRequest(r))
	return crossentropy.Reading(s), err
}

type rewarder struct{ inProcess }

func (m rewarder) Reward(ctx context.Context, r reward.Request) (float64, error) {
	return m.Engine.Reward(ctx, r.IDs)
}

func (m rewarder) Rewards(ctx context.Context, requests []reward.Request) ([]float64, error) {
	var conversations [][]int32
	for _, r := range requests {
		conversations = append(conversations, r.IDs)
	}
	return m.Engine.RewardAll(ctx, conversations)
}

// engines shares one engine between the views of a model.
var engines struct {
	sync.Mutex
	open map[inflight.Model]*shared
}

type shared struct {
	engine *engine.Engine
	users  int
}

// acquire opens a model or takes the one that is open.
func acquire(m inflight.Model) (inProcess, error) {
	engines.Lock()
	defer engines.Unlock()
	s := engines.open[m]
	if s == nil {
		e, err := engine.Open(m.Dir, engine.Options{Backend: m.Backend, Format: FormatOptions(m)})
		if err != nil {
			return inProcess{}, err
		}
		s = &shared{engine: e}
		if engines.open == nil {
			engines.open = map[inflight.Model]*shared{}
		}
		engines.open[m] = s
	}
	s.users++
	return inProcess{s.engine, s.engine.Format(), func() error {
		engines.Lock()
		defer engines.Unlock()
		if s.users--; s.users > 0 {
			return nil
		}
		delete(engines.open, m)
		return s.engine.Close()
	}}, nil
}

// FormatOptions are what a model's description overrides of its directory.
func FormatOptions(m inflight.Model) chat.Options {
	return chat.Options{ChatTemplate: m.ChatTemplate, EndOfTurn: m.EndOfTurn, BOS: m.BOS}
}

// Use tells the steps how models are opened: in process, or at their endpoints. Workers call it too.
func Use() {
	generate.Models.Use(func(ctx context.Context, m inflight.Model) (generate.Generator, error) {
		if m.Endpoint.URLs != "" {
			s, err := connect(ctx, m)
			return remoteWriter{s}, err
		}
		p, err := acquire(m)
		return writer{p}, err
	})
	crossentropy.Models.Use(func(ctx context.Context, m inflight.Model) (crossentropy.Scorer, error) {
		if m.Endpoint.URLs != "" {
			s, err := connect(ctx, m)
			return remoteReader{s}, err
		}
		p, err := acquire(m)
		return reader{p}, err
	})
	judge.Models.Use(openJudge)
	reward.Models.Use(func(ctx context.Context, m inflight.Model) (reward.Rewarder, error) {
		if m.Endpoint.URLs != "" {
			s, err := connect(ctx, m)
			if serving.RewardAPI(m.Endpoint.Reward).ReadsText() {
				return remoteJudge{s.Model}, err
			}
			return remoteRewarder{s}, err
		}
		p, err := acquire(m)
		return rewarder{p}, err
	})
}
