package reward

import (
	"context"
	"fmt"
	"math"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/sink"
)

func init() { sink.Register[Step]() }

// Codes of rejects.
const (
	// CodeTooLong: the conversation does not fit the model's context.
	CodeTooLong = "too_long"
	// CodeTemplate: the model's chat template refuses the conversation.
	CodeTemplate = "template"
	// CodeNotFinite: the model's score is no finite number.
	CodeNotFinite = "not_finite"
)

// Step lets one reward model score every response.
type Step struct {
	// Judge is the reward model.
	Judge inflight.Model
	// Prompts and Output are names of datasets; Generations lists one for each source, in the configured order.
	Prompts     string
	Generations []string
	Output      string
	// Footer is what every part says of itself: digests.
	Footer dataset.Footer
}

// Reward scores the responses of each part: PCollection<sink.Part> -> PCollection<sink.Done>. url is the store's
// address, open the cap on parts held in memory.
func Reward(s beam.Scope, step Step, url string, open int, parts beam.PCollection) beam.PCollection {
	s = s.Scope("reward.Reward")
	return sink.Write(s, step, url, open, parts)
}

// Name implements sink.Step.
func (Step) Name() string { return "reward" }

// Datasets implements sink.Step.
func (s Step) Datasets() []string { return []string{s.Output} }

// response is one answer with its prompt.
type response struct {
	prompt *schemas.Prompt
	answer *schemas.Generation
}

// Make implements sink.Step.
func (s Step) Make(ctx context.Context, in *sink.Inputs, part int, tally *sink.Tally) ([][]byte, error) {
	responses, inputs, err := s.read(ctx, in, part)
	if err != nil {
		return nil, err
	}
	model, err := Models.Get(ctx, s.Judge)
	if err != nil {
		return nil, err
	}
	rows, rejects := make([]*schemas.Reward, len(responses)), make([]*schemas.Rejected, len(responses))
	feed, calls := s.Judge.Calls()
	err = inflight.Rows(ctx, feed, calls, len(responses), func(ctx context.Context, i int) error {
		var err error
		if rows[i], rejects[i], err = s.score(ctx, model, responses[i]); err == nil {
			tally.Row(rejects[i] != nil)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	footer := s.Footer
	footer.Part, footer.Inputs, footer.Rejects = part, inputs, sink.Present(rejects)
	data, err := dataset.EncodePart(sink.Present(rows), footer)
	return [][]byte{data}, err
}

// read returns the responses of one part by prompt, then source, then sample.
func (s Step) read(ctx context.Context, in *sink.Inputs, part int) ([]response, []dataset.Input, error) {
	prompts, input, err := sink.Read[schemas.Prompt](ctx, in, s.Prompts, part)
	if err != nil {
		return nil, nil, err
	}
	inputs := []dataset.Input{input}
	sources := make([]map[string][]*schemas.Generation, len(s.Generations))
	for i, name := range s.Generations {
		generations, input, err := sink.Read[schemas.Generation](ctx, in, name, part)
		if err != nil {
			return nil, nil, err
		}
		inputs = append(inputs, input)
		sources[i] = map[string][]*schemas.Generation{}
		for k := range generations {
			g := &generations[k]
			sources[i][g.ID] = append(sources[i][g.ID], g)
		}
	}
	var responses []response
	for k := range prompts {
		for _, source := range sources {
			for _, g := range source[prompts[k].ID] {
				responses = append(responses, response{&prompts[k], g})
			}
		}
	}
	return responses, inputs, nil
}

// score asks for one score: a row, or a reject.
func (s Step) score(ctx context.Context, model Rewarder, r response) (*schemas.Reward, *schemas.Rejected, error) {
	reject := func(code, format string, args ...any) (*schemas.Reward, *schemas.Rejected, error) {
		return nil, sink.Reject(s.Name(), r.prompt.ID, r.answer.Source, code, s.Judge.Name+": "+format, args...), nil
	}
	ids, err := model.Conversation(r.prompt.Messages, r.answer.Text)
	if err != nil {
		return reject(CodeTemplate, "rendering messages and response: %v", err)
	}
	if len(ids) > model.Context() {
		return reject(CodeTooLong, "conversation of %d tokens exceeds the context of %d", len(ids), model.Context())
	}
	score, err := model.Reward(ctx, Request{Messages: r.prompt.Messages, Text: r.answer.Text, IDs: ids})
	if rejected := sink.Failed(s.Name(), r.prompt.ID, r.answer.Source, err); rejected != nil {
		return nil, rejected, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("prompt %s, source %s, reward model %s: %w", r.prompt.ID, r.answer.Source, s.Judge.Name, err)
	}
	if math.IsNaN(score) || math.IsInf(score, 0) {
		return reject(CodeNotFinite, "the score is %v", score)
	}
	return &schemas.Reward{ID: r.prompt.ID, Source: r.answer.Source, Sample: r.answer.Sample, Score: score}, nil, nil
}
