package advantage

import (
	"errors"
	"fmt"
	"math"

	"github.com/profuser/profuser/schemas"
)

// Response is one source's answer to a prompt with the reward models' opinions.
type Response struct {
	// Source wrote it.
	Source string
	// Text is the answer.
	Text string
	// Finish is schemas.FinishStop or FinishLength.
	Finish string
	// Scores [reward models] in configured order; NaN where one is missing.
	Scores []float64
}

// ErrNone means that no candidate is left; the prompt is rejected in that mode.
var ErrNone = errors.New("no_candidate")

// Vote picks the winner of a prompt in inference mode. Responses stand in configured order, those that a filter drops do
// not take part; stats [reward models] normalise the scores. Each reward model gives one vote to its best response,
// equal best scores share it equally; a model without a score for one of the candidates abstains on the prompt. Most
// votes win, then the highest mean z, then the configured order. A candidate's value is its mean z over the scores it
// has (0 without any); the margin is the winner's votes minus the runner-up's, nil with one candidate. All filtered, or
// no responses: ErrNone with the reasons.
//
// Source: spec/advantage.md, method vote; the ProFuser paper's inference mode, where three reward models vote.
func Vote(id string, responses []Response, stats []*Stats, f Filters) (schemas.Selection, error) {
	var left []Response
	reasons := ""
	for _, r := range responses {
		if len(r.Scores) != len(stats) {
			return schemas.Selection{}, fmt.Errorf("prompt %s: %d scores of %s, %d reward models", id, len(r.Scores), r.Source, len(stats))
		}
		if code := f.Drop(r.Text, r.Finish); code != "" {
			reasons += fmt.Sprintf(", %s: %s", r.Source, code)
			continue
		}
		left = append(left, r)
	}
	if len(left) == 0 {
		return schemas.Selection{}, fmt.Errorf("%w: no response is left%s", ErrNone, reasons)
	}
	votes := tally(left, len(stats))
	candidates := make([]schemas.Candidate, len(left))
	best := 0
	for i, r := range left {
		candidates[i] = schemas.Candidate{Source: r.Source, Value: meanZ(r.Scores, stats), Votes: votes[i]}
		if b := candidates[best]; votes[i] > b.Votes || (votes[i] == b.Votes && candidates[i].Value > b.Value) {
			best = i
		}
	}
	s := schemas.Selection{ID: id, Mode: schemas.ModeInference, Source: candidates[best].Source, Candidates: candidates}
	if len(left) > 1 {
		runnerUp := math.Inf(-1)
		for i, c := range candidates {
			if i != best {
				runnerUp = math.Max(runnerUp, c.Votes)
			}
		}
		margin := candidates[best].Votes - runnerUp
		s.Margin = &margin
	}
	return s, nil
}

// tally gives each candidate its votes. Shares are counted in whole units, a vote being the least common multiple of
// the numbers of equal best scores, so that equal sums compare as equal.
func tally(left []Response, models int) []float64 {
	best, equal, vote := make([]float64, models), make([]int, models), 1
	for m := range models {
		best[m] = math.Inf(-1)
		for _, r := range left {
			switch x := r.Scores[m]; {
			case math.IsNaN(x):
				best[m] = math.NaN()
			case x > best[m]:
				best[m], equal[m] = x, 1
			case x == best[m]:
				equal[m]++
			}
		}
		if !math.IsNaN(best[m]) && equal[m] > 0 {
			vote = leastCommonMultiple(vote, equal[m])
		}
	}
	votes := make([]float64, len(left))
	for i, r := range left {
		units := 0
		for m := range models {
			if r.Scores[m] == best[m] {
				units += vote / equal[m]
			}
		}
		votes[i] = float64(units) / float64(vote)
	}
	return votes
}

func leastCommonMultiple(a, b int) int {
	divisor, rest := a, b
	for rest != 0 {
		divisor, rest = rest, divisor%rest
	}
	return a / divisor * b
}

// meanZ averages the normalised scores that are there, summed as whole millionths: in any order the same.
func meanZ(scores []float64, stats []*Stats) float64 {
	var sum float64
	n := 0
	for m, x := range scores {
		if !math.IsNaN(x) {
			sum += math.Round(stats[m].Z(x) * 1e6)
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return math.Round(sum/float64(n)) / 1e6
}
