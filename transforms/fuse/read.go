package fuse

import (
	"context"
	"math"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/sink"
)

// part holds part k of all inputs, by source and prompt id.
type part struct {
	prompts     []schemas.Prompt
	generations []map[string]*schemas.Generation
	readings    []map[string]*schemas.TeacherForcing
	// targetReadings are the target's readings of the generations; nil maps where the method needs none.
	targetReadings []map[string]*schemas.TeacherForcing
	rewards        []map[[2]string]float64 // by reward model; prompt id and source
	// wins are the comparisons that responses won, by prompt id; nil where the method needs none.
	wins   map[string]map[advantage.Shown]float64
	inputs []dataset.Input
}

// read loads part n of every input. Of several samples the first counts.
func (s Step) read(ctx context.Context, in *sink.Inputs, n int) (*part, error) {
	p := &part{}
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
		readings, second, err := readingsOf(ctx, in, source.CrossEntropy, n)
		if err != nil {
			return nil, err
		}
		p.generations, p.readings = append(p.generations, generations), append(p.readings, readings)
		p.inputs = append(p.inputs, input, second)
		var ofTarget map[string]*schemas.TeacherForcing
		if source.TargetReadings != "" {
			if ofTarget, input, err = readingsOf(ctx, in, source.TargetReadings, n); err != nil {
				return nil, err
			}
			p.inputs = append(p.inputs, input)
		}
		p.targetReadings = append(p.targetReadings, ofTarget)
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

// readingsOf are a part's readings, by prompt id.
func readingsOf(ctx context.Context, in *sink.Inputs, name string, n int) (map[string]*schemas.TeacherForcing, dataset.Input, error) {
	rows, input, err := sink.Read[schemas.TeacherForcing](ctx, in, name, n)
	if err != nil {
		return nil, input, err
	}
	out := map[string]*schemas.TeacherForcing{}
	for i := range rows {
		out[rows[i].ID] = &rows[i]
	}
	return out, input, nil
}

// generations are the first samples of a part, by prompt id.
func generations(ctx context.Context, in *sink.Inputs, name string, n int) (map[string]*schemas.Generation, dataset.Input, error) {
	rows, input, err := sink.Read[schemas.Generation](ctx, in, name, n)
	if err != nil {
		return nil, input, err
	}
	out := map[string]*schemas.Generation{}
	for i := range rows {
		if rows[i].Sample == 0 {
			out[rows[i].ID] = &rows[i]
		}
	}
	return out, input, nil
}

// scores are one reward model's scores of the first samples, by prompt id and source.
func scores(ctx context.Context, in *sink.Inputs, name string, n int) (map[[2]string]float64, dataset.Input, error) {
	rows, input, err := sink.Read[schemas.Reward](ctx, in, name, n)
	if err != nil {
		return nil, input, err
	}
	out := map[[2]string]float64{}
	for _, r := range rows {
		if r.Sample == 0 {
			out[[2]string{r.ID, r.Source}] = r.Score
		}
	}
	return out, input, nil
}

// wins counts a part's verdicts, by prompt id.
func wins(ctx context.Context, in *sink.Inputs, name string, n int) (map[string]map[advantage.Shown]float64, dataset.Input, error) {
	rows, input, err := sink.Read[schemas.Verdict](ctx, in, name, n)
	if err != nil {
		return nil, input, err
	}
	verdicts := map[string][]schemas.Verdict{}
	for _, v := range rows {
		verdicts[v.ID] = append(verdicts[v.ID], v)
	}
	out := map[string]map[advantage.Shown]float64{}
	for id, of := range verdicts {
		out[id] = advantage.Count(of)
	}
	return out, input, nil
}

// scores are all reward models' opinions of one response, NaN where one is missing.
func (p *part) scores(id, source string) []float64 {
	out := make([]float64, len(p.rewards))
	for k, judge := range p.rewards {
		score, ok := judge[[2]string{id, source}]
		if !ok {
			score = math.NaN()
		}
		out[k] = score
	}
	return out
}
