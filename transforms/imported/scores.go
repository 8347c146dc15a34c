package imported

import (
	"context"
	"errors"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/sink"
	"github.com/profuser/profuser/transforms/tally"
)

// ScoresStep makes rewards of one reward model from files.
type ScoresStep struct {
	// Judge is the reward model's name.
	Judge string
	// Files hold the scores.
	Files Files
	// Prompts and Output are names of datasets; Generations lists one for each source, in the configured order.
	Prompts     string
	Generations []string
	Output      string
	// Footer is what every part says of itself: digests.
	Footer dataset.Footer
}

// Scores imports the scores of each part: PCollection<sink.Part> -> PCollection<sink.Done>. url is the store's address,
// open the cap on parts held in memory.
func Scores(s beam.Scope, step ScoresStep, url string, open int, parts beam.PCollection) beam.PCollection {
	s = s.Scope("imported.Scores")
	return sink.Write(s, step, url, open, parts)
}

// Name implements sink.Step.
func (ScoresStep) Name() string { return "import" }

// Datasets implements sink.Step.
func (s ScoresStep) Datasets() []string { return []string{s.Output} }

// Make implements sink.Step.
func (s ScoresStep) Make(ctx context.Context, in *sink.Inputs, part int, counts *tally.Tally) (files [][]byte, err error) {
	prompts, input, err := sink.Read[schemas.Prompt](ctx, in, s.Prompts, part)
	if err != nil {
		return nil, err
	}
	responses, inputs, err := sink.Responses(ctx, in, s.Generations, part)
	if err != nil {
		return nil, err
	}
	x, err := s.Files.load(ctx)
	if err != nil {
		return nil, err
	}
	var open readers
	defer func() { err = errors.Join(err, open.close()) }()
	var rows []schemas.Reward
	footer := s.Footer
	footer.Part, footer.Inputs = part, append([]dataset.Input{input}, inputs...)
	for i := range prompts {
		lines, where, err := x.lines(&prompts[i], &open)
		if err != nil {
			return nil, err
		}
		scores, rejects := s.scores(&prompts[i], lines, where)
		footer.Rejects = append(footer.Rejects, rejects...)
		for _, response := range responses[prompts[i].ID] {
			r, ok := scores[response.Key()]
			var reject *schemas.Rejected
			if ok {
				rows = append(rows, r)
			} else {
				reject = sink.Reject(s.Name(), response.ID, response.Source, CodeMissing, "%s: no line of %v scores sample %d", s.Judge, s.Files.Paths, response.Sample)
				footer.Rejects = append(footer.Rejects, *reject)
			}
			counts.Row(reject)
		}
	}
	data, err := dataset.EncodePart(rows, footer)
	return [][]byte{data}, err
}

// scores reads a prompt's lines, the first of each response.
func (s ScoresStep) scores(p *schemas.Prompt, lines []row, where []string) (map[schemas.ResponseKey]schemas.Reward, []schemas.Rejected) {
	scores := map[schemas.ResponseKey]schemas.Reward{}
	var rejects []schemas.Rejected
	reject := func(source, code, format string, args ...any) {
		rejects = append(rejects, *sink.Reject(s.Name(), p.ID, source, code, s.Judge+": "+format, args...))
	}
	for k, line := range lines {
		r := schemas.Reward{ID: p.ID, Source: line.Source}
		if line.Sample != nil {
			r.Sample = *line.Sample
		}
		_, twice := scores[r.Key()]
		switch {
		case line.Score == nil:
			reject(line.Source, CodeMalformed, "%s: score: is missing, want a number", where[k])
			continue
		case twice:
			reject(line.Source, CodeRepeated, "%s: an earlier line scores sample %d", where[k], r.Sample)
			continue
		}
		r.Score = *line.Score
		if err := r.Validate(); err != nil {
			reject(line.Source, CodeMalformed, "%s: %v", where[k], err)
			continue
		}
		scores[r.Key()] = r
	}
	return scores, rejects
}
