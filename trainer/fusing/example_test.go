package fusing

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/trainer/batch"
	"github.com/profuser/profuser/trainer/objective"
)

// logs are log-probs.
func logs(p ...float64) []float32 {
	var out []float32
	for _, x := range p {
		out = append(out, float32(math.Log(x)))
	}
	return out
}

// TestMicroByHand is what two examples become, written out: shift, weights, teachers.
func TestMicroByHand(t *testing.T) {
	a, ok := newExample(&schemas.FusionExample{
		Weight:    1,
		PromptIDs: []int32{11, 12}, TextIDs: []int32{13, 14, 15},
		Counts: []int32{2, 0, 1}, IDs: []int32{13, 99, 15}, LogProbs: logs(0.5, 0.25, 1),
		Status: []int32{schemas.StatusExact, schemas.StatusNone, schemas.StatusBoundary},
	}, inference, 100, Unweighted)
	if !ok {
		t.Fatal("example dropped")
	}
	b, ok := newExample(&schemas.FusionExample{
		Weight:    2,
		PromptIDs: []int32{21}, TextIDs: []int32{22}, Counts: []int32{0}, Status: []int32{schemas.StatusNone},
	}, training, 100, Unweighted)
	if !ok {
		t.Fatal("example dropped")
	}
	prompts := []prompt{{id: "p", examples: [modes][]*example{{a}, {b}}}}
	examples, g := collect(prompts, flags{true, true})
	micros := cut(examples, g, &Options{Normalize: PerExample, MicroPositions: 100}, [modes]float64{0.1, 1}, objective.ByBeta(0.5))
	if len(micros) != 1 {
		t.Fatalf("%d micro-batches, want 1", len(micros))
	}
	m := micros[0]
	want := &batch.Rows{
		B: 2, S: 4,
		Tokens: []int32{11, 12, 13, 14, 21, 0, 0, 0},
		Index:  []int32{1, 2, 3, 4},
		Gold:   []int32{13, 14, 15, 22},
		Real:   4,
	}
	got := *m.rows
	got.Index, got.Gold = got.Index[:4], got.Gold[:4]
	if diff := cmp.Diff(want, &got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	third, half := float32(0.1/3), float32(0.1*0.5/2)
	for name, c := range map[string]struct{ got, want any }{
		"gold weights":    {m.goldWeight[:5], []float32{third, third, third, 2, 0}},
		"teacher weights": {m.teacherWeight[:5], []float32{half, 0, half, 0, 0}},
		"rest":            {m.rest[:5], []float32{0.25, 0, 0, 0, 0}},
		"ids":             {m.ids[:4*m.k], []int32{13, 99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
		"first probs":     {m.probs[:3], []float32{0.5, 0.25, 0}},
		"third probs":     {m.probs[2*m.k : 2*m.k+2], []float32{1, 0}},
	} {
		if diff := cmp.Diff(c.want, c.got, cmp.Comparer(func(x, y float32) bool { return math.Abs(float64(x-y)) < 1e-6 })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if token, teacher := g.shares(a, PerToken); token != 1.0/3 || teacher != 1.0/2 {
		t.Errorf("shares of a token are %g and %g, want 1/3 and 1/2", token, teacher)
	}
}

// TestCut: texts are cut on the right, prompts never, and too little text is none.
func TestCut(t *testing.T) {
	row := func(prompt, text int) *schemas.FusionExample {
		r := &schemas.FusionExample{PromptIDs: make([]int32, prompt), TextIDs: make([]int32, text)}
		for range text {
			r.Counts, r.Status = append(r.Counts, 1), append(r.Status, schemas.StatusExact)
			r.IDs, r.LogProbs = append(r.IDs, 1), append(r.LogProbs, -0.5)
		}
		return r
	}
	for _, c := range []struct{ prompt, text, limit, want int }{
		{10, 30, 40, 30}, // fits
		{10, 30, 39, 29}, // cut by one
		{10, 30, 26, 16}, // the least that may remain
		{10, 30, 25, 0},  // too little
		{10, 3, 13, 3},   // short but whole
		{10, 3, 12, 0},
		{40, 30, 20, 0}, // the prompt alone is too long
		{10, 0, 40, 0},
	} {
		e, ok := newExample(row(c.prompt, c.text), training, c.limit, Unweighted)
		got := 0
		if ok {
			got = e.Answers()
			if len(e.ids) != got || e.taught != float64(got) || len(e.starts) != got+1 {
				t.Errorf("%+v: %d teachers for %d tokens", c, len(e.ids), got)
			}
		}
		if got != c.want {
			t.Errorf("%+v: %d text tokens", c, got)
		}
	}
}

// TestByReward: all rewarded responses of a prompt count, by softmax(reward / temperature); equal rewards weigh the same,
// at a low temperature only the best does; a prompt counts once whatever it has.
func TestByReward(t *testing.T) {
	row := func(reward float64, selected bool) *schemas.FusionExample {
		r := &schemas.FusionExample{
			ID: strings.Repeat("0", 32), Mode: schemas.ModeInference, Source: "s", PromptIDs: []int32{1}, TextIDs: []int32{2, 3}, Counts: []int32{1, 0}, Status: []int32{1, 0},
			IDs: []int32{2}, LogProbs: []float32{-0.5}, Selected: selected, Weight: 1, Reward: &reward,
		}
		if math.IsNaN(reward) {
			r.Reward = nil
		}
		return r
	}
	for name, c := range map[string]struct {
		rows        []*schemas.FusionExample
		by          bool
		temperature float64
		want        []float64
	}{
		"the selected one":  {[]*schemas.FusionExample{row(3, false), row(1, true)}, false, 1, []float64{1}},
		"by reward":         {[]*schemas.FusionExample{row(3, false), row(1, true)}, true, 2, []float64{math.E / (math.E + 1), 1 / (math.E + 1)}},
		"equal rewards":     {[]*schemas.FusionExample{row(3, false), row(3, true)}, true, 1, []float64{0.5, 0.5}},
		"the best only":     {[]*schemas.FusionExample{row(3, false), row(1, true)}, true, 1e-3, []float64{1, 0}},
		"one has no reward": {[]*schemas.FusionExample{row(math.NaN(), true), row(1, false)}, true, 1, []float64{1}},
		"none has":          {[]*schemas.FusionExample{row(math.NaN(), true), row(math.NaN(), false)}, true, 1, []float64{1}},
	} {
		corpus := &corpus{byReward: c.by, temperature: c.temperature, maxLength: 20, vocabulary: 9}
		examples, err := corpus.examples(c.rows, nil, inference)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, g := collect([]prompt{{id: "p", examples: [modes][]*example{examples, nil}}}, flags{true, true})
		sum, text := 0.0, 0.0
		for i, e := range examples {
			if i >= len(c.want) || math.Abs(e.weight-c.want[i]) > 1e-9 {
				t.Errorf("%s: weight %d is %g, want %v", name, i, e.weight, c.want)
			}
			share, _ := g.shares(e, PerExample)
			token, _ := g.shares(e, PerToken)
			sum, text = sum+share*float64(e.Answers()), text+token*float64(e.Answers())
		}
		if len(examples) != len(c.want) || g.examples[inference] != 1 || math.Abs(sum-1) > 1e-9 || math.Abs(text-1) > 1e-9 {
			t.Errorf("%s: %d examples, %d counted, shares add up to %g and %g", name, len(examples), g.examples[inference], sum, text)
		}
	}
}

// TestStatusWeights: positions weigh what their statuses say, divided by what they weigh together, and λ shares the loss.
func TestStatusWeights(t *testing.T) {
	row := &schemas.FusionExample{
		Weight: 1, PromptIDs: []int32{11}, TextIDs: []int32{13, 14, 15, 16, 17},
		Counts: []int32{1, 1, 1, 1, 0}, IDs: []int32{13, 14, 15, 16}, LogProbs: logs(0.5, 0.5, 0.5, 1),
		Status: []int32{schemas.StatusExact, schemas.StatusBoundary, schemas.StatusInner, schemas.StatusOneHot, schemas.StatusNone},
	}
	status := StatusWeights{schemas.StatusExact: 1, schemas.StatusBoundary: 0.25, schemas.StatusOneHot: 0.5}
	for _, c := range []struct {
		name      string
		blend     objective.Blend
		normalize string
		gold      float32
		teacher   []float32
	}{
		{"beta", objective.ByBeta(0.5), PerExample, 2.0 / 5, []float32{1 / 1.75, 0.25 / 1.75, 0, 0.5 / 1.75, 0}},
		{"lambda", objective.ByLambda(0.75), PerExample, 2 * 0.75 / 5, []float32{0.5 / 1.75, 0.125 / 1.75, 0, 0.25 / 1.75, 0}},
		{"by token", objective.ByBeta(0.5), PerToken, 2.0 / 5, []float32{1 / 1.75, 0.25 / 1.75, 0, 0.5 / 1.75, 0}},
	} {
		e, ok := newExample(row, training, 100, status)
		if !ok || e.taught != 1.75 {
			t.Fatalf("positions weigh %g together, want 1.75", e.taught)
		}
		examples, g := collect([]prompt{{examples: [modes][]*example{training: {e}}}}, flags{true, true})
		m := cut(examples, g, &Options{Normalize: c.normalize, MicroPositions: 100}, [modes]float64{0.1, 2}, c.blend)[0]
		for i := range row.TextIDs {
			if got := m.teacherWeight[i]; math.Abs(float64(got-c.teacher[i])) > 1e-7 || math.Abs(float64(m.goldWeight[i]-c.gold)) > 1e-7 {
				t.Errorf("%s, position %d: weights %g and %g, want %g and %g", c.name, i, m.goldWeight[i], got, c.gold, c.teacher[i])
			}
		}
		var sums losses
		ones := make([]float32, len(m.goldWeight))
		for i := range ones {
			ones[i] = 1
		}
		sums.add(m, g, c.normalize, ones, ones)
		if math.Abs(sums.text[training]-1) > 1e-7 || math.Abs(sums.teacher[training]-1) > 1e-7 {
			t.Errorf("%s: means of ones are %g and %g", c.name, sums.text[training], sums.teacher[training])
		}
	}
}
