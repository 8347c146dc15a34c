package advantage

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
)

// scale turns a score into an integer.
const scale = 1 << 20

// Stats are one reward model's scores over a dataset as exact sums of round(score·2^20). The zero value is empty.
type Stats struct {
	// N counts scores.
	N int64
	// sum and squares are Σ and Σ² of the integers.
	sum, squares big.Int
}

// Add counts one score. NaN (a missing score) is not counted.
func (s *Stats) Add(score float64) {
	if math.IsNaN(score) || math.IsInf(score, 0) {
		return
	}
	x := new(big.Int)
	big.NewFloat(math.RoundToEven(score * scale)).Int(x)
	s.N++
	s.sum.Add(&s.sum, x)
	s.squares.Add(&s.squares, x.Mul(x, x))
}

// Merge adds another part's sums. The result does not depend on the order of merging.
func (s *Stats) Merge(o *Stats) {
	s.N += o.N
	s.sum.Add(&s.sum, &o.sum)
	s.squares.Add(&s.squares, &o.squares)
}

// Mean is Σ score / n; 0 without scores.
//
// Source: spec/advantage.md; the sums are integers, so that any order gives the same bits.
func (s *Stats) Mean() float64 {
	if s.N == 0 {
		return 0
	}
	mean, _ := new(big.Rat).SetFrac(&s.sum, big.NewInt(s.N*scale)).Float64()
	return mean
}

// Std is the population's standard deviation, sqrt(Σ x²/n - mean²); 0 without scores.
//
// Source: spec/advantage.md; n·Σx² - (Σx)² is computed in integers, so nothing cancels.
func (s *Stats) Std() float64 {
	if s.N == 0 {
		return 0
	}
	d := new(big.Int).Mul(&s.squares, big.NewInt(s.N))
	d.Sub(d, new(big.Int).Mul(&s.sum, &s.sum))
	v, _ := new(big.Rat).SetInt(d).Float64()
	return math.Sqrt(v) / float64(s.N) / scale
}

// Z is the normalised score, (score - mean) / standard deviation, rounded to 1e-6; 0 when all scores are equal, NaN for
// a missing score.
//
// Source: spec/advantage.md.
func (s *Stats) Z(score float64) float64 {
	std := s.Std()
	if math.IsNaN(score) {
		return math.NaN()
	}
	if std == 0 {
		return 0
	}
	return math.Round((score-s.Mean())/std*1e6) / 1e6
}

type statsJSON struct {
	N       int64  `json:"n"`
	Sum     string `json:"sum"`
	Squares string `json:"squares"`
}

// MarshalJSON writes the integers as decimal strings.
func (s *Stats) MarshalJSON() ([]byte, error) {
	return json.Marshal(statsJSON{s.N, s.sum.String(), s.squares.String()})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Stats) UnmarshalJSON(b []byte) error {
	var x statsJSON
	if err := json.Unmarshal(b, &x); err != nil {
		return err
	}
	s.N = x.N
	if _, ok := s.sum.SetString(x.Sum, 10); !ok {
		return fmt.Errorf("sum %q is not an integer", x.Sum)
	}
	if _, ok := s.squares.SetString(x.Squares, 10); !ok {
		return fmt.Errorf("squares %q is not an integer", x.Squares)
	}
	return nil
}

// Statistics is a run's file of frozen statistics.
type Statistics struct {
	// Of is a digest of what the sums depend on: reward models, competitors, filters.
	Of string `json:"of"`
	// Models are the reward models' datasets, Scores their sums in the same order.
	Models []string `json:"models"`
	Scores []*Stats `json:"scores"`
}

// MeanScore averages the scores that are there; nil without any.
func MeanScore(scores []float64) *float64 {
	var sum float64
	n := 0
	for _, x := range scores {
		if !math.IsNaN(x) {
			sum += x
			n++
		}
	}
	if n == 0 {
		return nil
	}
	sum /= float64(n)
	return &sum
}
