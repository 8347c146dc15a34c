package advantage

import (
	"fmt"
	"math"

	"github.com/profuser/profuser/schemas"
)

// Measures of cross-entropy.
const (
	PerByte  = "per_byte"
	PerToken = "per_token"
)

// Reading is one source's cross-entropy on the reference of a prompt.
type Reading struct {
	// Source read it.
	Source string
	// Nats is the sum over its tokens, end-of-turn included.
	Nats float64
	// Bytes is the reference's length, Tokens the number of the source's tokens, end-of-turn included.
	Bytes, Tokens int32
}

// Value is the reading's cross-entropy by a measure, nats per byte or per token.
func (r Reading) Value(measure string) (float64, error) {
	var value float64
	switch measure {
	case PerByte:
		value = r.Nats / float64(r.Bytes)
	case PerToken:
		value = r.Nats / float64(r.Tokens)
	default:
		return 0, fmt.Errorf("advantage.cross_entropy is %q: want %s or %s", measure, PerByte, PerToken)
	}
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return 0, fmt.Errorf("cross-entropy of %s is %g (%g nats, %d bytes, %d tokens)", r.Source, value, r.Nats, r.Bytes, r.Tokens)
	}
	return value, nil
}

// MinCE picks the winner of a prompt in training mode: the lowest cross-entropy by the measure, PerByte (nats / bytes,
// fair between tokenizers) or PerToken (nats / tokens, FuseLLM's, which favours finer tokenizers). Readings stand in
// configured order, which decides ties. A candidate's value is its cross-entropy, its votes are 0; the margin is the
// runner-up's value minus the winner's, nil with one candidate. No readings: ErrNone. A value that is not finite and an
// unknown measure are errors.
//
// Source: FuseLLM's MinCE (arXiv 2401.10491, section 3.2), the ProFuser paper's training mode.
func MinCE(id string, readings []Reading, measure string) (schemas.Selection, error) {
	if len(readings) == 0 {
		return schemas.Selection{}, fmt.Errorf("%w: no source could read the reference", ErrNone)
	}
	s := schemas.Selection{ID: id, Mode: schemas.ModeTraining}
	best, second := 0, math.Inf(1)
	for i, r := range readings {
		value, err := r.Value(measure)
		if err != nil {
			return schemas.Selection{}, fmt.Errorf("prompt %s: %w", id, err)
		}
		s.Candidates = append(s.Candidates, schemas.Candidate{Source: r.Source, Value: value})
		if i == 0 {
			continue
		}
		if lowest := s.Candidates[best].Value; value < lowest {
			best, second = i, lowest
		} else {
			second = math.Min(second, value)
		}
	}
	s.Source = s.Candidates[best].Source
	if len(readings) > 1 {
		margin := second - s.Candidates[best].Value
		s.Margin = &margin
	}
	return s, nil
}
