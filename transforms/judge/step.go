package judge

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/fusion/verdict"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/sink"
	"github.com/profuser/profuser/transforms/tally"
)

func init() { sink.Register[Step]() }

// Codes of rejects.
const (
	// CodeTooLong: the question does not fit the judge's context.
	CodeTooLong = "too_long"
	// CodeTemplate: the judge's chat template refuses the conversation.
	CodeTemplate = "template"
	// CodeNoVerdict: the reply does not end with a verdict.
	CodeNoVerdict = "no_verdict"
)

// Longest and shortest room for a reply, in tokens.
const (
	MostReply  = 512
	LeastReply = 32
)

// Step lets one judge compare the responses of every prompt.
type Step struct {
	// Judge is the chat model, Criteria the measure in words.
	Judge    inflight.Model
	Criteria string
	// Prompts and Output are names of datasets; Generations lists one for each competitor, in the configured order.
	Prompts     string
	Generations []string
	Output      string
	// Filters drop responses, which then are not compared.
	Filters advantage.Filters
	// Footer is what every part says of itself: digests.
	Footer dataset.Footer
}

// Compare asks for the verdicts of each part: PCollection<sink.Part> -> PCollection<sink.Done>. url is the store's
// address, open the cap on parts held in memory.
func Compare(s beam.Scope, step Step, url string, open int, parts beam.PCollection) beam.PCollection {
	s = s.Scope("judge.Compare")
	return sink.Write(s, step, url, open, parts)
}

// Name implements sink.Step.
func (Step) Name() string { return "judge" }

// Datasets implements sink.Step.
func (s Step) Datasets() []string { return []string{s.Output} }

// comparison is one pair in one order, and what became of it: a row or a reject.
type comparison struct {
	prompt        *schemas.Prompt
	first, second *schemas.Generation
	row           *schemas.Verdict
	reject        *schemas.Rejected
}

// Make implements sink.Step.
func (s Step) Make(ctx context.Context, in *sink.Inputs, part int, counts *tally.Tally) ([][]byte, error) {
	comparisons, inputs, err := s.read(ctx, in, part)
	if err != nil {
		return nil, err
	}
	model, err := Models.Get(ctx, s.Judge)
	if err != nil {
		return nil, err
	}
	feed, calls := s.Judge.Calls()
	err = inflight.Rows(ctx, feed, calls, len(comparisons), func(ctx context.Context, i int) error {
		if err := s.compare(ctx, model, comparisons[i], counts); err != nil {
			return err
		}
		counts.Row(comparisons[i].reject)
		return nil
	})
	if err != nil {
		return nil, err
	}
	var rows []*schemas.Verdict
	var rejects []*schemas.Rejected
	for _, c := range comparisons {
		rows, rejects = append(rows, c.row), append(rejects, c.reject)
	}
	return sink.Encode(s.Footer, part, inputs, rows, rejects)
}

// read returns the comparisons of one part: by prompt, each pair of responses in both orders. Of equal texts of one source
// the first is compared, as fusion/advantage counts it alone.
func (s Step) read(ctx context.Context, in *sink.Inputs, part int) ([]*comparison, []dataset.Input, error) {
	prompts, input, err := sink.Read[schemas.Prompt](ctx, in, s.Prompts, part)
	if err != nil {
		return nil, nil, err
	}
	responses, inputs, err := sink.Responses(ctx, in, s.Generations, part)
	if err != nil {
		return nil, nil, err
	}
	var comparisons []*comparison
	for k := range prompts {
		of := s.compared(responses[prompts[k].ID])
		for i := range of {
			for j := i + 1; j < len(of); j++ {
				comparisons = append(comparisons,
					&comparison{prompt: &prompts[k], first: of[i], second: of[j]}, &comparison{prompt: &prompts[k], first: of[j], second: of[i]})
			}
		}
	}
	return comparisons, append([]dataset.Input{input}, inputs...), nil
}

// compared are the responses that are shown to the judge.
func (s Step) compared(responses []*schemas.Generation) (kept []*schemas.Generation) {
	for _, g := range responses {
		again := func(o *schemas.Generation) bool { return o.Source == g.Source && o.Text == g.Text }
		if s.Filters.Drop(g.Text, g.FinishReason) == "" && !slices.ContainsFunc(kept, again) {
			kept = append(kept, g)
		}
	}
	return kept
}

// compare gives a comparison its row or reject. Equal texts are a tie that nobody is asked about.
func (s Step) compare(ctx context.Context, model Judge, c *comparison, counts *tally.Tally) error {
	row := &schemas.Verdict{
		ID: c.prompt.ID, First: c.first.Source, FirstSample: c.first.Sample, Second: c.second.Source, SecondSample: c.second.Sample, Winner: schemas.WinnerTie,
	}
	if c.first.Text == c.second.Text {
		c.row = row
		return nil
	}
	var err error
	end := counts.Call()
	row.Text, err = model.Say(ctx, verdict.CompareQuestion(s.Criteria, c.prompt.Messages, c.first.Text, c.second.Text), MostReply)
	end(0, 0) // the judge counts its own tokens
	if err != nil {
		if c.reject = sink.Failed(s.Name(), c.prompt.ID, c.first.Source, err); c.reject == nil {
			return fmt.Errorf("prompt %s, %s before %s, judge %s: %w", c.prompt.ID, c.first.Source, c.second.Source, s.Judge.Name, err)
		}
		return nil
	}
	if row.Winner, err = verdict.ReadComparison(row.Text); err != nil {
		c.reject = sink.Reject(s.Name(), c.prompt.ID, c.first.Source, CodeNoVerdict, "%s, shown %s before %s: %v", s.Judge.Name, c.first.Source, c.second.Source, err)
		return nil
	}
	c.row = row
	return nil
}
