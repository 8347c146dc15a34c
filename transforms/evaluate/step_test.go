package evaluate_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/evaluate"
	"github.com/profuser/profuser/transforms/transformtest"
)

func TestMain(m *testing.M) { os.Exit(transformtest.Main(m)) }

// answer lets a model answer n items.
func answer(ctx context.Context, url string, n int) ([]schemas.Evaluation, error) {
	transformtest.Use(nil)
	defer transformtest.Close()
	if err := transformtest.Prompts(ctx, url, n, 2); err != nil {
		return nil, err
	}
	s := evaluate.Step{Model: transformtest.MPT("../.."), Items: "prompts", Output: "evaluation/mpt", Footer: dataset.Footer{ConfigDigest: "test"}, MaxNewTokens: 16}
	err := transformtest.Run(ctx, url, (n+1)/2, s, []string{schemas.EvaluationSchema}, func(scope beam.Scope, numbers beam.PCollection) beam.PCollection {
		return evaluate.Evaluate(scope, s, url, 2, numbers)
	})
	if err != nil {
		return nil, err
	}
	return transformtest.Read[schemas.Evaluation](ctx, url, s.Output)
}

func ExampleEvaluate() {
	url, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(url)
	rows, err := answer(context.Background(), url, 2)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range rows {
		fmt.Println(e.Text, e.Answer, e.Correct, e.Skill, e.Nats)
	}
	// Output:
	// The answer is 40. 0 false sums 1.25
	// The answer is 52. 2 false sums 1.0625
}

// TestItems: items without a reference are rejected, the others have a row.
func TestItems(t *testing.T) {
	url := t.TempDir()
	rows, err := answer(t.Context(), url, 4)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 3 {
		t.Errorf("%d rows, want 3", len(rows))
	}
	for _, e := range rows {
		if err := e.Validate(); err != nil {
			t.Error(err)
		}
	}
	store, err := dataset.OpenStore(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	footer, _, err := dataset.PartFooter(t.Context(), store, "evaluation/mpt", 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(footer.Rejects) != 1 || footer.Rejects[0].Code != evaluate.CodeItem {
		t.Errorf("rejects %+v", footer.Rejects)
	}
}
