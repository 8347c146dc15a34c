package pipelines

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/profuser/profuser/fusion/verdict"
	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/serving"
	"github.com/profuser/profuser/pipelines/opening"
	"github.com/profuser/profuser/pipelines/wanted"
	"github.com/profuser/profuser/transforms/inflight"
)

// concurrency is the calls in flight to one in-process model: enough for the batches that it computes side by side and
// for one that fills meanwhile.
const concurrency = 128

// model is the step's description of a configured model.
func (r *Run) model(name string) inflight.Model {
	m := r.entry(name)
	if m.Endpoint != nil {
		return served(m)
	}
	return inflight.Model{
		Name: name, Dir: m.Path, Backend: m.Backend, Concurrency: concurrency,
		ChatTemplate: auto(m.ChatTemplate), EndOfTurn: auto(m.EndOfTurn), BOS: auto(m.BOS),
	}
}

// entry is a model's configuration; the trained model and checkpoints have the target's, in their own directories.
func (r *Run) entry(name string) config.Model {
	dir, checkpoint := r.extra.Checkpoints[name]
	m, ok := r.config.Model(name)
	if ok && !checkpoint {
		return m
	}
	m, _ = r.config.Model(r.config.Target.Model)
	m.Name, m.Endpoint, m.Path = name, nil, dir
	if !checkpoint {
		m.Name = wanted.Fused
		m.Path, _ = r.localPath("model")
	}
	return m
}

// auto is "" for a key that says auto, which means the model's own.
func auto(s string) string { return strings.TrimPrefix(s, "auto") }

// served is the step's description of a model with an endpoint.
func served(m config.Model) inflight.Model {
	e := m.Endpoint
	return inflight.Model{
		Name: m.Name, Dir: m.Tokenizer, Concurrency: e.Concurrency * len(e.URLs),
		ChatTemplate: auto(m.ChatTemplate), EndOfTurn: auto(m.EndOfTurn), BOS: auto(m.BOS),
		Endpoint: inflight.Endpoint{
			URLs: strings.Join(e.URLs, " "), Model: e.Model, Kind: e.Kind, Reward: e.Reward, Criteria: e.Criteria, Cache: e.Cache,
			Concurrency: e.Concurrency, Timeout: e.Timeout, MaxWait: e.MaxWait, Attempts: e.Attempts, Context: int(m.Context),
		},
	}
}

// fewestFailures of a server do not end a step early: there is hardly anything left to save.
const fewestFailures = 100

// tolerating is the model for a step with at most records calls: a served one gives up when so many have failed that
// the step must fail on its rejects, instead of rejecting all that is left.
func tolerating(m inflight.Model, maxRejects float64, records int64) inflight.Model {
	if m.Endpoint.URLs != "" {
		m.Endpoint.MaxFailures = max(fewestFailures, int64(dataset.Budget(maxRejects, records)))
	}
	return m
}

// checkServed asks a model's server for everything that the run will, once and small, and takes the digest of what
// decides its answers as far as that is known here: the tokenizer's files and the names.
func (r *Run) checkServed(ctx context.Context, m inflight.Model, need serving.Need) (err error) {
	s, err := opening.Connect(ctx, m)
	if err != nil {
		return fmt.Errorf("model %s: %w", m.Name, err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.Check(ctx, need); err != nil {
		return err
	}
	found := checkedModel{context: s.Context()}
	parts := []string{"", m.Endpoint.Model, m.Endpoint.Kind}
	if m.Dir != "" {
		if parts[0], err = wanted.DigestModel(m.Dir); err != nil {
			return fmt.Errorf("model %s: %w", m.Name, err)
		}
		found.Fingerprint, found.Template = s.Format().Tokenizer().Fingerprint(), s.Format().Digest()
	}
	if need.Reward && serving.RewardAPI(m.Endpoint.Reward) == serving.Judge {
		for _, message := range verdict.ScoreQuestion(m.Endpoint.Criteria, nil, "") {
			parts = append(parts, message.Content)
		}
	}
	found.Digest = strings.Join(parts, "\x1f")
	r.checked[m.Name] = found
	return nil
}
