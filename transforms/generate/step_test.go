package generate_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/generate"
	"github.com/profuser/profuser/transforms/transformtest"
)

func TestMain(m *testing.M) { os.Exit(transformtest.Main(m)) }

// step answers in up to sixteen tokens.
func step() generate.Step {
	return generate.Step{
		Source: transformtest.Llama("../.."), Prompts: "prompts", Output: "generations/llama", Footer: dataset.Footer{ConfigDigest: "test"},
		TopP: 1, MaxNewTokens: 16, Samples: 1, Truncate: dist.Truncate{Mass: 1, TopK: 2},
	}
}

// run makes n prompts in parts of rows and lets the step answer them.
func run(ctx context.Context, url string, n, rows int, s generate.Step) error {
	if err := transformtest.Prompts(ctx, url, n, rows); err != nil {
		return err
	}
	return again(ctx, url, (n+rows-1)/rows, s)
}

func again(ctx context.Context, url string, parts int, s generate.Step) error {
	defer transformtest.Close()
	return transformtest.Run(ctx, url, parts, s, []string{schemas.GenerationSchema}, func(scope beam.Scope, numbers beam.PCollection) beam.PCollection {
		return generate.Generate(scope, s, url, 2, numbers)
	})
}

func ExampleGenerate() {
	ctx := context.Background()
	url, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(url)
	transformtest.Use(nil) // a model that needs no weights
	if err := run(ctx, url, 2, 2, step()); err != nil {
		fmt.Println(err)
		return
	}
	rows, err := transformtest.Read[schemas.Generation](ctx, url, "generations/llama")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, g := range rows {
		fmt.Println(g.Source, g.Text, g.FinishReason, len(g.TokenIDs) == len(g.Counts))
	}
	// Output:
	// llama The answer is 66. stop true
	// llama The answer is 12. stop true
}

// TestPartsDoNotMatter: rows are the same for any size of parts.
func TestPartsDoNotMatter(t *testing.T) {
	transformtest.Use(nil)
	var want []schemas.Generation
	for i, rows := range []int{12, 5, 1} {
		url := t.TempDir()
		if err := run(t.Context(), url, 12, rows, step()); err != nil {
			t.Fatal(err)
		}
		got, err := transformtest.Read[schemas.Generation](t.Context(), url, "generations/llama")
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			want = got
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got) != 12 {
			t.Errorf("parts of %d rows (-one part +these):\n%s", rows, diff)
		}
		for _, g := range got {
			if err := g.Validate(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestLostPartIsMadeAgain: a part that was deleted comes back byte for byte, the others are kept.
func TestLostPartIsMadeAgain(t *testing.T) {
	transformtest.Use(nil)
	url := t.TempDir()
	if err := run(t.Context(), url, 9, 3, step()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(url, "generations/llama", dataset.PartName(1))
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := again(t.Context(), url, 3, step()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Error("the part that was made again has other bytes")
	}
}

// TestTooLongIsRejected: a prompt that leaves no room for the answer is refused with its numbers, never cut.
func TestTooLongIsRejected(t *testing.T) {
	transformtest.Use(func(_ string, m *transformtest.Model) { m.Tokens = 20 })
	url := t.TempDir()
	err := run(t.Context(), url, 3, 3, step())
	if err != nil {
		t.Fatal(err)
	}
	store, err := dataset.OpenStore(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	footer, rows, err := dataset.PartFooter(t.Context(), store, "generations/llama", 0)
	if err != nil {
		t.Fatal(err)
	}
	if rows != 0 || len(footer.Rejects) != 3 {
		t.Fatalf("%d rows and %d rejects, want 0 and 3", rows, len(footer.Rejects))
	}
	r := footer.Rejects[0]
	if r.Code != generate.CodeTooLong || r.Source != "llama" || !strings.Contains(r.Message, "max_new_tokens 16 exceed the context of 20") {
		t.Errorf("reject %+v", r)
	}
}

// TestCutAnswer: an answer at the token limit is unfinished and has no end-of-turn.
func TestCutAnswer(t *testing.T) {
	transformtest.Use(nil)
	url, s := t.TempDir(), step()
	s.MaxNewTokens = 3
	if err := run(t.Context(), url, 1, 1, s); err != nil {
		t.Fatal(err)
	}
	got, err := transformtest.Read[schemas.Generation](t.Context(), url, "generations/llama")
	if err != nil {
		t.Fatal(err)
	}
	if g := got[0]; g.FinishReason != schemas.FinishLength || len(g.TokenIDs) != 3 {
		t.Errorf("finish reason %s, %d tokens", g.FinishReason, len(g.TokenIDs))
	}
}

// TestSeeds: every sample of every prompt and source has its own seed.
func TestSeeds(t *testing.T) {
	seen := map[int64]bool{}
	for _, seed := range []int64{0, 1} {
		for _, id := range []string{"a", "b"} {
			for _, source := range []string{"x", "y"} {
				for sample := range 3 {
					s := generate.SeedOf(seed, id, source, sample)
					if s < 0 || seen[s] {
						t.Errorf("seed %d of %d %s %s %d is negative or not new", s, seed, id, source, sample)
					}
					seen[s] = true
				}
			}
		}
	}
}
