package evaluate

import (
	"context"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/profuser/profuser/fusion/benchmark"
	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/crossentropy"
	"github.com/profuser/profuser/transforms/generate"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/sink"
	"github.com/profuser/profuser/transforms/tally"
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
func (s Step) Make(ctx context.Context, in *sink.Inputs, part int, counts *tally.Tally) ([][]byte, error) {
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
	marked := make([]*item, len(items))
	for i := range items {
		marked[i] = &item{prompt: &items[i]}
	}
	// All answers first, then all readings: a model takes work of one kind in fuller batches.
	feed, calls := s.Model.Calls()
	for _, phase := range []func(context.Context, *item) error{
		func(ctx context.Context, x *item) error { return s.answer(ctx, writer, reader, x, counts) },
		func(ctx context.Context, x *item) error { return s.read(ctx, reader, x, counts) },
	} {
		err = inflight.Rows(ctx, feed, calls, len(marked), func(ctx context.Context, i int) error {
			if marked[i].reject != nil {
				return nil
			}
			return phase(ctx, marked[i])
		})
		if err != nil {
			return nil, err
		}
	}
	var rows []*schemas.Evaluation
	var rejects []*schemas.Rejected
	for _, x := range marked {
		counts.Row(x.reject)
		rows, rejects = append(rows, x.row), append(rejects, x.reject)
	}
	return sink.Encode(s.Footer, part, []dataset.Input{input}, rows, rejects)
}

// item is one item on its way to a row or a reject.
type item struct {
	prompt    *schemas.Prompt
	benchmark benchmark.Item
	encoded   chat.Encoded
	row       *schemas.Evaluation
	reject    *schemas.Rejected
}

// refuse rejects an item.
func (s Step) refuse(x *item, code, format string, args ...any) error {
	x.reject = sink.Reject(s.Name(), x.prompt.ID, s.Model.Name, code, format, args...)
	return nil
}

// failed is what a call's error means for its item: a reject, or the end of the step.
func (s Step) failed(x *item, err error) error {
	if x.reject = sink.Failed(s.Name(), x.prompt.ID, s.Model.Name, err); x.reject != nil || err == nil {
		return nil
	}
	return fmt.Errorf("item %s, model %s: %w", x.prompt.ID, s.Model.Name, err)
}

// answer lets the model answer and marks it.
func (s Step) answer(ctx context.Context, writer generate.Generator, reader crossentropy.Scorer, x *item, counts *tally.Tally) (err error) {
	p := x.prompt
	if x.benchmark, err = benchmark.FromPrompt(*p); err != nil {
		return s.refuse(x, CodeItem, "%v", err)
	}
	if p.Reference == nil {
		return s.refuse(x, CodeItem, "field reference: missing; the held-out loss needs one")
	}
	prompt, err := writer.Prompt(p.Messages)
	if err != nil {
		return s.refuse(x, CodeTemplate, "rendering messages: %v", err)
	}
	if x.encoded, err = reader.Encode(p.Messages, *p.Reference, true); err != nil {
		return s.refuse(x, CodeTemplate, "rendering messages and reference: %v", err)
	}
	if n := max(len(prompt)+s.MaxNewTokens, len(x.encoded.PromptIDs)+len(x.encoded.TextIDs)); n > writer.Context() {
		return s.refuse(x, CodeTooLong, "%d tokens exceed the context of %d", n, writer.Context())
	}
	end := counts.Call()
	answer, err := writer.Generate(ctx, generate.Request{PromptIDs: prompt, MaxTokens: s.MaxNewTokens, TopP: 1, Truncate: nothing})
	end(len(prompt), len(answer.IDs))
	if err != nil {
		return s.failed(x, err)
	}
	text, _, _ := writer.Answer(answer.IDs)
	skill := ""
	if len(p.Tags) > 0 {
		skill = p.Tags[0]
	}
	x.row = &schemas.Evaluation{
		ID: p.ID, Model: s.Model.Name, Skill: skill, Text: text, Answer: x.benchmark.Answer,
		Correct: benchmark.Correct(text, x.benchmark.Answer, x.benchmark.Candidates),
	}
	return nil
}

// read lets the model read the reference.
func (s Step) read(ctx context.Context, reader crossentropy.Scorer, x *item, counts *tally.Tally) error {
	end := counts.Call()
	reading, err := reader.Score(ctx, crossentropy.Request{PromptIDs: x.encoded.PromptIDs, TextIDs: x.encoded.TextIDs, Truncate: nothing})
	end(len(x.encoded.PromptIDs), len(reading.TokenLogProbs))
	if err != nil {
		x.row = nil
		return s.failed(x, err)
	}
	x.row.Nats, x.row.Bytes = reading.Nats(), int32(len(*x.prompt.Reference))
	return nil
}
