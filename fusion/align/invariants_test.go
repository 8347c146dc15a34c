package align_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/fusion/align"
	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/schemas"
)

// ends are the end-of-turn tokens of the real tokenizers.
var ends = map[string]string{"vicuna": "</s>", "llama2": "</s>", "mistral03": "</s>", "mptchat": "<|im_end|>", "gpt2": "<|endoftext|>"}

// oddTexts are texts that some tokenizer rewrites, glues or cuts.
var oddTexts = []string{
	"", " ", "\n", "7", " 7  77\t777\n\n", "cafe\u0301 A\u030a \u1100\u1161\u11a8", "日本語🙂👩‍👩‍👧", "a\u0323\u0301\u0307b", "▁ Ġ <0x0A> </s> <|im_end|>",
	"                                deep", "x\u00a0y\u3000z", "\x00\x7f\ufffd", "1,234.50 = $<<1+2=3>>3\n#### 3",
}

// opinion makes distributions of some entries over a vocabulary: the text's token, and others drawn with a seed. Full mass
// leaves no rest.
func opinion(m *model, ids []int32, random *rand.Rand, entries int) (d dist.Sparse, ranks []int32) {
	for _, own := range ids {
		list := []int32{own}
		for len(list) < entries {
			if id := random.Int32N(int32(m.Size())); !slices.Contains(list, id) && m.Token(id) != "" {
				list = append(list, id)
			}
		}
		weights := make([]float64, len(list))
		sum := 0.0
		for k := range weights {
			weights[k] = random.ExpFloat64()
			sum += weights[k]
		}
		slices.SortFunc(weights, func(a, b float64) int { return int(math.Copysign(1, b-a)) })
		random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		logProbs := make([]float32, len(list))
		for k, w := range weights {
			logProbs[k] = float32(math.Log(w / sum))
		}
		d.Append(list, logProbs)
		ranks = append(ranks, int32(slices.Index(list, own)))
	}
	return d, ranks
}

// TestRealSameTokenizer: output is input, exact everywhere.
func TestRealSameTokenizer(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for name, end := range ends {
		m := loadModel(t, name, end)
		e := newExact(m, m)
		for _, text := range oddTexts {
			tokens := m.tokens(text)
			d, ranks := opinion(m, tokens.IDs, random, 12)
			got, err := e.Align([]byte(text), tokens, d, ranks, tokens)
			if err != nil {
				t.Fatalf("%s, %q: %v", name, text, err)
			}
			want := align.Aligned{Dist: d, Status: slices.Repeat([]schemas.Status{schemas.StatusExact}, len(tokens.IDs))}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %q (-input +output):\n%s", name, text, diff)
			}
		}
	}
}

// TestRealPairsKeepTheInvariants: every pair of real tokenizers, random opinions on texts of every kind: masses, ids, the
// text's token, no likelihood lost, end-of-turn, and the order of entries changes nothing.
func TestRealPairsKeepTheInvariants(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	models := map[string]*model{}
	for name, end := range ends {
		models[name] = loadModel(t, name, end)
	}
	for from, source := range models {
		for to, target := range models {
			if from == to || from == "llama2" || to == "llama2" && from == "vicuna" {
				continue // Llama-2 and Vicuna have one vocabulary
			}
			e := newExact(source, target)
			for _, text := range oddTexts {
				s, goal := source.tokens(text), target.tokens(text)
				d, ranks := opinion(source, s.IDs, random, 40)
				got, err := e.Align([]byte(text), s, d, ranks, goal)
				if err != nil {
					t.Fatalf("%s to %s, %q: %v", from, to, text, err)
				}
				checkInvariants(t, from+" to "+to+" "+text, s, d, goal, got, target.Size())
				again, err := e.Align([]byte(text), s, reversed(d), ranks, goal)
				if diff := cmp.Diff(got, again); err != nil || diff != "" {
					t.Errorf("%s to %s, %q, entries reversed: %v\n%s", from, to, text, err, diff)
				}
			}
		}
	}
}

// reversed turns the entries of each position around.
func reversed(d dist.Sparse) dist.Sparse {
	out := d.Clone()
	offsets := d.Offsets()
	for t := range d.Counts {
		slices.Reverse(out.IDs[offsets[t]:offsets[t+1]])
		slices.Reverse(out.LogProbs[offsets[t]:offsets[t+1]])
	}
	return out
}

func checkInvariants(t *testing.T, name string, source align.Tokens, d dist.Sparse, target align.Tokens, got align.Aligned, size int) {
	t.Helper()
	if err := got.Dist.Validate(size); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var lost, kept float64
	offsets := d.Offsets()
	for l, id := range source.IDs {
		lost += float64(d.LogProbs[int(offsets[l])+slices.Index(d.IDs[offsets[l]:offsets[l+1]], id)])
	}
	nothing := false
	for i, id := range target.IDs {
		ids, logProbs := got.Dist.At(i)
		k := slices.Index(ids, id)
		if (got.Status[i] == schemas.StatusNone) != (len(ids) == 0) || got.Status[i] != schemas.StatusNone && k < 0 {
			t.Fatalf("%s: position %d has status %d and %d entries, the text's token at %d", name, i, got.Status[i], len(ids), k)
		}
		sum := 0.0
		for _, x := range logProbs {
			sum += math.Exp(float64(x))
		}
		if sum > 1+1e-6+1e-7*float64(len(ids)) { // float32 log-probs
			t.Fatalf("%s: position %d has mass %v", name, i, sum)
		}
		if k < 0 {
			nothing = true
			continue
		}
		kept += float64(logProbs[k])
	}
	if !nothing && kept < lost*(1+1e-6)-1e-5 {
		t.Errorf("%s: likelihood lost: %v nats by target tokens, %v by source tokens", name, kept, lost)
	}
	if last := len(target.IDs) - 1; got.Status[last] != schemas.StatusExact {
		t.Errorf("%s: end-of-turn has status %d", name, got.Status[last])
	}
}

// TestRealTies: of two tokens with one byte string the ordinary one is said, not the byte-fallback one.
func TestRealTies(t *testing.T) {
	vicuna, mpt := loadModel(t, "vicuna", "</s>"), loadModel(t, "mptchat", "<|im_end|>")
	letter, ok := mpt.ID("A")
	ordinary, known := vicuna.ID("A")
	if !ok || !known {
		t.Fatal("no token A")
	}
	own, _ := mpt.ID("B")
	one := align.Tokens{IDs: []int32{own}, Starts: []int32{0}}
	goal := align.Tokens{IDs: vicuna.EncodeMidText([]byte("B")), Starts: []int32{0}}
	got, err := newExact(mpt, vicuna).Align([]byte("B"), one, dist.Sparse{Counts: []int32{2}, IDs: []int32{own, letter}, LogProbs: []float32{-0.5, -1}}, []int32{0}, goal)
	if err != nil {
		t.Fatal(err)
	}
	if want := append(slices.Clone(goal.IDs), ordinary); !slices.Equal(got.Dist.IDs, want) {
		t.Errorf("entries %v, want %v", got.Dist.IDs, want)
	}
}

// TestInnerLoopDoesNotAllocate: a longer text costs no more allocations than a short one, once its tokens were met.
func TestInnerLoopDoesNotAllocate(t *testing.T) {
	vicuna, mpt := loadModel(t, "vicuna", "</s>"), loadModel(t, "mptchat", "<|im_end|>")
	random := rand.New(rand.NewPCG(7, 8))
	e := newExact(mpt, vicuna)
	text := ""
	for range 200 {
		text += "Natalia sold 4872 clips in May, half as many as in April.\n"
	}
	s, goal := mpt.tokens(text), vicuna.tokens(text)
	d, ranks := opinion(mpt, s.IDs, random, 10)
	run := func() {
		if _, err := e.Align([]byte(text), s, d, ranks, goal); err != nil {
			t.Fatal(err)
		}
	}
	run()
	if n := testing.AllocsPerRun(5, run); n > 12 {
		t.Errorf("%v allocations for %d positions, want the result's alone", n, len(goal.IDs))
	}
}
