package judge_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/judge"
	"github.com/profuser/profuser/transforms/transformtest"
)

func TestMain(m *testing.M) { os.Exit(transformtest.Main(m)) }

// byLength prefers the longer answer, but calls short ones equal, and answers what say holds for a prompt that contains its key.
type byLength struct {
	say  map[string]string
	fail map[string]error
}

func (byLength) Close() error { return nil }

func (m byLength) Say(_ context.Context, messages []schemas.Message, _ int) (string, error) {
	text := messages[1].Content
	for part, err := range m.fail {
		if strings.Contains(text, part) {
			return "", err
		}
	}
	for part, reply := range m.say {
		if strings.Contains(text, part) {
			return reply, nil
		}
	}
	a, b, _ := strings.Cut(text[strings.Index(text, "Answer A:")+len("Answer A:"):], "Answer B:")
	switch {
	case len(a) > len(b)+1:
		return "A is longer.\nVerdict: A", nil
	case len(b) > len(a)+1:
		return "B is longer.\nVerdict: B", nil
	}
	return "Verdict: tie", nil
}

// answers commits prompts and two sources' answers to them: sage's second sample and those to the second prompt are equal.
func answers(ctx context.Context, url string) error {
	if err := transformtest.Prompts(ctx, url, 3, 2); err != nil {
		return err
	}
	prompts, err := transformtest.Read[schemas.Prompt](ctx, url, "prompts")
	if err != nil {
		return err
	}
	row := func(prompt int, source string, sample int32, text, finish string) schemas.Generation {
		g := schemas.Generation{ID: prompts[prompt].ID, Source: source, Sample: sample, Text: text, FinishReason: finish, PromptTokens: 1, TopP: 1}
		for i := range len(text) + 1 {
			if i == len(text) && finish != schemas.FinishStop {
				break
			}
			id := int32(i) // tokens do not matter here, but there must be one a byte, and end-of-turn
			g.TokenIDs, g.TokenLogProbs, g.TextRank, g.Counts = append(g.TokenIDs, id), append(g.TokenLogProbs, -0.5), append(g.TextRank, 0), append(g.Counts, 1)
			g.IDs, g.LogProbs, g.StartBytes = append(g.IDs, id), append(g.LogProbs, -0.5), append(g.StartBytes, id)
		}
		return g
	}
	stop := schemas.FinishStop
	target := [][]schemas.Generation{{row(0, "target", 0, "short", stop), row(1, "target", 0, "same", stop)}, {row(2, "target", 0, "cut", schemas.FinishLength)}}
	sage := [][]schemas.Generation{{row(0, "sage", 0, "a longer one", stop), row(1, "sage", 0, "same", stop)}, {row(2, "sage", 0, "whole", stop), row(2, "sage", 1, "whole, too", stop)}}
	if err := transformtest.Write(ctx, url, "generations/target", schemas.GenerationSchema, target); err != nil {
		return err
	}
	return transformtest.Write(ctx, url, "generations/sage", schemas.GenerationSchema, sage)
}

// compare runs the step with a judge.
func compare(ctx context.Context, url string, m judge.Judge) error {
	judge.Models.Use(func(context.Context, inflight.Model) (judge.Judge, error) { return m, nil })
	defer judge.Models.Close()
	if err := answers(ctx, url); err != nil {
		return err
	}
	s := judge.Step{
		Judge: inflight.Model{Name: "umpire", Concurrency: 2}, Criteria: "length", Prompts: "prompts", Generations: []string{"generations/target", "generations/sage"},
		Output: "verdicts", Filters: advantage.Filters{Unfinished: true, MaxRepeat: 1}, Footer: dataset.Footer{ConfigDigest: "test"},
	}
	return transformtest.Run(ctx, url, 2, s, []string{schemas.VerdictSchema}, func(scope beam.Scope, numbers beam.PCollection) beam.PCollection {
		return judge.Compare(scope, s, url, 2, numbers)
	})
}

func ExampleCompare() {
	ctx := context.Background()
	url, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(url)
	if err := compare(ctx, url, byLength{}); err != nil {
		fmt.Println(err)
		return
	}
	rows, err := transformtest.Read[schemas.Verdict](ctx, url, "verdicts")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, v := range rows {
		fmt.Printf("%s %s %d, %s %d: %s %q\n", v.ID[:8], v.First, v.FirstSample, v.Second, v.SecondSample, v.Winner, v.Text)
	}
	// Output:
	// 25899538 target 0, sage 0: second "B is longer.\nVerdict: B"
	// 25899538 sage 0, target 0: first "A is longer.\nVerdict: A"
	// f4125878 target 0, sage 0: tie ""
	// f4125878 sage 0, target 0: tie ""
	// 7df956af sage 0, sage 1: second "B is longer.\nVerdict: B"
	// 7df956af sage 1, sage 0: first "A is longer.\nVerdict: A"
}

// TestRejects: a reply without a verdict and a refusal are rejects of one order; any other error ends the step.
func TestRejects(t *testing.T) {
	url := t.TempDir()
	m := byLength{say: map[string]string{"Answer A:\n==========\nshort": "I cannot say."}, fail: map[string]error{"Answer A:\n==========\nwhole,": judge.TooLong(5000, 4096)}}
	if err := compare(t.Context(), url, m); err != nil {
		t.Fatal(err)
	}
	rows, err := transformtest.Read[schemas.Verdict](t.Context(), url, "verdicts")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range rows {
		got = append(got, fmt.Sprintf("%s %d", v.First, v.FirstSample))
	}
	if d := cmp.Diff([]string{"sage 0", "target 0", "sage 0", "sage 0"}, got); d != "" {
		t.Error(d)
	}
	rejects, err := transformtest.Read[schemas.Verdict](t.Context(), url, "verdicts/rejected")
	if err == nil {
		t.Errorf("rejects read as verdicts: %v", rejects)
	}
	store, err := dataset.OpenStore(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	d, err := dataset.Open(t.Context(), store, "verdicts")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int64{judge.CodeNoVerdict: 1, judge.CodeTooLong: 1}, d.Manifest.RejectCodes); diff != "" {
		t.Error(diff)
	}
	lost := byLength{fail: map[string]error{"Answer A": errors.New("the wire is cut")}}
	if err := compare(t.Context(), t.TempDir(), lost); err == nil || !strings.Contains(err.Error(), "before") || !strings.Contains(err.Error(), "judge umpire: the wire is cut") {
		t.Errorf("error %v", err)
	}
}
