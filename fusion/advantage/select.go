package advantage

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/profuser/profuser/schemas"
)

// Response is one source's answer to a prompt with what is known of its worth. Each method looks at what it needs.
type Response struct {
	// Source wrote it.
	Source string
	// Sample numbers the source's answers to the prompt from 0.
	Sample int32
	// Text is the answer.
	Text string
	// Finish is schemas.FinishStop or FinishLength.
	Finish string
	// Scores [reward models] in configured order; NaN where one is missing.
	Scores []float64
	// TargetNats is the target's cross-entropy of the answer in nats per byte, nil where it was not read.
	TargetNats *float64
	// Wins counts a judge's comparisons that the answer won, see Count; nil where it was not compared.
	Wins *float64
	// Right says whether the final answer is that of the reference, nil where the task has none.
	Right *bool
}

// ErrNone means that no candidate is left; the prompt is rejected in that mode.
var ErrNone = errors.New("no_candidate")

// Methods of inference mode.
const (
	Vote       = "vote"
	Borda      = "borda"
	MeanZ      = "mean_z"
	Single     = "single"
	Judge      = "judge"
	Perplexity = "perplexity"
	Length     = "length"
	Random     = "random"
	Oracle     = "oracle"
)

// Inference says how the winner among the sources' own responses is picked.
type Inference struct {
	// Method is one of the methods above; required.
	Method string
	// Single is the place of the one reward model that method Single asks, from 0.
	Single int
	// Seed of method Random.
	Seed int64
	// Filters drop responses before the method sees them.
	Filters Filters
}

// standing is how a method sees the candidates [n]: who leads wins, then who has more of tie (nil: nobody), then the
// first. value is what the selection says of each. NaN in lead: the method cannot judge the candidate.
type standing struct{ lead, tie, value []float64 }

// byValue is the standing of methods whose largest value wins.
func byValue(values []float64) standing { return standing{lead: values, value: values} }

// methods is the table. Each function gets the candidates that no filter dropped and the statistics [reward models].
var methods = map[string]func(m Inference, id string, left []Response, stats []*Stats) standing{
	Vote: func(_ Inference, _ string, left []Response, stats []*Stats) standing {
		z := each(left, func(r Response) float64 { return meanZ(r.Scores, stats, nil) })
		return standing{lead: tally(left, len(stats)), tie: z, value: z}
	},
	Borda: func(_ Inference, _ string, left []Response, stats []*Stats) standing {
		return byValue(borda(left, len(stats)))
	},
	MeanZ: func(_ Inference, _ string, left []Response, stats []*Stats) standing {
		abstains := abstaining(left, len(stats))
		return byValue(each(left, func(r Response) float64 { return meanZ(r.Scores, stats, abstains) }))
	},
	Single: func(m Inference, _ string, left []Response, stats []*Stats) standing {
		return byValue(each(left, func(r Response) float64 { return stats[m.Single].Z(r.Scores[m.Single]) }))
	},
	Judge: func(_ Inference, _ string, left []Response, _ []*Stats) standing {
		if len(left) == 1 && left[0].Wins == nil {
			return byValue([]float64{0}) // nothing to compare it with
		}
		return byValue(each(left, func(r Response) float64 { return known(r.Wins) }))
	},
	Perplexity: func(_ Inference, _ string, left []Response, _ []*Stats) standing {
		nats := each(left, func(r Response) float64 { return known(r.TargetNats) })
		return standing{lead: each(left, func(r Response) float64 { return -known(r.TargetNats) }), value: nats}
	},
	Length: func(_ Inference, _ string, left []Response, _ []*Stats) standing {
		return byValue(each(left, func(r Response) float64 { return float64(len(r.Text)) }))
	},
	Random: func(m Inference, id string, left []Response, _ []*Stats) standing {
		return byValue(each(left, func(r Response) float64 { return draw(m.Seed, id, r.Source, r.Sample) }))
	},
	Oracle: func(_ Inference, _ string, left []Response, _ []*Stats) standing {
		return byValue(each(left, func(r Response) float64 {
			switch {
			case r.Right == nil:
				return math.NaN()
			case *r.Right:
				return 1
			}
			return 0
		}))
	},
}

// Methods lists the methods of inference mode, sorted.
func Methods() []string { return slices.Sorted(maps.Keys(methods)) }

// Select picks the winner of a prompt in inference mode. Responses stand in configured order, which decides what is
// equal; those that a filter drops take no part. What each method compares, and what stands in a candidate's value:
//
//	vote        votes; each reward model has one for its best response, equal best scores share it equally, a model
//	            without a score of one candidate abstains; then mean z          value: mean z over the scores it has
//	borda       Σ over reward models of the candidates that a response beats, ties ½; abstention as above        the sum
//	mean_z      mean z over the reward models that scored every candidate                                       the mean
//	single      the normalised score of one reward model                                                           this z
//	judge       comparisons won                                                                               the number
//	perplexity  lowest nats per byte of the target on the response                                    nats per byte
//	length      bytes                                                                                          the bytes
//	random      a number in [0, 1) drawn by seed, id, source and sample                                       the number
//	oracle      right (1) or wrong (0)                                                                            1 or 0
//
// Several samples of a source compete like answers of several sources. Of equal texts of one source the first stands for
// all (Distinct): else copies of the best answer would share its votes, and it could lose by being sure of itself.
//
// A candidate that the method cannot judge (no score, not read, not compared, no final answer) takes no part. votes are
// the first places among the reward models for every method. The margin is the winner's lead over the runner-up in what
// is compared first, nil with one candidate. Nobody left: ErrNone with the reasons.
//
// Source: spec/advantage.md; vote is the ProFuser paper's inference mode, borda is de Borda's count (1781).
func (m Inference) Select(id string, responses []Response, stats []*Stats) (schemas.Selection, error) {
	method, ok := methods[m.Method]
	if !ok {
		return schemas.Selection{}, fmt.Errorf("advantage.inference.method is %q: want one of %s", m.Method, strings.Join(Methods(), ", "))
	}
	if m.Method == Single && (m.Single < 0 || m.Single >= len(stats)) {
		return schemas.Selection{}, fmt.Errorf("prompt %s: reward model number %d of %d", id, m.Single, len(stats))
	}
	var left []Response
	reasons := ""
	for _, r := range responses {
		if len(r.Scores) != len(stats) {
			return schemas.Selection{}, fmt.Errorf("prompt %s: %d scores of %s, %d reward models", id, len(r.Scores), r.Source, len(stats))
		}
		if code := m.Filters.Drop(r.Text, r.Finish); code != "" {
			reasons += fmt.Sprintf(", %s: %s", r.Source, code)
			continue
		}
		left = append(left, r)
	}
	left = Distinct(left)
	place := method(m, id, left, stats)
	if slices.ContainsFunc(place.lead, math.IsNaN) {
		var judged []Response
		for i, r := range left {
			if math.IsNaN(place.lead[i]) {
				reasons += fmt.Sprintf(", %s: not judged by %s", r.Source, m.Method)
				continue
			}
			judged = append(judged, r)
		}
		left, place = judged, method(m, id, judged, stats)
	}
	if len(left) == 0 {
		return schemas.Selection{}, fmt.Errorf("%w: no response is left%s", ErrNone, reasons)
	}
	return place.selection(id, left, tally(left, len(stats))), nil
}

// selection writes a standing down.
func (p standing) selection(id string, left []Response, votes []float64) schemas.Selection {
	best := 0
	s := schemas.Selection{ID: id, Mode: schemas.ModeInference}
	for i, r := range left {
		s.Candidates = append(s.Candidates, schemas.Candidate{Source: r.Source, Sample: r.Sample, Value: p.value[i], Votes: votes[i]})
		if p.lead[i] > p.lead[best] || p.tie != nil && p.lead[i] == p.lead[best] && p.tie[i] > p.tie[best] {
			best = i
		}
	}
	s.Source, s.Sample = left[best].Source, left[best].Sample
	if len(left) > 1 {
		runnerUp := math.Inf(-1)
		for i, x := range p.lead {
			if i != best {
				runnerUp = math.Max(runnerUp, x)
			}
		}
		margin := p.lead[best] - runnerUp
		s.Margin = &margin
	}
	return s
}

func each(left []Response, f func(Response) float64) []float64 {
	out := make([]float64, len(left))
	for i, r := range left {
		out[i] = f(r)
	}
	return out
}

// known is *x, or NaN.
func known(x *float64) float64 {
	if x == nil {
		return math.NaN()
	}
	return *x
}

// Distinct leaves out the responses whose source has given the same text before.
func Distinct(responses []Response) []Response {
	type answer struct{ source, text string }
	seen := make(map[answer]bool, len(responses))
	var out []Response
	for _, r := range responses {
		a := answer{r.Source, r.Text}
		if !seen[a] {
			out = append(out, r)
		}
		seen[a] = true
	}
	return out
}

// draw is a number in [0, 1) that follows from seed, prompt, source and sample: 53 bits of a SHA-256.
func draw(seed int64, id, source string, sample int32) float64 {
	text := fmt.Appendf(nil, "random\x1f%d\x1f%s\x1f%s", seed, id, source)
	if sample > 0 {
		text = fmt.Appendf(text, "\x1f%d", sample)
	}
	sum := sha256.Sum256(text)
	return float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
}

// abstaining says which reward models have no score of one of the candidates.
func abstaining(left []Response, models int) []bool {
	out := make([]bool, models)
	for _, r := range left {
		for m, x := range r.Scores {
			out[m] = out[m] || math.IsNaN(x)
		}
	}
	return out
}

// borda sums, over the reward models that do not abstain, how many candidates each response beats; ties count half.
func borda(left []Response, models int) []float64 {
	abstains := abstaining(left, models)
	return each(left, func(r Response) float64 {
		points := 0.0
		for m := range models {
			if abstains[m] {
				continue
			}
			points -= 0.5 // itself
			for _, o := range left {
				switch {
				case r.Scores[m] > o.Scores[m]:
					points++
				case r.Scores[m] == o.Scores[m]:
					points += 0.5
				}
			}
		}
		return points
	})
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
	return each(left, func(r Response) float64 {
		units := 0
		for m := range models {
			if r.Scores[m] == best[m] {
				units += vote / equal[m]
			}
		}
		return float64(units) / float64(vote)
	})
}

func leastCommonMultiple(a, b int) int {
	divisor, rest := a, b
	for rest != 0 {
		divisor, rest = rest, divisor%rest
	}
	return a / divisor * b
}

// meanZ averages the normalised scores that are there, those of models that are left out excepted (nil: none), summed
// as whole millionths: in any order the same. 0 without any.
func meanZ(scores []float64, stats []*Stats, leftOut []bool) float64 {
	var sum float64
	n := 0
	for m, x := range scores {
		if !math.IsNaN(x) && (leftOut == nil || !leftOut[m]) {
			sum += math.Round(stats[m].Z(x) * 1e6)
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return math.Round(sum/float64(n)) / 1e6
}
