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
)

func init() { sink.Register[Step]() }

// Codes of rejects.
const (
	// CodeTooLong: prompt and reference do not fit the model's context.
	CodeTooLong = "too_long"
	// CodeTemplate: the model's chat template refuses the conversation.
	CodeTemplate = "template"
)

// Step teacher-forces one source on every reference.
type Step struct {
	// Source is the model.
	Source inflight.Model
	// Prompts and Output are names of datasets.
	Prompts, Output string
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
func (Step) Name() string { return "crossentropy" }

// Datasets implements sink.Step.
func (s Step) Datasets() []string { return []string{s.Output} }

// Make implements sink.Step.
func (s Step) Make(ctx context.Context, in *sink.Inputs, part int, tally *sink.Tally) ([][]byte, error) {
	prompts, input, err := sink.Read[schemas.Prompt](ctx, in, s.Prompts, part)
	if err != nil {
		return nil, err
	}
	model, err := Models.Get(ctx, s.Source)
	if err != nil {
		return nil, err
	}
	rows, rejects := make([]*schemas.TeacherForcing, len(prompts)), make([]*schemas.Rejected, len(prompts))
	feed, calls := s.Source.Calls()
	err = inflight.Rows(ctx, feed, calls, len(prompts), func(ctx context.Context, i int) error {
		if prompts[i].Reference == nil {
			tally.Row(false)
			return nil
		}
		var err error
		if rows[i], rejects[i], err = s.read(ctx, model, &prompts[i]); err == nil {
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

// read scores one reference: a row, or a reject.
func (s Step) read(ctx context.Context, model Scorer, p *schemas.Prompt) (*schemas.TeacherForcing, *schemas.Rejected, error) {
	text := *p.Reference
	encoded, err := model.Encode(p.Messages, text, true)
	if err != nil {
		return nil, sink.Reject(s.Name(), p.ID, s.Source.Name, CodeTemplate, "rendering messages and reference: %v", err), nil
	}
	if n := len(encoded.PromptIDs) + len(encoded.TextIDs); n > model.Context() {
		return nil, sink.Reject(s.Name(), p.ID, s.Source.Name, CodeTooLong, "prompt and reference of %d tokens exceed the context of %d", n, model.Context()), nil
	}
	reading, err := model.Score(ctx, Request{PromptIDs: encoded.PromptIDs, TextIDs: encoded.TextIDs, Truncate: s.Truncate})
	if rejected := sink.Failed(s.Name(), p.ID, s.Source.Name, err); rejected != nil {
		return nil, rejected, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("prompt %s, source %s: reading the reference: %w", p.ID, s.Source.Name, err)
	}
	nats := reading.Nats()
	return &schemas.TeacherForcing{
		ID: p.ID, Source: s.Source.Name, Nats: nats, Bytes: int32(len(text)), Tokens: int32(len(encoded.TextIDs)),
		NatsPerByte: nats / float64(len(text)),
		TokenDistributions: schemas.TokenDistributions{
			TokenIDs: encoded.TextIDs, TokenLogProbs: reading.TokenLogProbs, TextRank: reading.TextRank,
			Counts: reading.Dist.Counts, IDs: reading.Dist.IDs, LogProbs: reading.Dist.LogProbs, StartBytes: encoded.Starts,
		},
	}, nil, nil
}
