package fuse

import (
	"context"
	"math"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/sink"
)

// part holds part k of all inputs.
type part struct {
	prompts     []schemas.Prompt
	generations []map[string][]*schemas.Generation // by source and prompt id, in order of samples
	readings    []map[string]*schemas.TeacherForcing
	// targetReadings are the target's readings of the generations, empty where the method needs none.
	targetReadings map[schemas.ResponseKey]*schemas.TeacherForcing
	rewards        []map[schemas.ResponseKey]float64 // by reward model
	// wins are the comparisons that responses won; nil where the method needs none.
	wins   map[schemas.ResponseKey]float64
	inputs []dataset.Input
}

// read loads part n of every input.
func (s Step) read(ctx context.Context, in *sink.Inputs, n int) (*part, error) {
	p := &part{targetReadings: map[schemas.ResponseKey]*schemas.TeacherForcing{}}
	var input dataset.Input
	var err error
	if p.prompts, input, err = sink.Read[schemas.Prompt](ctx, in, s.Prompts, n); err != nil {
		return nil, err
	}
	p.inputs = append(p.inputs, input)
	for _, source := range s.Sources {
		generations, input, err := generations(ctx, in, source.Generations, n)
		if err != nil {
			return nil, err
		}
		p.generations, p.inputs = append(p.generations, generations), append(p.inputs, input)
		var readings []schemas.TeacherForcing
		if source.CrossEntropy != "" {
			if readings, input, err = sink.Read[schemas.TeacherForcing](ctx, in, source.CrossEntropy, n); err != nil {
				return nil, err
			}
			p.inputs = append(p.inputs, input)
		}
		p.readings = append(p.readings, byPrompt(readings))
		if source.TargetReadings == "" {
			continue
		}
		ofTarget, input, err := sink.Read[schemas.TeacherForcing](ctx, in, source.TargetReadings, n)
		if err != nil {
			return nil, err
		}
		for i := range ofTarget {
			p.targetReadings[ofTarget[i].Key()] = &ofTarget[i]
		}
		p.inputs = append(p.inputs, input)
	}
	for _, name := range s.Rewards {
		scores, input, err := scores(ctx, in, name, n)
		if err != nil {
			return nil, err
		}
		p.rewards, p.inputs = append(p.rewards, scores), append(p.inputs, input)
	}
	if s.Verdicts != "" {
		if p.wins, input, err = wins(ctx, in, s.Verdicts, n); err != nil {
			return nil, err
		}
		p.inputs = append(p.inputs, input)
	}
	return p, nil
}

// byPrompt are readings of references, by prompt id.
func byPrompt(rows []schemas.TeacherForcing) map[string]*schemas.TeacherForcing {
	out := map[string]*schemas.TeacherForcing{}
	for i := range rows {
		out[rows[i].ID] = &rows[i]
	}
	return out
}

// generations are the responses of a part, by prompt id, in order of samples.
func generations(ctx context.Context, in *sink.Inputs, name string, n int) (map[string][]*schemas.Generation, dataset.Input, error) {
	rows, input, err := sink.Read[schemas.Generation](ctx, in, name, n)
	if err != nil {
		return nil, input, err
	}
	out := map[string][]*schemas.Generation{}
	for i := range rows {
		out[rows[i].ID] = append(out[rows[i].ID], &rows[i])
	}
	return out, input, nil
}

// scores are one reward model's scores.
func scores(ctx context.Context, in *sink.Inputs, name string, n int) (map[schemas.ResponseKey]float64, dataset.Input, error) {
	rows, input, err := sink.Read[schemas.Reward](ctx, in, name, n)
	if err != nil {
		return nil, input, err
	}
	out := map[schemas.ResponseKey]float64{}
	for _, r := range rows {
		out[r.Key()] = r.Score
	}
	return out, input, nil
}

// wins counts a part's verdicts.
func wins(ctx context.Context, in *sink.Inputs, name string, n int) (map[schemas.ResponseKey]float64, dataset.Input, error) {
	rows, input, err := sink.Read[schemas.Verdict](ctx, in, name, n)
	if err != nil {
		return nil, input, err
	}
	return advantage.Count(rows), input, nil
}

// scores are all reward models' opinions of one response, NaN where one is missing.
func (p *part) scores(response schemas.ResponseKey) []float64 {
	out := make([]float64, len(p.rewards))
	for k, judge := range p.rewards {
		score, ok := judge[response]
		if !ok {
			score = math.NaN()
		}
		out[k] = score
	}
	return out
}
