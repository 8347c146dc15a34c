package fuse

import (
	"slices"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/fusion/benchmark"
	"github.com/profuser/profuser/fusion/mixture"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/sink"
)

// inference selects among the responses and writes their examples.
func (s Step) inference(out *output, p *schemas.Prompt, rows *part, stats []*advantage.Stats) error {
	var responses []advantage.Response
	for k, source := range s.Sources {
		if !source.Competes {
			continue
		}
		for _, g := range rows.generations[k][p.ID] {
			if len(g.TokenIDs) == 0 {
				responses = append(responses, opinion(p, rows, g)) // imported, without distributions
				continue
			}
			if ok, err := s.sound(out, schemas.ModeInference, source, "generation", p.ID, g.Text, g.FinishReason == schemas.FinishStop, &g.TokenDistributions); err != nil {
				return err
			} else if ok {
				responses = append(responses, opinion(p, rows, g))
			}
		}
	}
	selection, err := s.Method.Select(p.ID, responses, stats)
	if reject(out, s, p.ID, schemas.ModeInference, err) {
		return nil
	} else if err != nil {
		return err
	}
	out.selections = append(out.selections, selection)
	return s.each(selection, func(k int, c schemas.Candidate, selected bool) error {
		answers := rows.generations[k][p.ID]
		g := answers[slices.IndexFunc(answers, func(g *schemas.Generation) bool { return g.Sample == c.Sample })]
		return s.example(out, p, response(g, k, selected, advantage.MeanScore(rows.scores(g.Key())), selection.Margin, rows.targetReadings[g.Key()]))
	})
}

// opinion gathers what is known of a response's worth.
func opinion(p *schemas.Prompt, rows *part, g *schemas.Generation) advantage.Response {
	r := advantage.Response{Source: g.Source, Sample: g.Sample, Text: g.Text, Finish: g.FinishReason, Scores: rows.scores(g.Key())}
	if reading := rows.targetReadings[g.Key()]; reading != nil {
		r.TargetNats = &reading.NatsPerByte
	}
	if won, ok := rows.wins[g.Key()]; ok {
		r.Wins = &won
	}
	if item, ok := benchmark.FinalAnswer(*p); ok {
		right := item.Correct(g.Text)
		r.Right = &right
	}
	return r
}

// training selects by cross-entropy, or averages, and writes the examples of the reference.
func (s Step) training(out *output, p *schemas.Prompt, rows *part) error {
	var readings []advantage.Reading
	var at []int
	for k, source := range s.Sources {
		r := rows.readings[k][p.ID]
		if r == nil || !source.Competes {
			continue
		}
		if ok, err := s.sound(out, schemas.ModeTraining, source, "teacher_forcing", p.ID, *p.Reference, true, &r.TokenDistributions); err != nil {
			return err
		} else if ok {
			readings, at = append(readings, advantage.Reading{Source: r.Source, Nats: r.Nats, Bytes: r.Bytes, Tokens: r.Tokens}), append(at, k)
		}
	}
	var selection schemas.Selection
	var err error
	if s.Average != nil {
		selection, err = s.Average.Select(p.ID, readings)
	} else {
		selection, err = advantage.MinCE(p.ID, readings, s.Measure)
	}
	if reject(out, s, p.ID, schemas.ModeTraining, err) {
		return nil
	} else if err != nil {
		return err
	}
	out.selections = append(out.selections, selection)
	if s.Average != nil {
		if err := s.mixture(out, p, rows, readings, at); err != nil {
			return err
		}
	}
	return s.each(selection, func(k int, _ schemas.Candidate, selected bool) error {
		r := rows.readings[k][p.ID]
		return s.example(out, p, reference(*p.Reference, r, k, selected, selection.Margin, s.targetReading(rows, p.ID)))
	})
}

// mixture writes the example of all sources' distributions averaged.
func (s Step) mixture(out *output, p *schemas.Prompt, rows *part, readings []advantage.Reading, at []int) error {
	var all []mixture.Aligned
	var row schemas.FusionExample
	for i, k := range at {
		r := rows.readings[k][p.ID]
		x, rejected, err := s.aligned(out, p, reference(*p.Reference, r, k, true, nil, s.targetReading(rows, p.ID)))
		if err != nil {
			return err
		}
		if rejected != nil {
			out.rejects[schemas.ModeTraining] = append(out.rejects[schemas.ModeTraining], *rejected)
			return nil
		}
		if i == 0 {
			row = x.row
		}
		all = append(all, x.Aligned)
	}
	mixed, err := s.Average.Mix(readings, all, row.TextIDs)
	if err != nil {
		out.rejects[schemas.ModeTraining] = append(out.rejects[schemas.ModeTraining], *sink.Reject(s.Name(), p.ID, schemas.MixedSource, CodeAlign, "%v", err))
		return nil
	}
	row.Source, row.Selected, row.Margin, row.NatsPerByte = schemas.MixedSource, true, nil, mixed.NatsPerByte
	out.examples[schemas.ModeTraining] = append(out.examples[schemas.ModeTraining], schemas.ChunkedExample{FusionExample: fill(row, mixed.Aligned)})
	return nil
}

// targetReading is the target's reading of a prompt's reference, nil if there is none.
func (s Step) targetReading(rows *part, id string) *schemas.TeacherForcing {
	for k, source := range s.Sources {
		if source.Model.Name == s.Target.Name {
			return rows.readings[k][id]
		}
	}
	return nil
}

// each calls write for the candidates of a selection whose rows are kept, k being the place of the candidate's source.
func (s Step) each(selection schemas.Selection, write func(k int, c schemas.Candidate, selected bool) error) error {
	if s.DropTargetWins && selection.Source == s.Target.Name {
		return nil
	}
	for _, c := range selection.Candidates {
		selected := c.Key(selection.ID) == selection.Key()
		if !selected && !s.KeepAll {
			continue
		}
		k := slices.IndexFunc(s.Sources, func(source Source) bool { return source.Model.Name == c.Source })
		if err := write(k, c, selected); err != nil {
			return err
		}
	}
	return nil
}
