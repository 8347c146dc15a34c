package reward_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/generate"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/reward"
	"github.com/profuser/profuser/transforms/transformtest"
)

func TestMain(m *testing.M) { os.Exit(transformtest.Main(m)) }

const root = "../.."

// score lets two sources answer n prompts, in parts of two, and a judge score the answers.
func score(ctx context.Context, url string, n int) error {
	if err := transformtest.Prompts(ctx, url, n, 2); err != nil {
		return err
	}
	defer transformtest.Close()
	parts := (n + 1) / 2
	s := reward.Step{
		Judge: transformtest.Llama(root), Prompts: "prompts", Generations: []string{"generations/llama", "generations/mpt"},
		Output: "rewards/judge", Footer: dataset.Footer{ConfigDigest: "test"},
	}
	s.Judge.Name = "judge"
	for i, source := range []inflight.Model{transformtest.Llama(root), transformtest.MPT(root)} {
		g := generate.Step{
			Source: source, Prompts: "prompts", Output: s.Generations[i], Footer: s.Footer,
			TopP: 1, MaxNewTokens: 16, Samples: 1, Truncate: dist.Truncate{Mass: 1, TopK: 2},
		}
		err := transformtest.Run(ctx, url, parts, g, []string{schemas.GenerationSchema}, func(scope beam.Scope, numbers beam.PCollection) beam.PCollection {
			return generate.Generate(scope, g, url, 2, numbers)
		})
		if err != nil {
			return err
		}
	}
	return transformtest.Run(ctx, url, parts, s, []string{schemas.RewardSchema}, func(scope beam.Scope, numbers beam.PCollection) beam.PCollection {
		return reward.Reward(scope, s, url, 2, numbers)
	})
}

func ExampleReward() {
	ctx := context.Background()
	url, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(url)
	transformtest.Use(nil)
	if err := score(ctx, url, 2); err != nil {
		fmt.Println(err)
		return
	}
	rows, err := transformtest.Read[schemas.Reward](ctx, url, "rewards/judge")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range rows {
		fmt.Println(r.ID[:8], r.Source, r.Score)
	}
	// Output:
	// 25899538 llama 0.734375
	// 25899538 mpt 0.109375
	// f4125878 llama 0.3125
	// f4125878 mpt 0.140625
}

// TestOrder: rows stand by prompt, then by source in configured order.
func TestOrder(t *testing.T) {
	transformtest.Use(nil)
	url := t.TempDir()
	if err := score(t.Context(), url, 5); err != nil {
		t.Fatal(err)
	}
	prompts, err := transformtest.Read[schemas.Prompt](t.Context(), url, "prompts")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := transformtest.Read[schemas.Reward](t.Context(), url, "rewards/judge")
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 10 {
		t.Fatalf("%d rows, want 10", len(rows))
	}
	for i, r := range rows {
		if want := []string{"llama", "mpt"}[i%2]; r.Source != want || r.ID != prompts[i/2].ID {
			t.Errorf("row %d is of %s by %s, want %s by %s", i, r.ID, r.Source, prompts[i/2].ID, want)
		}
	}
}

// broken scores nothing.
type broken struct{ *transformtest.Model }

func (broken) Reward(context.Context, reward.Request) (float64, error) { return math.NaN(), nil }

// TestNoNumber: a score that is no number is rejected with its value, it does not vote.
func TestNoNumber(t *testing.T) {
	transformtest.Use(nil)
	open := func(ctx context.Context, m inflight.Model) (reward.Rewarder, error) {
		g, err := generate.Models.Get(ctx, m)
		if err != nil {
			return nil, err
		}
		return broken{g.(*transformtest.Model)}, nil
	}
	reward.Models.Use(open)
	url := t.TempDir()
	if err := score(t.Context(), url, 2); err == nil {
		_, err := transformtest.Read[schemas.Reward](t.Context(), url, "rewards/judge")
		if err == nil {
			t.Error("scores that are no numbers were committed")
		}
	}
	store, err := dataset.OpenStore(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	footer, rows, err := dataset.PartFooter(t.Context(), store, "rewards/judge", 0)
	if err != nil {
		t.Fatal(err)
	}
	if rows != 0 || len(footer.Rejects) != 4 || footer.Rejects[0].Code != reward.CodeNotFinite || !strings.Contains(footer.Rejects[0].Message, "NaN") {
		t.Errorf("%d rows, rejects %v", rows, footer.Rejects)
	}
}

// grouped scores the answers of a prompt together and notes how many those were.
type grouped struct {
	*transformtest.Model
	note func(int)
}

func (g grouped) Rewards(ctx context.Context, requests []reward.Request) (scores []float64, err error) {
	g.note(len(requests))
	for _, r := range requests {
		score, err := g.Reward(ctx, r)
		if err != nil {
			return nil, err
		}
		scores = append(scores, score)
	}
	return scores, nil
}

// TestGroup: a rewarder that can do so gets the answers of each prompt in one call; the rows are the same.
func TestGroup(t *testing.T) {
	transformtest.Use(nil)
	alone := t.TempDir()
	if err := score(t.Context(), alone, 5); err != nil {
		t.Fatal(err)
	}
	want, err := transformtest.Read[schemas.Reward](t.Context(), alone, "rewards/judge")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var sizes []int
	reward.Models.Use(func(ctx context.Context, m inflight.Model) (reward.Rewarder, error) {
		g, err := generate.Models.Get(ctx, m)
		if err != nil {
			return nil, err
		}
		return grouped{g.(*transformtest.Model), func(n int) {
			mu.Lock()
			defer mu.Unlock()
			sizes = append(sizes, n)
		}}, nil
	})
	url := t.TempDir()
	if err := score(t.Context(), url, 5); err != nil {
		t.Fatal(err)
	}
	got, err := transformtest.Read[schemas.Reward](t.Context(), url, "rewards/judge")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("scored in groups: %v, alone: %v", got, want)
	}
	if !slices.Equal(sizes, []int{2, 2, 2, 2, 2}) {
		t.Errorf("calls of %v answers; want two of each of the five prompts", sizes)
	}
}
