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
	"github.com/profuser/profuser/transforms/tally"
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

// response is one answer with its prompt, and what became of it: a row or a reject.
type response struct {
	prompt *schemas.Prompt
	answer *schemas.Generation
	row    *schemas.Reward
	reject *schemas.Rejected
}

// together cuts responses, in order of their prompts, into those that are scored in one call.
func together(model Rewarder, responses []*response) (groups [][]*response) {
	_, grouped := model.(Group)
	for i, r := range responses {
		if grouped && i > 0 && r.prompt == responses[i-1].prompt {
			groups[len(groups)-1] = append(groups[len(groups)-1], r)
		} else {
			groups = append(groups, []*response{r})
		}
	}
	return groups
}

// Make implements sink.Step.
func (s Step) Make(ctx context.Context, in *sink.Inputs, part int, counts *tally.Tally) ([][]byte, error) {
	responses, inputs, err := s.read(ctx, in, part)
	if err != nil {
		return nil, err
	}
	model, err := Models.Get(ctx, s.Judge)
	if err != nil {
		return nil, err
	}
	scored := together(model, responses)
	feed, calls := s.Judge.Calls()
	err = inflight.Rows(ctx, feed, calls, len(scored), func(ctx context.Context, i int) error {
		if err := s.score(ctx, model, scored[i], counts); err != nil {
			return err
		}
		for _, r := range scored[i] {
			counts.Row(r.reject)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var rows []*schemas.Reward
	var rejects []*schemas.Rejected
	for _, group := range scored {
		for _, r := range group {
			rows, rejects = append(rows, r.row), append(rejects, r.reject)
		}
	}
	return sink.Encode(s.Footer, part, inputs, rows, rejects)
}

// read returns the responses of one part by prompt, then source, then sample.
func (s Step) read(ctx context.Context, in *sink.Inputs, part int) ([]*response, []dataset.Input, error) {
	prompts, input, err := sink.Read[schemas.Prompt](ctx, in, s.Prompts, part)
	if err != nil {
		return nil, nil, err
	}
	answers, inputs, err := sink.Responses(ctx, in, s.Generations, part)
	if err != nil {
		return nil, nil, err
	}
	var responses []*response
	for k := range prompts {
		for _, g := range answers[prompts[k].ID] {
			responses = append(responses, &response{prompt: &prompts[k], answer: g})
		}
	}
	return responses, append([]dataset.Input{input}, inputs...), nil
}

// score asks for the scores of one call's responses: each gets a row or a reject.
func (s Step) score(ctx context.Context, model Rewarder, responses []*response, counts *tally.Tally) error {
	var asked []*response
	var requests []Request
	tokens := 0
	for _, r := range responses {
		ids, err := model.Conversation(r.prompt.Messages, r.answer.Text)
		switch {
		case err != nil:
			s.refuse(r, CodeTemplate, "rendering messages and response: %v", err)
		case len(ids) > model.Context():
			s.refuse(r, CodeTooLong, "conversation of %d tokens exceeds the context of %d", len(ids), model.Context())
		default:
			asked = append(asked, r)
			requests = append(requests, Request{Messages: r.prompt.Messages, Text: r.answer.Text, IDs: ids})
			tokens += len(ids)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	end := counts.Call()
	scores, err := rewards(ctx, model, requests)
	end(tokens, 0)
	if err != nil {
		for _, r := range asked {
			if r.reject = sink.Failed(s.Name(), r.prompt.ID, r.answer.Source, err); r.reject == nil {
				return fmt.Errorf("prompt %s, source %s, reward model %s: %w", r.prompt.ID, r.answer.Source, s.Judge.Name, err)
			}
		}
		return nil
	}
	for i, r := range asked {
		if math.IsNaN(scores[i]) || math.IsInf(scores[i], 0) {
			s.refuse(r, CodeNotFinite, "the score is %v", scores[i])
			continue
		}
		r.row = &schemas.Reward{ID: r.prompt.ID, Source: r.answer.Source, Sample: r.answer.Sample, Score: scores[i]}
	}
	return nil
}

// rewards scores one request, or the several of a Group.
func rewards(ctx context.Context, model Rewarder, requests []Request) ([]float64, error) {
	if group, ok := model.(Group); ok {
		return group.Rewards(ctx, requests)
	}
	score, err := model.Reward(ctx, requests[0])
	return []float64{score}, err
}

// refuse rejects a response.
func (s Step) refuse(r *response, code, format string, args ...any) {
	r.reject = sink.Reject(s.Name(), r.prompt.ID, r.answer.Source, code, s.Judge.Name+": "+format, args...)
}
