package crossentropy

import (
	"context"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/sink"
	"github.com/profuser/profuser/transforms/tally"
)

func init() { sink.Register[Step]() }

// Codes of rejects.
const (
	// CodeTooLong: prompt and reference do not fit the model's context.
	CodeTooLong = "too_long"
	// CodeTemplate: the model's chat template refuses the conversation.
	CodeTemplate = "template"
)

// Step teacher-forces one source on every reference, or on every response of somebody.
type Step struct {
	// Source is the model that reads.
	Source inflight.Model
	// Prompts and Output are names of datasets.
	Prompts, Output string
	// Responses, if set, is the dataset of generations that are read instead of the references, all that are not empty.
	// The rows then bear the name of who wrote them, and the sample.
	Responses string
	// Footer is what every part says of itself: digests and fingerprints.
	Footer dataset.Footer
	// Truncate says which entries of each distribution are kept.
	Truncate dist.Truncate
}

// Score reads the references of each part: PCollection<sink.Part> -> PCollection<sink.Done>. url is the store's
// address, open the cap on parts held in memory.
func Score(s beam.Scope, step Step, url string, open int, parts beam.PCollection) beam.PCollection {
	s = s.Scope("crossentropy.Score")
	return sink.Write(s, step, url, open, parts)
}

// Name implements sink.Step.
func (s Step) Name() string {
	if s.Responses != "" {
		return "crossentropy-responses"
	}
	return "crossentropy"
}

// Datasets implements sink.Step.
func (s Step) Datasets() []string { return []string{s.Output} }

// Make implements sink.Step.
func (s Step) Make(ctx context.Context, in *sink.Inputs, part int, counts *tally.Tally) ([][]byte, error) {
	prompts, input, err := sink.Read[schemas.Prompt](ctx, in, s.Prompts, part)
	if err != nil {
		return nil, err
	}
	inputs := []dataset.Input{input}
	texts := references(prompts)
	if s.Responses != "" {
		generations, input, err := sink.Read[schemas.Generation](ctx, in, s.Responses, part)
		if err != nil {
			return nil, err
		}
		inputs, texts = append(inputs, input), responses(prompts, generations)
	}
	model, err := Models.Get(ctx, s.Source)
	if err != nil {
		return nil, err
	}
	rows, rejects := make([]*schemas.TeacherForcing, len(texts)), make([]*schemas.Rejected, len(texts))
	feed, calls := s.Source.Calls()
	err = inflight.Rows(ctx, feed, calls, len(texts), func(ctx context.Context, i int) error {
		if texts[i].text == "" {
			counts.Row()
			return nil
		}
		var err error
		if rows[i], rejects[i], err = s.read(ctx, model, texts[i], counts); err == nil {
			counts.Row(rejects[i])
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return sink.Encode(s.Footer, part, inputs, rows, rejects)
}

// given is a text to read, its author and sample and whether it has an end-of-turn; "" where there is nothing to read.
type given struct {
	prompt       *schemas.Prompt
	text, author string
	sample       int32
	closed       bool
}

// references are the prompts' references; their author is nobody.
func references(prompts []schemas.Prompt) []given {
	out := make([]given, len(prompts))
	for i := range prompts {
		if p := &prompts[i]; p.Reference != nil {
			out[i] = given{prompt: p, text: *p.Reference, closed: true}
		}
	}
	return out
}

// responses are the generations in the order of the prompts.
func responses(prompts []schemas.Prompt, generations []schemas.Generation) []given {
	byID := map[string][]given{}
	for _, g := range generations {
		byID[g.ID] = append(byID[g.ID], given{nil, g.Text, g.Source, g.Sample, g.FinishReason == schemas.FinishStop})
	}
	var out []given
	for i := range prompts {
		for _, t := range byID[prompts[i].ID] {
			t.prompt = &prompts[i]
			out = append(out, t)
		}
	}
	return out
}

// read scores one text: a row, or a reject.
func (s Step) read(ctx context.Context, model Scorer, t given, counts *tally.Tally) (*schemas.TeacherForcing, *schemas.Rejected, error) {
	p, author, what := t.prompt, t.author, "response"
	if s.Responses == "" {
		author, what = s.Source.Name, "reference"
	}
	encoded, err := model.Encode(p.Messages, t.text, t.closed)
	if err != nil {
		return nil, sink.Reject(s.Name(), p.ID, author, CodeTemplate, "rendering messages and %s: %v", what, err), nil
	}
	if n := len(encoded.PromptIDs) + len(encoded.TextIDs); n > model.Context() {
		return nil, sink.Reject(s.Name(), p.ID, author, CodeTooLong, "prompt and %s of %d tokens exceed the context of %d", what, n, model.Context()), nil
	}
	end := counts.Call()
	reading, err := model.Score(ctx, Request{PromptIDs: encoded.PromptIDs, TextIDs: encoded.TextIDs, Truncate: s.Truncate})
	end(len(encoded.PromptIDs), len(reading.TokenLogProbs))
	if rejected := sink.Failed(s.Name(), p.ID, s.Source.Name, err); rejected != nil {
		return nil, rejected, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("prompt %s, source %s: reading the %s: %w", p.ID, s.Source.Name, what, err)
	}
	nats := reading.Nats()
	return &schemas.TeacherForcing{
		ID: p.ID, Source: author, Sample: t.sample, Nats: nats, Bytes: int32(len(t.text)), Tokens: int32(len(encoded.TextIDs)),
		NatsPerByte: nats / float64(len(t.text)),
		TokenDistributions: schemas.TokenDistributions{
			TokenIDs: encoded.TextIDs, TokenLogProbs: reading.TokenLogProbs, TextRank: reading.TextRank,
			Counts: reading.Dist.Counts, IDs: reading.Dist.IDs, LogProbs: reading.Dist.LogProbs, StartBytes: encoded.Starts,
		},
	}, nil, nil
}
