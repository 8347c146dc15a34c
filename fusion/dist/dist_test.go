package dist

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/tensor"
	"pgregory.net/rapid"
)

func dense(vocab int, rows ...float32) *tensor.Dense {
	return tensor.New(tensor.WithShape(len(rows)/vocab, vocab), tensor.WithBacking(rows))
}

// logs gives logits whose softmax is p.
func logs(p ...float64) []float32 {
	x := make([]float32, len(p))
	for i, v := range p {
		x[i] = float32(math.Log(v)) + 3
	}
	return x
}

func TestFromLogitsTruncates(t *testing.T) {
	row := logs(0.05, 0.5, 0.0005, 0.3, 0.1495)
	tests := []struct {
		name     string
		truncate Truncate
		text     int32
		want     []int32
		rank     int32
	}{
		{"all", Truncate{1, 5, 0, false}, 2, []int32{1, 3, 4, 0, 2}, 4},
		{"top-k above the vocabulary", Truncate{1, 50, 0, false}, 0, []int32{1, 3, 4, 0, 2}, 3},
		{"top-k", Truncate{1, 2, 0, false}, 3, []int32{1, 3}, 1},
		{"text from outside the top-k", Truncate{1, 2, 0, false}, 2, []int32{1, 3, 2}, -1},
		{"mass", Truncate{0.79, 5, 0, false}, 1, []int32{1, 3}, 0},
		{"mass, one more", Truncate{0.81, 5, 0, false}, 1, []int32{1, 3, 4}, 0},
		{"mass, text beyond it", Truncate{0.4, 5, 0, false}, 3, []int32{1, 3}, -1},
		{"smallest probability", Truncate{1, 5, 0.06, false}, 1, []int32{1, 3, 4}, 0},
		{"smallest probability, text below it", Truncate{1, 5, 0.06, false}, 2, []int32{1, 3, 4, 2}, -1},
		{"zero value", Truncate{}, 4, []int32{4}, -1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, logProbs, ranks, err := FromLogits(dense(5, row...), []int32{test.text}, test.truncate)
			if err != nil {
				t.Fatal(err)
			}
			ids, _ := s.At(0)
			if diff := cmp.Diff(test.want, ids); diff != "" {
				t.Errorf("ids (-want +got):\n%s", diff)
			}
			if ranks[0] != test.rank {
				t.Errorf("text rank %d, want %d", ranks[0], test.rank)
			}
			p := []float64{0.05, 0.5, 0.0005, 0.3, 0.1495}[test.text]
			if math.Abs(float64(logProbs[0])-math.Log(p)) > 1e-5 {
				t.Errorf("log-prob %v, want %v", logProbs[0], math.Log(p))
			}
			if err := s.Validate(5); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFromLogitsTiesGoById(t *testing.T) {
	s, _, ranks, err := FromLogits(dense(6, 1, 2, 1, 2, 1, 1), []int32{5}, Truncate{1, 3, 0, false})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Sparse{Counts: []int32{4}, IDs: []int32{1, 3, 0, 5}, LogProbs: s.LogProbs}, s); diff != "" || ranks[0] != -1 {
		t.Errorf("rank %d (-want +got):\n%s", ranks[0], diff)
	}
}

func TestFromLogitsEmptyText(t *testing.T) {
	s, logProbs, ranks, err := FromLogits(nil, nil, Truncate{0.99, 32, 1e-3, false})
	if err != nil || s.Len() != 0 || len(logProbs) != 0 || len(ranks) != 0 {
		t.Errorf("got %v %v %v %v, want nothing", s, logProbs, ranks, err)
	}
}

func TestFromLogitsRefuses(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	all := Truncate{1, 9, 0, false}
	column := dense(2, 1, 2, 3, 4)
	if err := column.T(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name     string
		logits   *tensor.Dense
		text     []int32
		truncate Truncate
		want     string
	}{
		{"NaN", dense(3, 1, 2, 3, 4, nan, 6), []int32{0, 0}, all, "position 1: the logit of token 1 is NaN"},
		{"infinite", dense(3, 1, 2, inf, 4, 5, 6), []int32{0, 0}, all, "position 0: the logit of token 2 is +Inf"},
		{"minus infinite", dense(3, 1, 2, -inf), []int32{0}, all, "position 0: the logit of token 2 is -Inf"},
		{"NaN first", dense(2, nan, 1), []int32{0}, all, "the logit of token 0 is NaN"},
		{"token outside", dense(3, 1, 2, 3), []int32{3}, all, "position 0: the text's token is 3"},
		{"rows", dense(3, 1, 2, 3), []int32{0, 1}, all, "want [2, vocabulary]"},
		{"no logits", nil, []int32{0}, all, "no logits for a text of 1 tokens"},
		{"double", tensor.New(tensor.WithShape(1, 2), tensor.Of(tensor.Float64)), []int32{0}, all, "want float32"},
		{"transposed", column, []int32{0, 0}, all, "contiguous"},
		{"mass", dense(2, 1, 2), []int32{0}, Truncate{math.NaN(), 1, 0, false}, "truncate.mass"},
		{"top-k", dense(2, 1, 2), []int32{0}, Truncate{1, -1, 0, false}, "truncate.top_k"},
		{"probability", dense(2, 1, 2), []int32{0}, Truncate{1, 1, 1.5, false}, "truncate.min_prob"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, _, err := FromLogits(test.logits, test.text, test.truncate)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// The slow way: a full sort and naive sums, straight from the definition.
func oracle(row []float32, text int32, t Truncate) (ids []int32, logProbs []float32, rank int32) {
	all := make([]float64, len(row)) // relative to the largest, so that a log-prob near 0 keeps its digits
	order := make([]int32, len(row))
	for v, x := range row {
		all[v], order[v] = float64(x)-float64(slices.Max(row)), int32(v)
	}
	z := LogSumExp(all)
	slices.SortStableFunc(order, func(a, b int32) int { return -cmpFloat(row[a], row[b]) })
	rank = -1
	mass := 0.0
	for k, v := range order {
		p := math.Exp(all[v] - z)
		if k == t.TopK || mass >= t.Mass && t.Mass < 1 || p < t.MinProb {
			break
		}
		if v == text {
			rank = int32(k)
		}
		ids, logProbs = append(ids, v), append(logProbs, RoundBFloat16(float32(all[v]-z)))
		mass += p
	}
	if rank < 0 {
		ids, logProbs = append(ids, text), append(logProbs, RoundBFloat16(float32(all[text]-z)))
	}
	return ids, logProbs, rank
}

func tokenLogProb(row []float32, token int32) float64 {
	all := make([]float64, len(row))
	for v, x := range row {
		all[v] = float64(x) - float64(row[token])
	}
	return -LogSumExp(all)
}

func cmpFloat(a, b float32) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func TestFromLogitsAgreesWithSorting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vocab := rapid.IntRange(1, 60).Draw(t, "vocab")
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		scale := rapid.SampledFrom([]float64{0, 1, 4, 30, 1e4}).Draw(t, "scale")
		truncate := Truncate{
			rapid.SampledFrom([]float64{0, 0.5, 0.9, 0.99, 1}).Draw(t, "mass"),
			rapid.IntRange(0, vocab+3).Draw(t, "top"),
			rapid.SampledFrom([]float64{0, 1e-3, 0.0501}).Draw(t, "min"),
			false,
		}
		positions := rapid.IntRange(1, 4).Draw(t, "positions")
		rows := make([]float32, positions*vocab)
		for i := range rows {
			rows[i] = float32(math.Round(random.NormFloat64()*8) / 8 * scale)
		}
		text := make([]int32, positions)
		for i := range text {
			text[i] = random.Int32N(int32(vocab))
		}
		s, tokenLogProbs, ranks, err := FromLogits(dense(vocab, rows...), text, truncate)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(vocab); err != nil {
			t.Fatal(err)
		}
		for i := range text {
			ids, logProbs := s.At(i)
			wantIDs, wantLogProbs, rank := oracle(rows[i*vocab:(i+1)*vocab], text[i], truncate)
			if diff := cmp.Diff(wantIDs, ids); diff != "" || rank != ranks[i] {
				t.Fatalf("position %d: rank %d, want %d; ids (-want +got):\n%s", i, ranks[i], rank, diff)
			}
			for k, want := range wantLogProbs {
				// Two sums may round to neighbouring bfloat16 numbers.
				if diff := math.Abs(float64(logProbs[k] - want)); diff > math.Abs(float64(want))/127+1e-11 {
					t.Fatalf("position %d, entry %d: log-prob %v, want %v", i, k, logProbs[k], want)
				}
			}
			exact := tokenLogProb(rows[i*vocab:(i+1)*vocab], text[i])
			if diff := math.Abs(float64(tokenLogProbs[i]) - exact); diff > 1e-6*math.Abs(exact)+1e-11 {
				t.Fatalf("position %d: log-prob of the text's token %v, want %v", i, tokenLogProbs[i], exact)
			}
		}
	})
}

func TestRoundBFloat16(t *testing.T) {
	tests := []struct{ x, want float32 }{
		{0, 0},
		{-1, -1},
		{1 + 1.0/256, 1},           // half way: to the even one below
		{1 + 3.0/256, 1 + 4.0/256}, // half way: to the even one above
		{-1 - 1.01/256, -1 - 2.0/256},
		{math.MaxFloat32, float32(math.Inf(1))},
		{float32(math.Inf(-1)), float32(math.Inf(-1))},
	}
	for _, test := range tests {
		if got := RoundBFloat16(test.x); got != test.want {
			t.Errorf("RoundBFloat16(%v) = %v, want %v", test.x, got, test.want)
		}
	}
	for _, bits := range []uint32{0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF} {
		if got := RoundBFloat16(math.Float32frombits(bits)); got == got {
			t.Errorf("NaN %x became %v", bits, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float32Range(-1000, 0).Draw(t, "x")
		got := RoundBFloat16(x)
		if math.Float32bits(got)&0xFFFF != 0 || RoundBFloat16(got) != got {
			t.Fatalf("%v is no bfloat16", got)
		}
		if math.Abs(float64(got-x)) > math.Abs(float64(x))/256+1e-38 {
			t.Fatalf("%v became %v", x, got)
		}
	})
}

func TestLogSpace(t *testing.T) {
	inf := math.Inf(1)
	tests := []struct {
		name      string
		got, want float64
	}{
		{"no values", LogSumExp(nil), -inf},
		{"no mass", LogSumExp([]float64{-inf, -inf}), -inf},
		{"large", LogSumExp([]float64{1e5, 1e5}), 1e5 + math.Ln2},
		{"infinite", LogSumExp([]float64{1, inf}), inf},
		{"add", LogAdd(math.Log(0.25), math.Log(0.5)), math.Log(0.75)},
		{"add a trifle", LogAdd(0, -40), math.Exp(-40)},
		{"add nothing", LogAdd(-3, -inf), -3},
		{"add nothing to nothing", LogAdd(-inf, -inf), -inf},
		{"leave nothing", Log1mExp(0), -inf},
		{"leave everything", Log1mExp(-inf), 0},
		{"leave a half", Log1mExp(-math.Ln2), -math.Ln2},
		{"leave a trifle", Log1mExp(-1e-20), math.Log(1e-20)},
		{"leave nearly everything", Log1mExp(-50), -math.Exp(-50)},
		{"nats", Nats([]float32{-1, -0.5}), 1.5},
		{"nats of nothing", Nats(nil), 0},
	}
	for _, test := range tests {
		if math.Abs(test.got-test.want) > 1e-12*math.Abs(test.want) && test.got != test.want {
			t.Errorf("%s: %v, want %v", test.name, test.got, test.want)
		}
	}
	if got := LogSumExp([]float64{1, math.NaN(), 2}); got == got {
		t.Errorf("NaN gave %v", got)
	}
}

func TestSumExp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		row := rapid.SliceOfN(rapid.Float32Range(-900, 50), 1, 50).Draw(t, "row")
		largest, want := float64(slices.Max(row)), 0.0
		for _, x := range row {
			want += math.Exp(float64(x) - largest)
		}
		if got := sumExp(row, largest); math.Abs(got-want) > 1e-12*want {
			t.Fatalf("%v, want %v", got, want)
		}
	})
	for y := float32(0); y > -690; y -= 0.0371 { // one term alone: every place of the table
		if got, want := sumExp([]float32{y}, 0), math.Exp(float64(y)); math.Abs(got-want) > 1e-12*want {
			t.Fatalf("exp(%v) = %v, want %v", y, got, want)
		}
	}
}

func TestSparseAccess(t *testing.T) {
	var s Sparse
	s.Append([]int32{4, 2}, []float32{-1, -2})
	s.Append(nil, nil)
	s.Append([]int32{7}, []float32{0})
	if diff := cmp.Diff([]int32{0, 2, 2, 3}, s.Offsets()); diff != "" {
		t.Errorf("offsets (-want +got):\n%s", diff)
	}
	ids, logProbs := s.At(2)
	if s.Len() != 3 || len(ids) != 1 || ids[0] != 7 || logProbs[0] != 0 {
		t.Errorf("position 2 is %v %v", ids, logProbs)
	}
	want := []float64{1 - math.Exp(-1) - math.Exp(-2), 1, 0}
	for i, rest := range want {
		if got := s.Rest(i); math.Abs(got-rest) > 1e-12 {
			t.Errorf("rest of %d is %v, want %v", i, got, rest)
		}
	}
	clone := s.Clone()
	clone.IDs[0] = 9
	if s.IDs[0] != 4 {
		t.Error("a clone shares memory")
	}
}

func TestValidateNamesTheFault(t *testing.T) {
	tests := []struct {
		name string
		s    Sparse
		want string
	}{
		{"lengths", Sparse{[]int32{1}, []int32{1}, nil}, "1 ids and 0 log-probs"},
		{"counts too large", Sparse{[]int32{0, 2}, []int32{1}, []float32{0}}, "position 1: count is 2"},
		{"negative count", Sparse{[]int32{-1}, nil, nil}, "position 0: count is -1"},
		{"counts too small", Sparse{[]int32{1}, []int32{1, 2}, []float32{-1, -1}}, "add up to 1, but 2"},
		{"id", Sparse{[]int32{1}, []int32{5}, []float32{-1}}, "id 5: want 0 to 4"},
		{"positive", Sparse{[]int32{1}, []int32{1}, []float32{0.1}}, "log-prob 0.1"},
		{"NaN", Sparse{[]int32{1}, []int32{1}, []float32{float32(math.NaN())}}, "log-prob NaN"},
		{"no probability", Sparse{[]int32{1}, []int32{1}, []float32{float32(math.Inf(-1))}}, "log-prob -Inf"},
		{"ascending", Sparse{[]int32{2}, []int32{1, 2}, []float32{-2, -1}}, "descending"},
		{"mass", Sparse{[]int32{3}, []int32{1, 2, 3}, []float32{-0.7, -0.7, -0.7}}, "mass is 1.489756"},
		{"twice", Sparse{[]int32{2}, []int32{1, 1}, []float32{-1, -1}}, "id 1 stands twice"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := test.s.Validate(5); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func BenchmarkFromLogits(b *testing.B) {
	const positions, vocab = 256, 32000
	random := rand.New(rand.NewPCG(1, 2))
	rows := make([]float32, positions*vocab)
	for i := range rows {
		rows[i] = float32(random.NormFloat64() * 3)
	}
	text := make([]int32, positions)
	logits := dense(vocab, rows...)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, err := FromLogits(logits, text, Truncate{0.99, 32, 1e-3, false}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*positions)/b.Elapsed().Seconds(), "positions/s")
}

func TestTop(t *testing.T) {
	s := Sparse{Counts: []int32{3, 0, 2, 1}, IDs: []int32{5, 4, 3, 9, 8, 7}, LogProbs: []float32{-1, -2, -3, -1, -2, -1}}
	want := Sparse{Counts: []int32{2, 0, 1, 1}, IDs: []int32{5, 3, 9, 7}, LogProbs: []float32{-1, -3, -1, -1}}
	if d := cmp.Diff(want, s.Top(1, []int32{3, 3, 9, 1})); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(s, s.Top(0, nil)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(s, s.Top(9, nil)); d != "" {
		t.Error(d)
	}
}
