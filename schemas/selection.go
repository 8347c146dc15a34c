package schemas

import (
	"fmt"
)

// Modes of advantage.
const (
	// ModeInference compares the sources' own responses by reward models.
	ModeInference = "inference"
	// ModeTraining compares cross-entropies on the reference.
	ModeTraining = "training"
)

// Modes are both, in the order of tables.
var Modes = [...]string{ModeInference, ModeTraining}

// MixedSource stands for the source where the distributions of all of them were averaged (training mode, Avg-CE).
const MixedSource = "mixed"

// Candidate is the standing of one source's reading, or of one of its responses, in a selection.
type Candidate struct {
	// Source is the model's name.
	Source string `parquet:"source"`
	// Sample is the response's number, 0 in training mode.
	Sample int32 `parquet:"sample"`
	// Value is the method's measure: nats per byte or token (training), mean z-score over reward models (inference by
	// vote; the other methods are listed at fusion/advantage).
	Value float64 `parquet:"value"`
	// Votes counts reward models that prefer this response, shares included; 0 in training mode.
	Votes float64 `parquet:"votes"`
}

// Selection says which source wins one prompt in one mode.
type Selection struct {
	// ID is the prompt's id.
	ID string `parquet:"id"`
	// Mode is ModeInference or ModeTraining.
	Mode string `parquet:"mode"`
	// Source is the winner; MixedSource where the candidates were averaged.
	Source string `parquet:"source"`
	// Sample is the number of the winner's response, 0 in training mode.
	Sample int32 `parquet:"sample"`
	// Margin is the winner's lead over the runner-up, never negative; nil with one candidate or a mixture.
	Margin *float64 `parquet:"margin,optional"`
	// Candidates in the configured order: target, then sources; several responses of one by their samples.
	Candidates []Candidate `parquet:"candidates,list"`
}

// Validate checks ids, mode, that the winner is a candidate, that candidates differ in source or sample, and the margin:
// null with one candidate or a mixture, never negative. The first fault is a *Fault.
func (s *Selection) Validate() error {
	c := &check{record: "selection", id: s.ID}
	c.promptID(s.ID)
	c.mode(s.Mode)
	c.name("source", s.Source)
	c.that(s.Sample >= 0 && (s.Mode == ModeInference || s.Sample == 0), "sample", s.Sample, "0 or more, 0 in training mode")
	seen := map[ResponseKey]bool{}
	for i, candidate := range s.Candidates {
		column := fmt.Sprintf("candidates[%d].", i)
		c.name(column+"source", candidate.Source)
		c.that(candidate.Sample >= 0, column+"sample", candidate.Sample, "0 or more")
		c.that(!seen[candidate.Key(s.ID)], column+"source", candidate.Source, "a name that no earlier candidate of that sample has")
		c.finite(column+"value", candidate.Value)
		c.notNegative(column+"votes", candidate.Votes)
		c.that(s.Mode == ModeInference || candidate.Votes == 0, column+"votes", candidate.Votes, "0 in training mode")
		seen[candidate.Key(s.ID)] = true
	}
	mixed := s.Mode == ModeTraining && s.Source == MixedSource && len(seen) > 0
	c.that(seen[s.Key()] || mixed, "source", s.Source, "one of the candidates, or "+MixedSource+" in training mode")
	if s.Margin != nil {
		c.notNegative("margin", *s.Margin)
		c.that(len(s.Candidates) > 1 && !mixed, "margin", *s.Margin, "null with one candidate or a mixture")
	}
	return c.err()
}
