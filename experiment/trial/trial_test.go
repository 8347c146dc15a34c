package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/experiment/design"
	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
)

// TestMain makes this binary stand in for both programs when a lab calls it.
func TestMain(m *testing.M) {
	if os.Getenv("EXPERIMENT_STANDS_IN") == "" {
		os.Exit(m.Run())
	}
	if err := standIn(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// standIn writes what the programs would write, and a line of what was asked.
func standIn(args []string) error {
	f, err := os.OpenFile(os.Getenv("EXPERIMENT_STANDS_IN"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	fmt.Fprintln(f, args[0])
	after := func(flag string) string { return args[slices.Index(args, flag)+1] }
	if strings.Contains(strings.Join(args, " "), "preset=broken") {
		return errors.New("it broke")
	}
	dir := ""
	if len(args) > 1 {
		dir = filepath.Dir(args[1])
	}
	switch {
	case args[0] == "pretrain", args[0] == "merge":
		return os.MkdirAll(after("--out"), 0o755)
	case args[0] == "run":
		for _, name := range common[3:] {
			if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
				return err
			}
		}
		if exists(filepath.Join(dir, "evaluation", "target")) {
			return nil
		}
		return evaluation(dir, "target", 1)
	case args[0] == "train":
		lines := `{"step":0,"epoch":0,"end":"start"}` + "\n" + `{"step":1,"epoch":1,"loss":1,"loss_inference":1,"loss_training":null}` + "\n" +
			`{"step":2,"epoch":2,"loss":1,"loss_inference":1,"loss_training":1}` + "\n"
		return errors.Join(os.MkdirAll(filepath.Join(dir, "model"), 0o755), write(filepath.Join(dir, "trainer", "metrics.jsonl"), []byte(lines)))
	case slices.Contains(args, "--reward"):
		name, text := "rewards.json", `{"rows":[{"epoch":0,"mean":1,"sd":1},{"epoch":1,"mean":2,"sd":3}]}`
		if slices.Contains(args, "--model") {
			name, text = "rewards-model-1.json", `{"rows":[{"epoch":0,"mean":4,"sd":1}]}`
		}
		return write(filepath.Join(dir, "evaluation", name), []byte(text))
	case slices.Contains(args, "--task"):
		task := after("--task")
		values := map[string]any{"acc,none": 0.25, "acc_norm,none": 0.5, "exact_match,strict-match": 0.75}
		data, err := json.Marshal(map[string]any{"results": map[string]any{task: values}})
		return errors.Join(err, write(filepath.Join(after("--out"), "summary.json"), data))
	}
	return evaluation(dir, "fused", 2)
}

// evaluation writes answers of which so many of two are right.
func evaluation(dir, model string, right int) error {
	ctx := context.Background()
	s, err := dataset.OpenStore(ctx, dir)
	if err != nil {
		return err
	}
	name := "evaluation/" + model
	rows := []schemas.Evaluation{
		{ID: schemas.PromptID([]schemas.Message{{Role: "user", Content: "a"}}), Model: model, Skill: "facts", Text: "abcd", Nats: 2, Bytes: 4, Correct: true},
		{ID: schemas.PromptID([]schemas.Message{{Role: "user", Content: "b"}}), Model: model, Skill: "facts", Text: "ab", Nats: 2, Bytes: 4, Correct: right == 2},
	}
	data, err := dataset.EncodePart(rows, dataset.Footer{ConfigDigest: "d", CreatedBy: "test"})
	if err != nil {
		return err
	}
	made, _, err := dataset.DecodeFooter(data)
	err = errors.Join(err, dataset.Begin(ctx, s, name, dataset.Header{Schema: made.Schema, ConfigDigest: "d"}), s.Create(ctx, name+"/"+dataset.PartName(0), data))
	_, commit := dataset.Commit(ctx, s, name, dataset.CommitOptions{Parts: 1})
	return errors.Join(err, commit)
}

const small = `
seeds: [1, 2]
items_seed: 7
prompts_per_skill: 4
held_out_per_skill: 2
set_items: 4
jobs: 2
lesson: {conversations: 4, tokens: 10, learning_rate: 1e-3}
models:
  target: {path: x, mixture: target, fuller: 0.4}
  sage: {path: x, mixture: sage, fuller: 0.4}
sources: [sage]
judges: {judge-a: x}
curves: [main/SFT]
configuration: "sources: [sage]"
sections:
  - name: main
    title: A
    target: target
    rows:
      - {name: target, model: target}
      - {name: TIES, merge: "models: [{target}]"}
      - {name: SFT, set: [preset=sft]}
  - {name: more, title: B, target: target, rows: [{name: again, set: [preset=sft]}, {name: broken, set: [preset=broken]}]}
  - {name: wrong, title: C, target: target, wrong_references: 0.5, rows: [{name: SFT, set: [preset=sft]}]}
`

func lab(t *testing.T, text string) (*Lab, func() map[string]int) {
	t.Helper()
	d, err := design.Parse([]byte(text), false)
	if err != nil {
		t.Fatal(err)
	}
	calls := filepath.Join(t.TempDir(), "calls")
	t.Setenv("EXPERIMENT_STANDS_IN", calls)
	l := &Lab{Design: d, Dir: t.TempDir(), Profuser: os.Args[0], Trainer: os.Args[0], Say: t.Logf}
	return l, func() map[string]int {
		data, _ := os.ReadFile(calls) // none before the first call
		count := map[string]int{}
		for _, c := range strings.Fields(string(data)) {
			count[c]++
		}
		return count
	}
}

// TestRun: rows that several sections share are made once, a broken one stops no other, and a second run does only what is
// missing.
func TestRun(t *testing.T) {
	l, calls := lab(t, small)
	err := l.Run(context.Background())
	if err == nil || !strings.Contains(err.Error(), "more/broken, seed 1: it broke") || strings.Contains(err.Error(), "SFT") {
		t.Errorf("error is %v, want the broken row's", err)
	}
	// Two lessons; common steps of 2 conditions and 2 seeds, and a run for each training: 2 + 2 broken + 2 wrong; six sets,
	// rewards and an evaluation a row but for the untrained one.
	want := map[string]int{"pretrain": 2, "run": 4 + 6, "train": 4, "merge": 1, "evaluate": 6*6 + 5 + 6}
	if d := cmp.Diff(want, calls()); d != "" {
		t.Error(d)
	}
	results, err := l.Results()
	if err != nil {
		t.Fatal(err)
	}
	sets := map[string]float64{"mmlu": 0.25, "hellaswag": 0.5, "arc_challenge": 0.5, "winogrande": 0.25, "gsm8k": 0.75, "truthfulqa": 0.25}
	reward := 2.0
	trained := &Result{Reward: &reward, Curve: []Score{{0, 1, 1}, {1, 2, 3}}, Sets: sets, Free: map[string]float64{"facts": 1}, Chars: 3, NatsPerByte: 0.5, Updates: 2, Exposures: 3}
	for _, r := range results["main/SFT"] {
		r.Seconds = 0
	}
	if d := cmp.Diff([]*Result{trained, trained}, results["main/SFT"]); d != "" {
		t.Error(d)
	}
	if r := results["main/target"]; len(r) != 1 || r[0].Free["facts"] != 0.5 || *r[0].Reward != 4 || r[0].Updates != 0 {
		t.Errorf("the target's result is %+v", r)
	}
	if r := results["more/broken"]; len(r) != 2 || r[0] != nil {
		t.Errorf("the broken row's results are %v, want two missing ones", r)
	}
	if r := results["more/again"]; len(r) != 2 || r[0] == nil {
		t.Error("a row of the same digest has no result")
	}
	if err := l.Run(context.Background()); err == nil {
		t.Error("the broken row is whole in the second run")
	}
	want["run"] += 2
	if d := cmp.Diff(want, calls()); d != "" {
		t.Errorf("the second run: %s", d)
	}
}

// TestOneAtATime: a second experiment in a folder is refused.
func TestOneAtATime(t *testing.T) {
	l, calls := lab(t, small)
	f, err := os.Open(l.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if err := l.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "another experiment works in") || !errors.Is(err, ErrBusy) {
		t.Errorf("error is %v, want that another one works there", err)
	}
	if len(calls()) > 0 {
		t.Errorf("called %v", calls())
	}
}

// TestCancelled: a stopped run begins nothing and says so.
func TestCancelled(t *testing.T) {
	l, calls := lab(t, small)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want that it was cancelled", err)
	}
	if len(calls()) > 0 {
		t.Errorf("called %v", calls())
	}
}

// TestPerform: a task waits for what it needs, and is left out when that failed.
func TestPerform(t *testing.T) {
	order := make(chan string, 10)
	ran := func(name string, err error, needs ...string) task {
		return task{name, needs, func(context.Context) error { order <- name; return err }}
	}
	err := perform(context.Background(), []task{ran("c", nil, "b"), ran("b", nil, "a"), ran("a", nil), ran("bad", errors.New("no")), ran("after", nil, "bad"), ran("last", nil, "after")}, 2, t.Logf)
	close(order)
	var got []string
	for name := range order {
		if name != "bad" {
			got = append(got, name)
		}
	}
	if d := cmp.Diff([]string{"a", "b", "c"}, got); d != "" {
		t.Error(d)
	}
	for _, want := range []string{"bad: no", "after: not run, as bad failed", "last: not run, as after failed"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
}

// TestCommittedDesign: the committed experiment reads, its rows' configurations are accepted, and shared rows are shared.
func TestCommittedDesign(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	for _, quick := range []bool{false, true} {
		d, err := design.Read(filepath.Join("data", "experiment.yaml"), quick)
		if err != nil {
			t.Fatal(err)
		}
		l := &Lab{Design: d, Dir: t.TempDir()}
		for name, m := range d.Models { // a lesson's model has the same files as the one it begins with
			from, err := filepath.Abs(m.Path)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.MkdirAll(filepath.Join(l.Dir, "models"), 0o755), os.Symlink(from, l.modelDir(name))); err != nil {
				t.Fatal(err)
			}
		}
		digests := map[string]string{}
		for _, r := range l.rows() {
			digests[r.label()] = l.rowDigest(r)
			dir := t.TempDir()
			err := errors.Join(l.configuration(r.condition, dir), write(filepath.Join(dir, "prompts.jsonl"), nil), write(filepath.Join(dir, "heldout.jsonl"), nil))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(filepath.Join(dir, "fusion.yaml"), r.Set); err != nil {
				t.Errorf("%s: %v", r.label(), err)
			}
		}
		for a, b := range map[string]string{"main/ProFuser, seed 2": "alignment/exact, seed 2", "main/InferFuse, seed 3": "advantage/vote, seed 3", "main/SFT, seed 1": "exposures/SFT, seed 1"} {
			if !quick && (digests[a] == "" || digests[a] != digests[b]) {
				t.Errorf("%s and %s have digests %q and %q, want one", a, b, digests[a], digests[b])
			}
		}
		if digests["main/SFT, seed 1"] == digests["wrong/SFT, seed 1"] || digests["main/SFT, seed 1"] == digests["main/SFT, seed 2"] {
			t.Error("rows of different conditions or seeds have one digest")
		}
	}
}
