package examine_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/tokenizer"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/examine"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/transformtest"
)

func TestMain(m *testing.M) { os.Exit(transformtest.Main(m)) }

// fake gives every token a log-prob of -1/16, writes "#### 7" and counts how many texts it was asked for together.
type fake struct {
	t       *tokenizer.Tokenizer
	context int
	asked   *[]int
}

func (f fake) Tokenizer() *tokenizer.Tokenizer { return f.t }
func (f fake) StopIDs() []int32                { return []int32{2} }
func (f fake) Context() int                    { return f.context }
func (f fake) Close() error                    { return nil }

func (f fake) ScoreAll(_ context.Context, before []int32, texts [][]int32) ([][]float32, error) {
	*f.asked = append(*f.asked, len(texts))
	out := make([][]float32, len(texts))
	for i, text := range texts {
		if len(before)+len(text) > f.context {
			return nil, fmt.Errorf("%d tokens for a context of %d", len(before)+len(text), f.context)
		}
		for range text {
			out[i] = append(out[i], -0.0625)
		}
	}
	return out, nil
}

func (f fake) Write(context.Context, []int32, int, []string) ([]int32, error) {
	return append(f.t.Encode("#### 7 Question: more"), 2), nil
}

// ask lets a fake model of a context answer items of a task, one part, and returns the rows, the part's rejects and how
// many texts each call had.
func ask(ctx context.Context, url, task string, room int, items ...schemas.BenchmarkItem) (rows []schemas.BenchmarkScore, rejects []schemas.Rejected, asked []int, err error) {
	t, err := tokenizer.Load("../../data/tokenizers/llama")
	if err != nil {
		return nil, nil, nil, err
	}
	examine.Models.Use(func(context.Context, inflight.Model) (examine.Model, error) { return fake{t, room, &asked}, nil })
	if err := transformtest.Write(ctx, url, "requests", schemas.BenchmarkItemSchema, [][]schemas.BenchmarkItem{items}); err != nil {
		return nil, nil, nil, err
	}
	s := examine.Step{
		Model: inflight.Model{Name: "fake", Concurrency: 1}, Task: task, Requests: "requests", Output: "scores",
		Footer: dataset.Footer{ConfigDigest: "test"}, MaxNewTokens: 8,
	}
	err = transformtest.Run(ctx, url, 1, s, []string{schemas.BenchmarkScoreSchema}, func(scope beam.Scope, numbers beam.PCollection) beam.PCollection {
		return examine.Examine(scope, s, url, 2, numbers)
	})
	if closed := examine.Models.Close(); err == nil {
		err = closed
	}
	store, storeErr := dataset.OpenStore(ctx, url)
	if err != nil || storeErr != nil {
		return nil, nil, nil, fmt.Errorf("%w %w", err, storeErr)
	}
	footer, _, err := dataset.PartFooter(ctx, store, "scores", 0)
	if err != nil {
		return nil, nil, nil, err
	}
	rows, err = transformtest.Read[schemas.BenchmarkScore](ctx, url, "scores")
	return rows, footer.Rejects, asked, err
}

func item(task, context string, answers ...string) schemas.BenchmarkItem {
	b := schemas.BenchmarkItem{Task: task, Contexts: []string{context}, Answers: answers}
	for _, a := range answers {
		b.Continuations = append(b.Continuations, " "+a)
	}
	return b
}

func ExampleExamine() {
	url, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(url)
	rows, _, _, err := ask(context.Background(), url, "arc_challenge", 256, item("arc_challenge", "Is it?", "the frog", "it is the frog of the town"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range rows {
		fmt.Println(r.LogLikelihoods, r.Metrics)
	}
	// Output:
	// [-0.1875 -0.5] [{acc 1} {acc_norm 0}]
}

// TestTogether: answers after one context are one call; those after several contexts are several.
func TestTogether(t *testing.T) {
	two := item("winogrande", "The cup", "fell", "fell")
	two.Contexts = append(two.Contexts, "The rug")
	_, _, asked, err := ask(t.Context(), t.TempDir(), "winogrande", 256, item("winogrande", "The cup ", "a", "b", "c"), two)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(asked); got != "[3 1 1]" {
		t.Errorf("texts of each call: %s, want 3, 1 and 1", got)
	}
}

// TestTooLong: a long context is cut on the left, a long answer is rejected.
func TestTooLong(t *testing.T) {
	long := strings.Repeat("the frog of the town ", 40)
	rows, rejects, _, err := ask(t.Context(), t.TempDir(), "arc_challenge", 64, item("arc_challenge", long, "a", "b"), item("arc_challenge", "a", "b", long), item("arc_challenge", "a", "b", "c"))
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || len(rejects) != 1 || rejects[0].Code != examine.CodeTooLong {
		t.Errorf("%d rows, rejects %+v", len(rows), rejects)
	}
}

// TestWritten: what the model writes ends at a stop.
func TestWritten(t *testing.T) {
	b := schemas.BenchmarkItem{Task: "gsm8k", Contexts: []string{"3 + 4?"}, Answers: []string{"#### 7"}}
	rows, _, _, err := ask(t.Context(), t.TempDir(), "gsm8k", 64, b)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%q %v", strings.TrimSpace(rows[0].Text), rows[0].Metrics); got != `"#### 7" [{flexible-extract 1} {strict-match 1}]` {
		t.Error(got)
	}
}
