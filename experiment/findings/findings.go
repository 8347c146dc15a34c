// Package findings turns an experiment's results into a document: a table a section with means and standard deviations over
// seeds, and an answer with its uncertainty to each question.
//
// Flow in: a design and the results of its rows; flow out: Markdown, and the same numbers as JSON. What is missing is named
// as missing. It trains, measures and chooses nothing.
package findings

import (
	"maps"
	"math"
	"slices"

	"github.com/profuser/profuser/experiment/material"
	"github.com/profuser/profuser/experiment/trial"
)

// Spread is the mean and the sample standard deviation of n values; the deviation of fewer than two is NaN.
type Spread struct {
	// Mean and SD are of N values.
	Mean, SD float64
	N        int
}

// spread is
//
//	mean = Σ x / n,  sd = √(Σ (x − mean)² / (n − 1))
//
// of the values that are not NaN.
func spread(values []float64) Spread {
	values = slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	s := Spread{Mean: math.NaN(), SD: math.NaN(), N: len(values)}
	if s.N == 0 {
		return s
	}
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	s.Mean = sum / float64(s.N)
	if s.N > 1 {
		squares := 0.0
		for _, v := range values {
			squares += (v - s.Mean) * (v - s.Mean)
		}
		s.SD = math.Sqrt(squares / float64(s.N-1))
	}
	return s
}

// student97_5 are the 97.5 % points of Student's t by degrees of freedom, from 1.
var student97_5 = []float64{12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622}

// Interval is the half width of the 95 % confidence interval of the mean, t·sd/√n, of 2 to 10 values; else NaN.
func (s Spread) Interval() float64 {
	if s.N < 2 || s.N > len(student97_5)+1 {
		return math.NaN()
	}
	return student97_5[s.N-2] * s.SD / math.Sqrt(float64(s.N))
}

// column is a number of a result.
type column struct {
	name  string
	value func(*trial.Result) float64
	// format is of a number, "" for a share in percent.
	format string
}

// of is the column's values by seed; NaN where a result is missing.
func (c column) of(results []*trial.Result) []float64 {
	var out []float64
	for _, r := range results {
		v := math.NaN()
		if r != nil {
			v = c.value(r)
		}
		out = append(out, v)
	}
	return out
}

// setColumns are the benchmarks and their average.
func setColumns() (all []column) {
	for _, name := range material.Benchmarks {
		all = append(all, column{name, func(r *trial.Result) float64 { return r.Sets[name] }, ""})
	}
	return append(all, average)
}

// average is the mean of the six sets, the paper's headline column.
var average = column{"average", func(r *trial.Result) float64 { return mean(r.Sets) }, ""}

// free is the mean over skills of what is answered right in own words; the two kinds of arithmetic are one skill.
var free = column{"average", func(r *trial.Result) float64 {
	skills := map[string]float64{"arithmetic": (r.Free["arithmetic-seen"] + r.Free["arithmetic-unseen"]) / 2}
	for _, name := range []string{"facts", "sequences", "pronouns", "misconceptions"} {
		skills[name] = r.Free[name]
	}
	return mean(skills)
}, ""}

// freeColumns are the free answers and what goes with them.
func freeColumns() (all []column) {
	for _, name := range []string{"arithmetic-seen", "arithmetic-unseen", "facts", "sequences", "pronouns", "misconceptions"} {
		all = append(all, column{name, func(r *trial.Result) float64 { return r.Free[name] }, ""})
	}
	return append(all, free, natsPerByte, reward,
		column{"characters", func(r *trial.Result) float64 { return r.Chars }, "%.0f"},
		column{"updates", func(r *trial.Result) float64 { return float64(r.Updates) }, "%.0f"},
		column{"texts a prompt", func(r *trial.Result) float64 { return r.Exposures }, "%.3g"})
}

var (
	natsPerByte = column{"nats a byte", func(r *trial.Result) float64 { return r.NatsPerByte }, "%.3f"}
	reward      = column{"reward", func(r *trial.Result) float64 {
		if r.Reward == nil {
			return math.NaN()
		}
		return *r.Reward
	}, "%.2f"}
)

// mean is of a map's values, in the order of its keys.
func mean(m map[string]float64) float64 {
	sum := 0.0
	for _, k := range slices.Sorted(maps.Keys(m)) {
		sum += m[k]
	}
	return sum / float64(len(m))
}
