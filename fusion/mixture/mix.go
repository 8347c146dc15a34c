package mixture

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/schemas"
)

// What the weights of Average are made from.
const (
	// WeightsCE: softmax(-CE / temperature).
	WeightsCE = "ce"
	// WeightsReward: softmax(exp(-CE)), FuseLLM's own.
	WeightsReward = "reward"
)

// Average says how the distributions of several sources are mixed (Avg-CE).
type Average struct {
	// Weights is WeightsCE or WeightsReward; required.
	Weights string
	// Temperature of WeightsCE, positive; required there.
	Temperature float64
	// Measure is the CE that the weights are made from: advantage.PerByte or PerToken; required.
	Measure string
	// Truncate says which entries of the mixture are stored.
	Truncate dist.Truncate
}

// Aligned is one source's distributions over the target's vocabulary, with the statuses [T] of the positions.
type Aligned struct {
	Dist   dist.Sparse
	Status []int32
}

// Mixture is what Mix makes of several sources.
type Mixture struct {
	Aligned
	// NatsPerByte is the sources' mean, weighted.
	NatsPerByte float64
}

// Mix averages the aligned distributions of K sources at each of the T positions of text:
//
//	p(v) = Σ_k w_k p_k(v) / Σ_k w_k, over the sources k whose status is not none there
//	w    = softmax(-CE / temperature), or softmax(exp(-CE)), over the K sources
//
// The rest mass mixes likewise, since entries are not scaled up. The position's status is the lowest code among those
// sources, none where there is no source. Entries stand in order of p, equal ones by id, as many as Truncate keeps and
// always the text's token where a source has it; log-probs are not rounded. The nats per byte are the mean over
// all K sources by w.
//
// One source: its own distributions, truncated. No sources: advantage.ErrNone. Errors name the source: lengths that differ from
// the text's, a cross-entropy that is not finite.
//
// Source: FuseLLM's AvgCE (arXiv 2401.10491, section 3.2: weights by MinCE's cross-entropy); spec/advantage.md. Different:
// weights are renormalised at each position over the sources that know something there.
func (a Average) Mix(readings []advantage.Reading, aligned []Aligned, text []int32) (Mixture, error) {
	if len(readings) == 0 || len(readings) != len(aligned) {
		return Mixture{}, fmt.Errorf("%w: %d readings and %d alignments to mix", advantage.ErrNone, len(readings), len(aligned))
	}
	exponents, err := a.exponents(readings)
	if err != nil {
		return Mixture{}, err
	}
	for k, x := range aligned {
		if len(x.Status) != len(text) || x.Dist.Len() != len(text) {
			return Mixture{}, fmt.Errorf("%s has %d statuses and %d distributions, the text %d tokens", readings[k].Source, len(x.Status), x.Dist.Len(), len(text))
		}
	}
	m := Mixture{}
	m.Status = make([]int32, len(text))
	all := advantage.Softmax(exponents)
	for k, r := range readings {
		m.NatsPerByte += all[k] * r.Nats / float64(r.Bytes)
	}
	at := make([]int32, len(aligned))
	var union []weighted
	for t, token := range text {
		here := slices.Clone(exponents)
		for k, x := range aligned {
			if x.Status[t] == schemas.StatusNone {
				here[k] = math.Inf(-1)
			}
		}
		weights := advantage.Softmax(here)
		union = union[:0]
		for k, x := range aligned {
			end := at[k] + x.Dist.Counts[t]
			if s := x.Status[t]; s != schemas.StatusNone {
				if m.Status[t] == schemas.StatusNone || s < m.Status[t] {
					m.Status[t] = s
				}
				for i := at[k]; i < end; i++ {
					union = append(union, weighted{x.Dist.IDs[i], weights[k] * math.Exp(float64(x.Dist.LogProbs[i]))})
				}
			}
			at[k] = end
		}
		m.Dist.Append(a.kept(merge(union), token))
		if m.Dist.Counts[t] == 0 {
			m.Status[t] = schemas.StatusNone
		}
	}
	return m, nil
}

// exponents are what the softmax of the weights is taken of.
func (a Average) exponents(readings []advantage.Reading) ([]float64, error) {
	out := make([]float64, len(readings))
	for k, r := range readings {
		ce, err := r.Value(a.Measure)
		if err != nil {
			return nil, err
		}
		switch {
		case a.Weights == WeightsReward:
			out[k] = math.Exp(-ce)
		case a.Weights == WeightsCE && a.Temperature > 0:
			out[k] = -ce / a.Temperature
		default:
			return nil, fmt.Errorf("advantage.training: weights %q at temperature %g: want %s, or %s with a positive temperature", a.Weights, a.Temperature, WeightsReward, WeightsCE)
		}
	}
	return out, nil
}

// weighted is one entry of a mixture.
type weighted struct {
	id int32
	p  float64
}

// merge adds up the entries of one id, in the order of sources, and sorts: most probable first, equal ones by id.
func merge(entries []weighted) []weighted {
	slices.SortStableFunc(entries, func(a, b weighted) int { return cmp.Compare(a.id, b.id) })
	n := 0
	for _, e := range entries {
		if n > 0 && entries[n-1].id == e.id {
			entries[n-1].p += e.p
			continue
		}
		entries[n] = e
		n++
	}
	entries = entries[:n]
	slices.SortFunc(entries, func(a, b weighted) int { return cmp.Or(cmp.Compare(b.p, a.p), cmp.Compare(a.id, b.id)) })
	return entries
}

// kept truncates a position; the text's token stays where it is among the entries.
func (a Average) kept(entries []weighted, token int32) (ids []int32, logProbs []float32) {
	mass := 0.0
	for i, e := range entries {
		full := i >= a.Truncate.TopK || mass >= a.Truncate.Mass && a.Truncate.Mass < 1 || e.p < a.Truncate.MinProb
		if e.p > 0 && (!full || e.id == token) {
			ids = append(ids, e.id)
			logProbs = append(logProbs, float32(math.Log(math.Min(e.p, 1))))
		}
		mass += e.p
	}
	return ids, logProbs
}

// Select is the selection of a prompt whose sources are averaged: all readings are candidates, none wins.
func (a Average) Select(id string, readings []advantage.Reading) (schemas.Selection, error) {
	s, err := advantage.MinCE(id, readings, a.Measure)
	s.Source, s.Margin = schemas.MixedSource, nil
	return s, err
}
