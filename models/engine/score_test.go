package engine

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"testing"
)

// TestTextsOfOnePromptShareARow compares texts read together with each read alone, for rotary positions and for ALiBi, with
// more texts than a row takes, empty ones and one that begins as another does.
func TestTextsOfOnePromptShareARow(t *testing.T) {
	ctx := context.Background()
	texts := [][]int32{prompt(5, 40), prompt(1, 41), {}, prompt(17, 42), prompt(5, 40)[:3], prompt(9, 43), prompt(2, 44), prompt(30, 45), prompt(4, 46), prompt(6, 47)}
	for _, family := range []string{"llama", "mpt"} {
		e := open(t, tinyModel(t, family, false), Options{BatchRows: 4})
		start := prompt(11, 7)
		if rows := e.trees(start, texts); len(rows) != 2 || len(rows[0].ids)-len(rows[0].starts) >= 8*len(start) {
			t.Fatalf("%d texts take %d rows; want 2, the prompt once in each", len(texts), len(rows))
		}
		together, err := e.ScoreAll(ctx, start, texts, top)
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range texts {
			alone, err := e.Score(ctx, ScoreRequest{PromptIDs: start, TextIDs: text, Truncate: top})
			if err != nil {
				t.Fatal(err)
			}
			got := together[i]
			if len(got.TokenLogProbs) != len(text) || got.Dist.Len() != len(text) || len(got.TextRank) != len(text) {
				t.Fatalf("%s, text %d of %d tokens: %d log-probs, %d distributions, %d ranks", family, i, len(text), len(got.TokenLogProbs), got.Dist.Len(), len(got.TextRank))
			}
			for k := range text {
				if d := math.Abs(float64(got.TokenLogProbs[k] - alone.TokenLogProbs[k])); d > 1e-5 {
					t.Errorf("%s, text %d, token %d: log-prob %g together, %g alone", family, i, k, got.TokenLogProbs[k], alone.TokenLogProbs[k])
				}
				a, _ := got.Dist.At(k)
				b, _ := alone.Dist.At(k)
				if !slices.Equal(a, b) {
					t.Errorf("%s, text %d, token %d: entries %v together, %v alone", family, i, k, a, b)
				}
			}
		}
	}
}

// TestReadAll compares whole texts read together with each read alone: with a common start, without one, and one that is the
// common start itself.
func TestReadAll(t *testing.T) {
	ctx := t.Context()
	e := open(t, tinyModel(t, "llama", false), Options{BatchRows: 4})
	start := prompt(11, 7)
	for name, lists := range map[string][][]int32{
		"common start":      {slices.Concat(start, prompt(3, 40)), slices.Concat(start, prompt(9, 41)), start, slices.Concat(start, prompt(1, 42))},
		"one token":         {start[:1], start[:4]},
		"one text":          {start},
		"nothing in common": {{3, 5, 7}, {4, 5, 7, 9}},
	} {
		together, err := e.ReadAll(ctx, lists, top)
		if err != nil {
			t.Fatal(err)
		}
		for i, ids := range lists {
			alone, err := e.Score(ctx, ScoreRequest{PromptIDs: ids[:1], TextIDs: ids[1:], Truncate: top})
			if err != nil {
				t.Fatal(err)
			}
			got := together[i]
			if len(got.TokenLogProbs) != len(ids)-1 || got.Dist.Len() != len(ids)-1 || len(got.TextRank) != len(ids)-1 {
				t.Fatalf("%s, text %d of %d tokens: %d log-probs, %d distributions", name, i, len(ids), len(got.TokenLogProbs), got.Dist.Len())
			}
			for k := range got.TokenLogProbs {
				if d := math.Abs(float64(got.TokenLogProbs[k] - alone.TokenLogProbs[k])); d > 1e-5 {
					t.Errorf("%s, text %d, token %d: log-prob %g together, %g alone", name, i, k, got.TokenLogProbs[k], alone.TokenLogProbs[k])
				}
				a, _ := got.Dist.At(k)
				b, _ := alone.Dist.At(k)
				if !slices.Equal(a, b) {
					t.Errorf("%s, text %d, token %d: entries %v together, %v alone", name, i, k, a, b)
				}
			}
		}
	}
	if _, err := e.ReadAll(ctx, [][]int32{start, {}}, top); err == nil {
		t.Error("a text without tokens is read")
	}
}

func TestConversationsOfOnePromptShareARow(t *testing.T) {
	ctx := context.Background()
	e := open(t, filepath.Join("..", "..", "data", "models", "judge-a"), Options{BatchRows: 4})
	var list [][]int32
	for i := range 11 {
		list = append(list, append(prompt(9, 1), prompt(i, 50+i)...))
	}
	list = append(list, prompt(9, 2)) // has nothing in common with the others beyond chance
	for _, n := range []int{1, 3, 11, 12} {
		together, err := e.RewardAll(ctx, list[:n])
		if err != nil {
			t.Fatal(err)
		}
		for i, ids := range list[:n] {
			alone, err := e.Reward(ctx, ids)
			if err != nil {
				t.Fatal(err)
			}
			if d := math.Abs(together[i] - alone); d > 1e-5 {
				t.Errorf("%d conversations, number %d: %g together, %g alone", n, i, together[i], alone)
			}
		}
	}
	if common := commonStart(list[:11]); len(common) != 9 {
		t.Errorf("the conversations share %d tokens; want 9", len(common))
	}
}

// TestWindowsInTrees reads texts through a sliding window, which counts positions, not places in the row.
func TestWindowsInTrees(t *testing.T) {
	dir := writeModel(t, "llama", `{"architectures":["MistralForCausalLM"],"model_type":"mistral","vocab_size":768,"hidden_size":32,"intermediate_size":48,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"max_position_embeddings":128,"sliding_window":7}`, false)
	e := open(t, dir, Options{BatchRows: 2})
	texts := [][]int32{prompt(9, 1), prompt(12, 2), prompt(3, 3)}
	together, err := e.ScoreAll(context.Background(), prompt(10, 0), texts, top)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		alone, err := e.Score(context.Background(), ScoreRequest{PromptIDs: prompt(10, 0), TextIDs: text, Truncate: top})
		if err != nil {
			t.Fatal(err)
		}
		for k := range text {
			if d := math.Abs(float64(together[i].TokenLogProbs[k] - alone.TokenLogProbs[k])); d > 1e-5 {
				t.Errorf("text %d, token %d: log-prob %g together, %g alone", i, k, together[i].TokenLogProbs[k], alone.TokenLogProbs[k])
			}
		}
	}
}
