package fusing

import (
	"context"
	"strings"
	"testing"

	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/trainer/objective"
	"github.com/profuser/profuser/trainer/trainertest"
)

// matching is a world whose teachers are likelihoods of chunks.
func matching(t *testing.T) Options {
	t.Helper()
	o := world(t)
	format, err := chat.Load(o.Target, o.Format)
	if err != nil {
		t.Fatal(err)
	}
	o.Store = emptyStore(t)
	if err := trainertest.WriteChunked(t.Context(), o.Store, format, 40); err != nil {
		t.Fatal(err)
	}
	o.Teaching = objective.Teaching{Kind: objective.ALM, Divergence: objective.KL, Rest: objective.Bucket, Temperature: 100}
	return o
}

// TestChunksByHand: what two examples in chunks become, a cut through a chunk among them.
func TestChunksByHand(t *testing.T) {
	make := func(n, limit int, ends []int32, logProbs ...float32) *example {
		row := &schemas.FusionExample{Weight: 1, PromptIDs: []int32{1}}
		for i := range n {
			row.TextIDs, row.Counts, row.Status = append(row.TextIDs, int32(2+i)), append(row.Counts, 0), append(row.Status, schemas.StatusNone)
		}
		e, ok := newExample(row, training, limit, Unweighted)
		if !ok {
			t.Fatal("example dropped")
		}
		e.byChunks(ends, logProbs)
		return e
	}
	a := make(3, 100, []int32{1, 3}, -1, -2)
	b := make(18, 17, []int32{2, 14, 18}, -3, -4, -5) // cut to 16 tokens
	examples, g := collect([]prompt{{examples: [modes][]*example{training: {a}}}, {examples: [modes][]*example{training: {b}}}}, flags{true, true})
	o := &Options{Normalize: PerExample, MicroPositions: 1000, Teaching: objective.Teaching{Kind: objective.ALM}}
	m := cut(examples, g, o, [modes]float64{0, 1}, objective.ByBeta(8))[0]
	first := []int32{0, 0, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 14, 15, 16, 17, 17} // the longer example comes first
	weights, logProbs := map[int]float32{0: 2, 2: 2, 16: 2, 17: 2}, map[int]float32{0: -3, 2: -4, 16: -1, 17: -2}
	if m.k != 1 {
		t.Fatalf("%d entries a position, want 1", m.k)
	}
	for i := range m.ids {
		want := int32(i)
		if i < len(first) {
			want = first[i]
		}
		if m.ids[i] != want || m.teacherWeight[i] != weights[i] || m.probs[i] != logProbs[i] {
			t.Errorf("row %d: chunk begins at %d with weight %g and log-prob %g; want %d, %g, %g", i, m.ids[i], m.teacherWeight[i], m.probs[i], want, weights[i], logProbs[i])
		}
	}
}

// TestSplitChunks cuts one batch of chunks in three ways, and packs it: losses and gradients must be the same, up to float32 sums.
func TestSplitChunks(t *testing.T) {
	splits(t, matching(t), []int{1 << 20, 300, 1}, []int{300}, 1e-5)
}

// TestMatching trains by chunks: both losses fall on held-out prompts; data without chunks are refused.
func TestMatching(t *testing.T) {
	o := matching(t)
	mustRun(t, o)
	all := lines(t, o)
	first, last := all[0]["held_out"].(map[string]any), all[len(all)-1]["held_out"].(map[string]any)
	for _, mode := range modeNames {
		for _, part := range []string{"sft", "kl"} {
			before, after := first[mode].(map[string]any)[part].(float64), last[mode].(map[string]any)[part].(float64)
			if !(after < before && after > 0) {
				t.Errorf("%s of %s mode went from %g to %g", part, mode, before, after)
			}
		}
	}
	plain := world(t)
	plain.Teaching = o.Teaching
	if _, err := Run(context.Background(), plain); err == nil || !strings.Contains(err.Error(), "fuse.chunks true") {
		t.Errorf("a dataset without chunks: %v", err)
	}
}
