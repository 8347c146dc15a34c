package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// endless asks for an answer of n tokens, which the tiny random models give: they do not happen to say a stop id.
func endless(n, salt int) GenerateRequest {
	return GenerateRequest{PromptIDs: prompt(6, salt), MaxTokens: n, Truncate: top}
}

// TestRequestsJoinAndLeaveARunningBatch starts a short answer in the middle of a long one, in one lane: it must end first,
// and both must be what they are alone.
func TestRequestsJoinAndLeaveARunningBatch(t *testing.T) {
	e := open(t, tinyModel(t, "llama", false), Options{BatchRows: 4, Batches: 1})
	ctx := context.Background()
	long, short := endless(25, 1), endless(2, 2)
	short.PromptIDs = prompt(30, 2) // 32 + 2 places: as many as 16 + 25
	if e.places(long) != e.places(short) {
		t.Fatalf("the requests have %d and %d places: they would not meet", e.places(long), e.places(short))
	}
	alone := func(r GenerateRequest) string {
		g, err := e.Generate(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(g)
	}
	wantLong, wantShort := alone(long), alone(short)

	var mu sync.Mutex
	var order []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, what)
	}
	started := make(chan struct{})
	long.Emit = func(r *GenerateResult) {
		if len(r.IDs) == 3 {
			close(started)
		}
		if len(r.IDs) < 25 {
			note("long")
		}
	}
	var group sync.WaitGroup
	group.Go(func() {
		if got := alone(long); got != wantLong {
			t.Errorf("the long answer beside another:\n%s\nalone:\n%s", got, wantLong)
		}
	})
	group.Go(func() {
		<-started
		if got := alone(short); got != wantShort {
			t.Errorf("the short answer beside another:\n%s\nalone:\n%s", got, wantShort)
		}
		note("short")
	})
	group.Wait()
	if at := slices.Index(order, "short"); at < 0 || at > len(order)-3 {
		t.Errorf("the short answer waited for the long one: %v", order)
	}
}

func TestEqualPromptsAreReadOnce(t *testing.T) {
	e := open(t, tinyModel(t, "llama", false), Options{BatchRows: 4, Batches: 1})
	request := func(salt int) GenerateRequest {
		r := endless(4, salt)
		r.Temperature = 1
		return r
	}
	l := newLane(e, e.places(request(0)))
	s := newScheduler(e)
	ctx := context.Background()
	for _, salt := range []int{0, 0, 1, 0} {
		s.waiting[l.places] = append(s.waiting[l.places], newGeneration(ctx, request(salt)))
	}
	s.open, s.lanes[l.places] = 1, 1
	// Four rows read one prompt at a time; three requests share it.
	joining, closed := s.take(l, 4)
	if len(joining) != 3 || closed {
		t.Fatalf("%d requests join, closed %v; want the three of one prompt", len(joining), closed)
	}
	for i, g := range joining {
		g.request.Seed = int64(i)
		g.random = rand.New(rand.NewPCG(uint64(i), 1))
	}
	if err := l.join(joining); err != nil {
		t.Fatal(err)
	}
	for l.free() < 4 {
		if err := l.step(); err != nil {
			t.Fatal(err)
		}
	}
	l.drop()
	for i, g := range joining {
		r := request(0)
		r.Seed = int64(i)
		want, err := e.Generate(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		if d := gocmp.Diff(want, g.result); d != "" {
			t.Errorf("seed %d, alone (-) and from a shared prompt (+):\n%s", i, d)
		}
	}
}

func TestACallerThatGoesFreesItsRow(t *testing.T) {
	e := open(t, tinyModel(t, "mpt", false), Options{BatchRows: 1, Batches: 1})
	ctx, cancel := context.WithCancel(context.Background())
	r := endless(100, 1)
	r.Emit = func(soFar *GenerateResult) {
		if len(soFar.IDs) == 2 {
			cancel()
		}
	}
	if _, err := e.Generate(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled answer: %v", err)
	}
	if _, err := e.Generate(context.Background(), endless(3, 2)); err != nil {
		t.Errorf("after a cancelled answer: %v", err)
	}
}

func TestClosingEndsRunningAnswers(t *testing.T) {
	e, err := Open(tinyModel(t, "mpt", false), Options{BatchRows: 2, Batches: 1})
	if err != nil {
		t.Fatal(err)
	}
	closing := make(chan struct{})
	r := endless(100, 1)
	r.Emit = func(soFar *GenerateResult) {
		if len(soFar.IDs) == 2 {
			close(closing)
		}
	}
	answered := make(chan error)
	go func() {
		_, err := e.Generate(context.Background(), r)
		answered <- err
	}()
	<-closing
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if err := <-answered; !errors.Is(err, ErrClosed) {
		t.Errorf("an answer that Close interrupts: %v", err)
	}
}

// TestStopTexts cuts an answer at every text of its own that it holds.
func TestStopTexts(t *testing.T) {
	e := open(t, tinyModel(t, "llama", false), Options{BatchRows: 4})
	ctx := context.Background()
	whole, err := e.Generate(ctx, endless(20, 3))
	if err != nil {
		t.Fatal(err)
	}
	text := spell(e, whole.IDs)
	for at := 3; at+4 < len(text); at += 5 {
		stop := string(text[at : at+4])
		r := endless(20, 3)
		r.Stop = []string{"never said by it", stop}
		got, err := e.Generate(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		if !got.Stopped || got.StopText != stop {
			t.Errorf("stop %q of %q: stopped %v at %q", stop, text, got.Stopped, got.StopText)
		}
		n := len(got.IDs)
		if !slices.Equal(got.IDs, whole.IDs[:n]) {
			t.Errorf("stop %q changed the tokens: %v, without it %v", stop, got.IDs, whole.IDs)
		}
		if !bytes.Contains(spell(e, got.IDs), []byte(stop)) || bytes.Contains(spell(e, got.IDs[:n-1]), []byte(stop)) {
			t.Errorf("stop %q ended %q, not at the token that completes it", stop, spell(e, got.IDs))
		}
	}
	r := endless(20, 3)
	r.Stop = []string{""}
	if _, err := e.Generate(ctx, r); err == nil {
		t.Error("an empty stop text was taken")
	}
}

// spell is the text of ids.
func spell(e *Engine, ids []int32) (text []byte) {
	for _, id := range ids {
		text = append(text, e.Format().Tokenizer().Bytes(id)...)
	}
	return text
}

func TestSamplingRefusals(t *testing.T) {
	nan := math.NaN()
	for _, r := range []GenerateRequest{
		{Temperature: -1}, {Temperature: nan}, {TopK: -1}, {TopP: 1.1}, {TopP: nan}, {MinP: -0.1}, {MinP: 2}, {RepetitionPenalty: -1}, {RepetitionPenalty: nan},
	} {
		if err := r.check(); err == nil {
			t.Errorf("%+v was taken", r)
		}
	}
}

// TestKeepAgreesWithItsDefinition compares what may be drawn with the definitions applied one after the other to all tokens.
func TestKeepAgreesWithItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "n")
		logits := make([]float32, n)
		for i := range logits {
			logits[i] = float32(rapid.IntRange(-12, 12).Draw(t, "logit")) / 2
		}
		s := sampling{
			temperature: rapid.SampledFrom([]float64{0.5, 1, 2}).Draw(t, "temperature"), topK: rapid.IntRange(0, n+1).Draw(t, "k"),
			topP: rapid.SampledFrom([]float64{0, 0.1, 0.5, 0.9, 0.99, 1}).Draw(t, "p"), minP: rapid.SampledFrom([]float64{0, 0.01, 0.3, 1}).Draw(t, "min"),
		}
		want := allowed(logits, s)
		for seed := range uint64(20) {
			if id := sample(logits, s, rand.New(rand.NewPCG(seed, 2))); !want[id] {
				t.Fatalf("%+v drew token %d, of which the definition keeps %v", s, id, want)
			}
		}
		weights := make([]float64, n)
		var total float64
		for i, x := range logits {
			weights[i] = math.Exp(float64(x-slices.Max(logits)) / s.temperature)
			total += weights[i]
		}
		kept := s.keep(logits, weights, total)
		if kept == nil {
			for v := range int32(n) {
				kept = append(kept, v)
			}
		}
		got := map[int32]bool{}
		for _, v := range kept {
			got[v] = true
		}
		if d := gocmp.Diff(want, got); d != "" {
			t.Fatalf("%+v of %v: definition (-) and keep (+):\n%s", s, logits, d)
		}
	})
}

// allowed lists the tokens that top-k, top-p and min-p leave, in float64 and over all tokens.
func allowed(logits []float32, s sampling) map[int32]bool {
	order := make([]int32, len(logits))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(logits[b], logits[a]) })
	if s.topK > 0 {
		order = order[:min(s.topK, len(order))]
	}
	weight := func(v int32) float64 {
		return math.Exp(float64(logits[v]-logits[order[0]]) / s.temperature)
	}
	var total, mass float64
	for _, v := range order {
		total += weight(v)
	}
	out := map[int32]bool{}
	for _, v := range order {
		if s.topP > 0 && s.topP < 1 && mass >= s.topP*total-1e-12 {
			break
		}
		mass += weight(v)
		if weight(v) >= s.minP {
			out[v] = true
		}
	}
	return out
}

func TestRepetitionPenalty(t *testing.T) {
	logits := []float32{2, -2, 1, 0}
	penalise(logits, 2, []int32{0, 1, 0, 9}, []int32{1, 3})
	if want := []float32{1, -4, 1, 0}; !slices.Equal(logits, want) {
		t.Errorf("penalised: %v, want %v", logits, want)
	}
	e := open(t, tinyModel(t, "llama", false), Options{BatchRows: 1})
	r := endless(12, 4)
	r.RepetitionPenalty = 1e6
	g, err := e.Generate(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int32]bool{}
	for _, id := range append(slices.Clone(r.PromptIDs), g.IDs...) {
		if seen[id] {
			t.Errorf("token %d again, in spite of the penalty: %v", id, g.IDs)
		}
		seen[id] = true
	}
}
