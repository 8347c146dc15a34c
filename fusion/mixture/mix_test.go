package mixture

import (
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/schemas"
)

const vocabulary = 9

var everything = dist.Truncate{Mass: 1, TopK: vocabulary}

// drawAligned makes T positions of distinct entries with a mass of at most 1, and statuses.
func drawAligned(t *rapid.T, positions int) Aligned {
	var a Aligned
	for range positions {
		status := rapid.Int32Range(schemas.StatusNone, schemas.StatusInner).Draw(t, "status")
		var ids []int32
		var logProbs []float32
		if status != schemas.StatusNone {
			ids = rapid.SliceOfNDistinct(rapid.Int32Range(0, vocabulary-1), 1, 5, rapid.ID).Draw(t, "ids")
			shares, sum := make([]float64, len(ids)), rapid.Float64Range(0, 1).Draw(t, "rest")
			for i := range shares {
				shares[i] = rapid.Float64Range(0.01, 1).Draw(t, "share")
				sum += shares[i]
			}
			slices.SortFunc(shares, func(x, y float64) int { return int(math.Copysign(1, y-x)) })
			for _, s := range shares {
				logProbs = append(logProbs, float32(math.Log(s/sum)))
			}
		}
		a.Dist.Append(ids, logProbs)
		a.Status = append(a.Status, status)
	}
	return a
}

// TestMixAgainstOracle compares Mix with the definition over the whole vocabulary in float64.
func TestMixAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		positions, sources := rapid.IntRange(1, 6).Draw(t, "positions"), rapid.IntRange(1, 4).Draw(t, "sources")
		text := rapid.SliceOfN(rapid.Int32Range(0, vocabulary-1), positions, positions).Draw(t, "text")
		a := Average{Weights: rapid.SampledFrom([]string{WeightsCE, WeightsReward}).Draw(t, "weights"), Temperature: rapid.Float64Range(0.1, 3).Draw(t, "temperature"), Measure: advantage.PerByte, Truncate: everything}
		var readings []advantage.Reading
		var aligned []Aligned
		weight, weights, mean := make([]float64, sources), 0.0, 0.0
		for k := range sources {
			nats := rapid.Float64Range(0, 40).Draw(t, "nats")
			readings = append(readings, advantage.Reading{Source: string(rune('a' + k)), Nats: nats, Bytes: 10, Tokens: 3})
			aligned = append(aligned, drawAligned(t, positions))
			weight[k] = math.Exp(-nats / 10 / a.Temperature)
			if a.Weights == WeightsReward {
				weight[k] = math.Exp(math.Exp(-nats / 10))
			}
			weights += weight[k]
			mean += weight[k] * nats / 10
		}
		m, err := a.Mix(readings, aligned, text)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Dist.Validate(vocabulary); err != nil {
			t.Fatal(err)
		}
		if math.Abs(m.NatsPerByte-mean/weights) > 1e-9 {
			t.Fatalf("%g nats per byte, want %g", m.NatsPerByte, mean/weights)
		}
		for i := range text {
			var want [vocabulary]float64
			sum, lowest := 0.0, int32(schemas.StatusNone)
			for k, x := range aligned {
				if s := x.Status[i]; s != schemas.StatusNone {
					sum += weight[k]
					if lowest == schemas.StatusNone || s < lowest {
						lowest = s
					}
				}
			}
			for k, x := range aligned {
				ids, logProbs := x.Dist.At(i)
				for j, id := range ids {
					want[id] += weight[k] / sum * math.Exp(float64(logProbs[j]))
				}
			}
			if m.Status[i] != lowest {
				t.Fatalf("position %d: status %d, want %d", i, m.Status[i], lowest)
			}
			ids, logProbs := m.Dist.At(i)
			stored := 0
			for j, id := range ids {
				if got := float64(logProbs[j]); math.Abs(got-math.Log(want[id])) > math.Abs(got)/256+1e-6 {
					t.Fatalf("position %d, token %d: %g, want %g", i, id, got, math.Log(want[id]))
				}
			}
			for _, p := range want {
				if p > 0 {
					stored++
				}
			}
			if stored != len(ids) {
				t.Fatalf("position %d: %d entries, want %d", i, len(ids), stored)
			}
		}
	})
}

// TestMixTruncates: the smallest set that reaches the mass, and the text's token whatever its place.
func TestMixTruncates(t *testing.T) {
	one := Aligned{Status: []int32{schemas.StatusExact}}
	one.Dist.Append([]int32{3, 4, 5, 6}, []float32{float32(math.Log(0.5)), float32(math.Log(0.3)), float32(math.Log(0.15)), float32(math.Log(0.05))})
	for _, c := range []struct {
		t    dist.Truncate
		want []int32
	}{
		{dist.Truncate{Mass: 0.7, TopK: 9}, []int32{3, 4, 6}},
		{dist.Truncate{Mass: 1, TopK: 1}, []int32{3, 6}},
		{dist.Truncate{Mass: 1, TopK: 9, MinProb: 0.2}, []int32{3, 4, 6}},
		{dist.Truncate{Mass: 1, TopK: 9}, []int32{3, 4, 5, 6}},
	} {
		a := Average{Weights: WeightsCE, Temperature: 1, Measure: advantage.PerToken, Truncate: c.t}
		m, err := a.Mix([]advantage.Reading{{Source: "a", Nats: 1, Bytes: 1, Tokens: 1}}, []Aligned{one}, []int32{6})
		if err != nil || !slices.Equal(m.Dist.IDs, c.want) {
			t.Errorf("%+v: %v (%v), want %v", c.t, m.Dist.IDs, err, c.want)
		}
	}
	a := Average{Weights: WeightsCE, Temperature: 1, Measure: advantage.PerByte, Truncate: everything}
	if _, err := a.Mix(nil, nil, nil); !errors.Is(err, advantage.ErrNone) {
		t.Errorf("no sources: %v", err)
	}
	if _, err := a.Mix([]advantage.Reading{{Source: "a", Nats: 1, Bytes: 1, Tokens: 1}}, []Aligned{one}, []int32{1, 2}); err == nil {
		t.Error("a text of another length was mixed")
	}
	if _, err := a.Mix([]advantage.Reading{{Source: "a", Nats: 1, Bytes: 0, Tokens: 1}}, []Aligned{one}, []int32{6}); err == nil {
		t.Error("an infinite cross-entropy was mixed")
	}
	a.Temperature = 0
	if _, err := a.Mix([]advantage.Reading{{Source: "a", Nats: 1, Bytes: 1, Tokens: 1}}, []Aligned{one}, []int32{6}); err == nil {
		t.Error("temperature 0 was taken")
	}
	if s, err := (Average{Measure: advantage.PerByte}).Select("p", []advantage.Reading{{Source: "a", Nats: 1, Bytes: 1, Tokens: 1}, {Source: "b", Nats: 2, Bytes: 1, Tokens: 1}}); err != nil || s.Source != schemas.MixedSource || s.Margin != nil || len(s.Candidates) != 2 {
		t.Errorf("%+v, %v", s, err)
	}
}
