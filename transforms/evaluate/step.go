package evaluate

import (
	"context"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/profuser/profuser/fusion/benchmark"
	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/crossentropy"
	"github.com/profuser/profuser/transforms/generate"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/sink"
)

func init() { sink.Register[Step]() }

// Codes of rejects.
const (
	// CodeTooLong: the item does not fit the model's context.
	CodeTooLong = "too_long"
	// CodeTemplate: the model's chat template refuses the conversation.
	CodeTemplate = "template"
	// CodeItem: the item has no answer or no reference.
	CodeItem = "bad_item"
)

// nothing is stored of distributions here.
var nothing = dist.Truncate{Mass: 1, TopK: 1}

// Step lets one model answer every item.
type Step struct {
	// Model is who answers; its name is written into the rows.
	Model inflight.Model
	// Items and Output are names of datasets.
	Items, Output string
	// Footer is what every part says of itself.
	Footer dataset.Footer
	// MaxNewTokens is the longest answer in tokens, 1 or more.
	MaxNewTokens int
}

// Evaluate answers the items of each part: PCollection<sink.Part> -> PCollection<sink.Done>. url is the store's address,
// open the cap on parts held in memory.
func Evaluate(s beam.Scope, step Step, url string, open int, parts beam.PCollection) beam.PCollection {
	s = s.Scope("evaluate.Evaluate")
	return sink.Write(s, step, url, open, parts)
}

// Name implements sink.Step.
func (Step) Name() string { return "evaluate" }

// Datasets implements sink.Step.
func (s Step) Datasets() []string { return []string{s.Output} }

// Make implements sink.Step.
func (s Step) Make(ctx context.Context, in *sink.Inputs, part int, tally *sink.Tally) ([][]byte, error) {
	items, input, err := sink.Read[schemas.Prompt](ctx, in, s.Items, part)
	if err != nil {
		return nil, err
	}
	writer, err := generate.Models.Get(ctx, s.Model)
	if err != nil {
		return nil, err
	}
	reader, err := crossentropy.Models.Get(ctx, s.Model)
	if err != nil {
		return nil, err
	}
	rows, rejects := make([]*schemas.Evaluation, len(items)), make([]*schemas.Rejected, len(items))
	feed, calls := s.Model.Calls()
	err = inflight.Rows(ctx, feed, calls, len(items), func(ctx context.Context, i int) error {
		var err error
		if rows[i], rejects[i], err = s.answer(ctx, writer, reader, &items[i]); err == nil {
			tally.Row(rejects[i] != nil)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	footer := s.Footer
	footer.Part, footer.Inputs, footer.Rejects = part, []dataset.Input{input}, sink.Present(rejects)
	data, err := dataset.EncodePart(sink.Present(rows), footer)
	return [][]byte{data}, err
}

// answer marks one item: a row, or a reject.
func (s Step) answer(ctx context.Context, writer generate.Generator, reader crossentropy.Scorer, p *schemas.Prompt) (*schemas.Evaluation, *schemas.Rejected, error) {
	reject := func(code, format string, args ...any) (*schemas.Evaluation, *schemas.Rejected, error) {
		return nil, sink.Reject(s.Name(), p.ID, s.Model.Name, code, format, args...), nil
	}
	item, err := benchmark.FromPrompt(*p)
	if err != nil {
		return reject(CodeItem, "%v", err)
	}
	if p.Reference == nil {
		return reject(CodeItem, "field reference: missing; the held-out loss needs one")
	}
	prompt, err := writer.Prompt(p.Messages)
	if err != nil {
		return reject(CodeTemplate, "rendering messages: %v", err)
	}
	encoded, err := reader.Encode(p.Messages, *p.Reference, true)
	if err != nil {
		return reject(CodeTemplate, "rendering messages and reference: %v", err)
	}
	if n := max(len(prompt)+s.MaxNewTokens, len(encoded.PromptIDs)+len(encoded.TextIDs)); n > writer.Context() {
		return reject(CodeTooLong, "%d tokens exceed the context of %d", n, writer.Context())
	}
	answer, err := writer.Generate(ctx, generate.Request{PromptIDs: prompt, MaxTokens: s.MaxNewTokens, TopP: 1, Truncate: nothing})
	var reading crossentropy.Reading
	if err == nil {
		reading, err = reader.Score(ctx, crossentropy.Request{PromptIDs: encoded.PromptIDs, TextIDs: encoded.TextIDs, Truncate: nothing})
	}
	if rejected := sink.Failed(s.Name(), p.ID, s.Model.Name, err); rejected != nil {
		return nil, rejected, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("item %s, model %s: %w", p.ID, s.Model.Name, err)
	}
	text, _, _ := writer.Answer(answer.IDs)
	skill := ""
	if len(p.Tags) > 0 {
		skill = p.Tags[0]
	}
	return &schemas.Evaluation{
		ID: p.ID, Model: s.Model.Name, Skill: skill, Text: text, Answer: item.Answer, Correct: benchmark.Correct(text, item.Answer, item.Candidates),
		Nats: reading.Nats(), Bytes: int32(len(*p.Reference)),
	}, nil, nil
}
