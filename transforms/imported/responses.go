package imported

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/crossentropy"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/sink"
	"github.com/profuser/profuser/transforms/tally"
)

func init() {
	sink.Register[ResponsesStep]()
	sink.Register[ScoresStep]()
}

// Codes of rejects.
const (
	// CodeMissing: no line of the files is of the prompt's response.
	CodeMissing = "missing"
	// CodeRepeated: an earlier line is of the same response, or the sample's number is beyond the configured ones.
	CodeRepeated = "repeated"
	// CodeMalformed: the line's fields break an invariant of the record.
	CodeMalformed = "malformed"
)

// ResponsesStep makes generations of one source from files.
type ResponsesStep struct {
	// Source is the model whose responses they are; one that is at hand reads those without log-probs.
	Source inflight.Model
	// Files hold the responses.
	Files Files
	// Prompts and Output are names of datasets.
	Prompts, Output string
	// Footer is what every part says of itself: digests and fingerprints.
	Footer dataset.Footer
	// Samples is the number of responses to each prompt, 1 or more.
	Samples int
	// Truncate says which entries of each distribution are kept.
	Truncate dist.Truncate
}

// Responses imports the responses of each part: PCollection<sink.Part> -> PCollection<sink.Done>. url is the store's
// address, open the cap on parts held in memory.
func Responses(s beam.Scope, step ResponsesStep, url string, open int, parts beam.PCollection) beam.PCollection {
	s = s.Scope("imported.Responses")
	return sink.Write(s, step, url, open, parts)
}

// Name implements sink.Step.
func (ResponsesStep) Name() string { return "import" }

// Datasets implements sink.Step.
func (s ResponsesStep) Datasets() []string { return []string{s.Output} }

// answer is one sample of one prompt, and what became of it.
type answer struct {
	prompt *schemas.Prompt
	row    *schemas.Generation
	reject *schemas.Rejected
}

// Make implements sink.Step.
func (s ResponsesStep) Make(ctx context.Context, in *sink.Inputs, part int, counts *tally.Tally) ([][]byte, error) {
	prompts, input, err := sink.Read[schemas.Prompt](ctx, in, s.Prompts, part)
	if err != nil {
		return nil, err
	}
	answers, err := s.answers(ctx, prompts)
	if err != nil {
		return nil, err
	}
	var model crossentropy.Scorer
	if s.Source.AtHand() {
		if model, err = crossentropy.Models.Get(ctx, s.Source); err != nil {
			return nil, err
		}
	}
	feed, calls := s.Source.Calls()
	err = inflight.Rows(ctx, feed, calls, len(answers), func(ctx context.Context, i int) error {
		a := answers[i]
		if model != nil && a.row != nil && len(a.row.TokenIDs) == 0 {
			if err := s.read(ctx, model, a, counts); err != nil {
				return err
			}
		}
		counts.Row(a.reject)
		return nil
	})
	if err != nil {
		return nil, err
	}
	var rows []schemas.Generation
	footer := s.Footer
	footer.Part, footer.Inputs = part, []dataset.Input{input}
	for _, a := range answers {
		if a.reject != nil {
			footer.Rejects = append(footer.Rejects, *a.reject)
		} else {
			rows = append(rows, *a.row)
		}
	}
	data, err := dataset.EncodePart(rows, footer)
	return [][]byte{data}, err
}

// answers finds the lines of each prompt: its samples in order, and rejects for what is missing or too much.
func (s ResponsesStep) answers(ctx context.Context, prompts []schemas.Prompt) (answers []*answer, err error) {
	x, err := s.Files.load(ctx)
	if err != nil {
		return nil, err
	}
	var open readers
	defer func() { err = errors.Join(err, open.close()) }()
	for i := range prompts {
		p := &prompts[i]
		reject := func(code, format string, args ...any) *answer {
			return &answer{prompt: p, reject: sink.Reject(s.Name(), p.ID, s.Source.Name, code, format, args...)}
		}
		rows, where, err := x.lines(p, &open)
		if err != nil {
			return nil, err
		}
		samples := make([]*answer, s.Samples)
		var more []*answer
		for k, r := range rows {
			number := int32(k)
			if r.Sample != nil {
				number = *r.Sample
			}
			if number < 0 || int(number) >= s.Samples || samples[number] != nil {
				more = append(more, reject(CodeRepeated, "%s: sample %d, want each of the %d samples (generate.samples) once", where[k], number, s.Samples))
				continue
			}
			g, err := r.generation(p.ID, s.Source.Name, number)
			if err != nil {
				samples[number] = reject(CodeMalformed, "%s: %v", where[k], err)
				continue
			}
			samples[number] = &answer{prompt: p, row: g}
		}
		for number, a := range samples {
			if a == nil {
				a = reject(CodeMissing, "no line of %v is of sample %d of this prompt", s.Files.Paths, number)
			}
			answers = append(answers, a)
		}
		answers = append(answers, more...)
	}
	return answers, nil
}

// read lets the source read its response.
func (s ResponsesStep) read(ctx context.Context, model crossentropy.Scorer, a *answer, counts *tally.Tally) error {
	g := a.row
	reject := func(code, format string, args ...any) {
		a.reject = sink.Reject(s.Name(), g.ID, g.Source, code, format, args...)
	}
	encoded, err := model.Encode(a.prompt.Messages, g.Text, g.FinishReason == schemas.FinishStop)
	switch {
	case err != nil:
		reject(crossentropy.CodeTemplate, "rendering messages and response: %v", err)
		return nil
	case len(encoded.TextIDs) == 0:
		reject(CodeMalformed, "an unfinished response without a token")
		return nil
	case len(encoded.PromptIDs)+len(encoded.TextIDs) > model.Context():
		reject(crossentropy.CodeTooLong, "prompt and response of %d tokens exceed the context of %d", len(encoded.PromptIDs)+len(encoded.TextIDs), model.Context())
		return nil
	}
	end := counts.Call()
	reading, err := model.Score(ctx, crossentropy.Request{PromptIDs: encoded.PromptIDs, TextIDs: encoded.TextIDs, Truncate: s.Truncate})
	end(len(encoded.PromptIDs), len(reading.TokenLogProbs))
	if a.reject = sink.Failed(s.Name(), g.ID, g.Source, err); a.reject != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("prompt %s, source %s: reading the response: %w", g.ID, g.Source, err)
	}
	g.PromptTokens = int32(len(encoded.PromptIDs))
	g.TokenDistributions = schemas.TokenDistributions{
		TokenIDs: encoded.TextIDs, TokenLogProbs: reading.TokenLogProbs, TextRank: reading.TextRank,
		Counts: reading.Dist.Counts, IDs: reading.Dist.IDs, LogProbs: reading.Dist.LogProbs, StartBytes: encoded.Starts,
	}
	return nil
}
