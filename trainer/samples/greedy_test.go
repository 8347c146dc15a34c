package samples

import (
	"context"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/trainer/loop"
	"github.com/profuser/profuser/trainer/optim"
)

// TestGreedy compares the answers of the demo's target with those of models/engine.
func TestGreedy(t *testing.T) {
	const dir, most = "../../data/models/target", 24
	e, err := engine.Open(dir, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	format, err := chat.Load(dir, chat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var prompts [][]int32
	var want []Answer
	for _, question := range []string{"Mia has 5 boxes with 3 apples each. How many apples does Mia have?", "What colour is the flag of Tirnus?", "And then?"} {
		ids, err := format.Prompt([]schemas.Message{{Role: "user", Content: question}})
		if err != nil {
			t.Fatal(err)
		}
		prompts = append(prompts, ids)
		r, err := e.Generate(context.Background(), engine.GenerateRequest{PromptIDs: ids, MaxTokens: most})
		if err != nil {
			t.Fatal(err)
		}
		a := Answer{IDs: r.IDs, Finished: r.Stopped}
		if r.Stopped {
			a.IDs = a.IDs[:len(a.IDs)-1]
		}
		want = append(want, a)
	}
	config, l := learner(t, dir)
	g, err := NewGreedy(l, config, prompts, most, format.StopIDs())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // nothing is left of the first time
		got, err := g.Answers()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("answers (-engine +learner):\n%s", diff)
		}
	}
	if !want[0].Finished {
		t.Error("no answer ends by itself: that is not tested")
	}
}

// TestContext: answers end where the model's context does, and prompts that fill it are refused.
func TestContext(t *testing.T) {
	config, l := learner(t, "../../data/models/target")
	prompt := make([]int32, config.Context()-3)
	g, err := NewGreedy(l, config, [][]int32{prompt, {5}}, 6, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := g.Answers()
	if err != nil || len(got[0].IDs) != 3 || len(got[1].IDs) != 6 || got[0].Finished {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := NewGreedy(l, config, [][]int32{make([]int32, config.Context())}, 6, nil); err == nil || !strings.Contains(err.Error(), "must have 1 to 255") {
		t.Errorf("a prompt that fills the context: %v", err)
	}
}

func learner(t *testing.T, dir string) (decoder.Config, *loop.Learner) {
	t.Helper()
	config, err := decoder.ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	store, err := decoder.LoadStore(dir, config)
	if err != nil {
		t.Fatal(err)
	}
	l, err := loop.NewLearner("", store, optim.Default(), func(*model.Scope, []*graph.Node) ([]*graph.Node, map[string]*graph.Node) { return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	return config, l
}
