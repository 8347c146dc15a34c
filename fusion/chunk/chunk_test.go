package chunk

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/profuser/profuser/fusion/align"
)

// tokens are tokens that begin at some bytes; their ids do not matter.
func tokens(closed bool, starts ...int32) align.Tokens {
	return align.Tokens{IDs: make([]int32, len(starts)), Starts: starts, Closed: closed}
}

func TestOf(t *testing.T) {
	for _, c := range []struct {
		name           string
		length         int
		source, target align.Tokens
		logProbs       []float32
		want           Chunks
	}{
		{"equal", 5, tokens(true, 0, 2, 5), tokens(true, 0, 2, 5), []float32{-1, -2, -4}, Chunks{[]int32{1, 2, 3}, []float32{-1, -2, -4}}},
		{"one in common", 7, tokens(true, 0, 3, 5, 7), tokens(true, 0, 1, 2, 3, 6, 7), []float32{-1, -2, -4, -8}, Chunks{[]int32{3, 5, 6}, []float32{-1, -6, -8}}},
		{"nothing in common", 6, tokens(false, 0, 2, 4), tokens(false, 0, 3), []float32{-1, -2, -4}, Chunks{[]int32{2}, []float32{-7}}},
		{"nothing but end-of-turn", 6, tokens(true, 0, 2, 6), tokens(true, 0, 3, 6), []float32{-1, -2, -4}, Chunks{[]int32{2, 3}, []float32{-3, -4}}},
		{"begins in the template", 4, tokens(true, -1, 2, 4), tokens(true, 0, 2, 4), []float32{-1, -2, -4}, Chunks{[]int32{1, 2, 3}, []float32{-1, -2, -4}}},
		{"first two begin in the template", 4, tokens(false, -2, -1, 2), tokens(false, 0, 2), []float32{-1, -2, -4}, Chunks{[]int32{1, 2}, []float32{-3, -4}}},
		{"tokens without bytes", 4, tokens(true, 0, 2, 2, 4, 4), tokens(true, 0, 1, 2, 2, 4), []float32{-1, -2, -4, -8, -16}, Chunks{[]int32{2, 4, 5}, []float32{-1, -14, -16}}},
		{"empty answer", 0, tokens(true, 0), tokens(true, 0), []float32{-1}, Chunks{[]int32{1}, []float32{-1}}},
		{"rounding above one", 1, tokens(true, 0, 1), tokens(true, 0, 1), []float32{1e-6, -1}, Chunks{[]int32{1, 2}, []float32{0, -1}}},
		{"no tokens", 0, tokens(false), tokens(false), nil, Chunks{}},
	} {
		got, err := Of(c.length, c.source, c.target, c.logProbs)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: error %v (-want +got):\n%s", c.name, err, diff)
		}
	}
	for name, bad := range map[string]func() error{
		"log-probs": func() error { _, err := Of(1, tokens(false, 0), tokens(false, 0), nil); return err },
		"closed":    func() error { _, err := Of(1, tokens(true, 0, 1), tokens(false, 0), []float32{0, 0}); return err },
		"starts": func() error {
			_, err := Of(1, tokens(false, 0), align.Tokens{IDs: make([]int32, 2), Starts: []int32{0}}, []float32{0})
			return err
		},
	} {
		if bad() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestProperties: chunks tile the target's tokens, keep the source's likelihood, end at boundaries of both, and no shared
// boundary is left inside one.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.IntRange(1, 20).Draw(t, "length")
		closed := rapid.Bool().Draw(t, "closed")
		side := func(name string) align.Tokens {
			starts := []int32{0}
			for b := int32(1); int(b) < length; b++ {
				if rapid.Bool().Draw(t, name) {
					starts = append(starts, b)
				}
			}
			if closed {
				starts = append(starts, int32(length))
			}
			return tokens(closed, starts...)
		}
		source, target := side("source"), side("target")
		logProbs := make([]float32, len(source.IDs))
		total := 0.0
		for i := range logProbs {
			logProbs[i] = float32(rapid.Float64Range(-20, 0).Draw(t, "log-prob"))
			total += float64(logProbs[i])
		}
		got, err := Of(length, source, target, logProbs)
		if err != nil {
			t.Fatal(err)
		}
		shared := map[int32]bool{}
		for _, s := range source.Starts {
			shared[s] = true
		}
		var want []int32
		for i, s := range target.Starts {
			if i > 0 && shared[s] {
				want = append(want, int32(i))
			}
		}
		want = append(want, int32(len(target.IDs)))
		if diff := cmp.Diff(want, got.Ends); diff != "" {
			t.Fatalf("ends (-want +got):\n%s", diff)
		}
		sum := 0.0
		for _, x := range got.LogProbs {
			sum += float64(x)
		}
		if !cmp.Equal(sum, total, cmpopts.EquateApprox(1e-5, 1e-5)) || math.IsNaN(sum) {
			t.Fatalf("chunks have %g nats, the text has %g", -sum, -total)
		}
	})
}
