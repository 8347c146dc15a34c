package compare

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/internal/report/invented"
	"github.com/profuser/profuser/schemas"
)

// store is an empty one.
func store(t *testing.T) dataset.Store {
	t.Helper()
	s, err := dataset.OpenStore(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// file writes one.
func file(t *testing.T, s dataset.Store, key, text string) {
	t.Helper()
	if err := s.Create(context.Background(), key, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// evaluated commits a model's held-out results: of items 0 to n, those whose letter is r are right.
func evaluated(t *testing.T, s dataset.Store, model, right string, nats float64) {
	t.Helper()
	var rows []schemas.Evaluation
	for i, letter := range right {
		rows = append(rows, schemas.Evaluation{
			ID: schemas.PromptID([]schemas.Message{{Role: "user", Content: fmt.Sprint(i)}}), Model: model, Skill: []string{"sums", "facts"}[i%2],
			Text: "7", Answer: "7", Correct: letter == 'r', Nats: nats * float64(i+1), Bytes: 10,
		})
	}
	if err := invented.Commit(context.Background(), s, "evaluation/"+model, map[string]string{"evaluate.max_new_tokens": "64", "training": "\"abc\""}, rows); err != nil {
		t.Fatal(err)
	}
}

// selected commits prompts and who wins them in inference mode: a letter for each prompt, t(arget) or s(age), - for none.
func selected(t *testing.T, s dataset.Store, winners string, depends map[string]string) {
	t.Helper()
	ctx := context.Background()
	var prompts []schemas.Prompt
	var selections []schemas.Selection
	rewards := map[string][]schemas.Reward{}
	for i, letter := range winners {
		messages := []schemas.Message{{Role: "user", Content: fmt.Sprintf("Prompt <%d>?", i)}}
		p := schemas.Prompt{ID: schemas.PromptID(messages), Messages: messages}
		prompts = append(prompts, p)
		if letter == '-' {
			continue
		}
		winner := map[rune]string{'t': "target", 's': "sage"}[letter]
		margin := 1.0
		selections = append(selections, schemas.Selection{ID: p.ID, Mode: schemas.ModeInference, Source: winner, Margin: &margin, Candidates: []schemas.Candidate{{Source: "target"}, {Source: "sage"}}})
		for _, name := range []string{"target", "sage"} {
			score := 0.0
			if name == winner {
				score = 1
			}
			rewards[name] = append(rewards[name], schemas.Reward{ID: p.ID, Source: name, Score: score})
		}
	}
	for _, err := range []error{
		invented.Commit(ctx, s, "prompts", map[string]string{"prompts.turns": "last"}, prompts), invented.Commit(ctx, s, "selections", depends, selections),
		invented.Commit(ctx, s, "rewards/judge", nil, append(rewards["target"], rewards["sage"]...)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// write compares and reads both files back.
func write(t *testing.T, here, there dataset.Store) (c Comparison, html, text string) {
	t.Helper()
	var out strings.Builder
	ctx := context.Background()
	if err := Write(ctx, Run{"this", here}, Run{"that", there}, &out); err != nil {
		t.Fatal(err)
	}
	data, err := here.Read(ctx, "report-compare.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	page, err := here.Read(ctx, "report-compare.html")
	if err != nil {
		t.Fatal(err)
	}
	return c, string(page), out.String()
}

func TestTwoRuns(t *testing.T) {
	here, there := store(t), store(t)
	common := map[string]string{"target.model": "target", "sources": "[sage]", "advantage.inference.method": "vote", "align.method": "exact"}
	other := map[string]string{"target.model": "target", "sources": "[sage]", "advantage.inference.method": "borda", "align.method": "exact", "fuse.chunks": "true"}
	selected(t, here, "ttss-t", common)
	selected(t, there, "tssst-", other)
	evaluated(t, here, "target", "rrrrwwrr", 1)
	evaluated(t, there, "target", "rwrrrwrw", 2)
	evaluated(t, here, "fused", "rr", 1)
	for k, s := range []dataset.Store{here, there} {
		file(t, s, "steps/fuse.json", fmt.Sprintf(`{"step":"fuse","seconds":%d,"peak_bytes":2097152,"rows":5}`, k+1))
		file(t, s, "trainer/metrics.jsonl", fmt.Sprintf(`{"step":1,"loss_training":2}`+"\n"+`{"step":2,"loss_training":%d,"held_out":{"training":{"loss":0.5}}}`+"\n"+`{"st`, k+1))
		file(t, s, "evaluation/arc/summary.json", fmt.Sprintf(`{"lm_eval_conventions":"lm_eval 0.4","results":{"arc":{"alias":"arc","acc,none":0.%d,"acc_stderr,none":0.03,"exact_match,strict":0.5,"exact_match_stderr,strict":"N/A"}}}`, 5+k))
	}
	c, html, text := write(t, here, there)
	id := func(i int) string {
		return schemas.PromptID([]schemas.Message{{Role: "user", Content: fmt.Sprintf("Prompt <%d>?", i)}})
	}
	number := func(x float64) *float64 { return &x }
	want := Comparison{
		Here: "this", There: "that", Missing: []string{"that lacks the evaluation of fused"},
		Settings: []Setting{{[]string{"fuse"}, "advantage.inference.method", "vote", "borda"}, {[]string{"fuse"}, "fuse.chunks", "", "true"}},
		Marks: []Mark{
			// differences of right answers: 0 1 0 0 -1 0 0 1
			{"target", "all", "accuracy", pair([]float64{1, 1, 1, 1, 0, 0, 1, 1}, []float64{1, 0, 1, 1, 1, 0, 1, 0})},
			{"target", "facts", "accuracy", pair([]float64{1, 1, 0, 1}, []float64{0, 1, 0, 0})},
			{"target", "sums", "accuracy", pair([]float64{1, 1, 0, 1}, []float64{1, 1, 1, 1})},
			{"target", "all", "nats_per_byte", pair([]float64{.1, .2, .3, .4, .5, .6, .7, .8}, []float64{.2, .4, .6, .8, 1, 1.2, 1.4, 1.6})},
		},
		WinRates: []WinRate{{"inference", "sage", number(3.0 / 5), number(2.0 / 5)}},
		Agreements: []Agreement{{
			Mode: "inference", Prompts: 4, OnlyHere: 1, OnlyThere: 1, Same: 3, Winners: map[string]map[string]int{"target": {"target": 1, "sage": 1}, "sage": {"sage": 2}},
			Changed: []Change{{id(1), "Prompt <1>?", "target", "sage"}},
		}},
		Benchmarks: []Benchmark{
			{"evaluation/arc", "arc", "acc", .5, .03, .6, .03, -.1, .03 * 1.4142135623730951}, {"evaluation/arc", "arc", "exact_match,strict", .5, 0, .5, 0, 0, 0},
		},
		Costs: []Cost{{"fuse", 1, 2, 2 << 20, 2 << 20, 5, 5}},
	}
	if d := cmp.Diff(want, c, cmpopts.EquateApprox(0, 1e-12)); d != "" {
		t.Errorf("report-compare.json (-want +got):\n%s", d)
	}
	if m := c.Marks[0]; m.MoreHere != 2 || m.MoreThere != 1 || m.P != 1 || c.Marks[3].MoreThere != 8 || math.Abs(c.Marks[3].P-2.0/256) > 1e-12 {
		t.Errorf("marks %+v, %+v", m, c.Marks[3])
	}
	for _, part := range []string{"advantage.inference.method", "Prompt &lt;1&gt;?", "report.html#prompt-" + id(1), "that lacks the evaluation of fused.", "0.0078", "Loss of the training mode", "3 of 4 prompts", "2 MiB"} {
		if !strings.Contains(html, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	for _, part := range []string{"NaN", "ZgotmplZ", "<script", "Prompt <1>"} {
		if strings.Contains(html, part) {
			t.Errorf("the page has %q", part)
		}
	}
	for _, part := range []string{"this against that: 2 keys differ; inference mode: the same winner on 3 of 4 prompts", "that lacks the evaluation of fused", "report-compare.html"} {
		if !strings.Contains(text, part) {
			t.Errorf("the text lacks %q:\n%s", part, text)
		}
	}
}

// TestInventedRuns: a run against itself agrees in everything, and two runs of the same prompts share them.
func TestInventedRuns(t *testing.T) {
	run := invented.Run{Prompts: 40, PartRows: 16, Models: []string{"target", "sage"}, Judges: []string{"a", "b"}, Seed: 1, Text: func(role string, n int, r *rand.Rand) string {
		if role == "system" {
			return ""
		}
		return fmt.Sprint(role, n)
	}}
	here, there := store(t), store(t)
	for seed, s := range map[uint64]dataset.Store{1: here, 2: there} {
		run.Seed = seed
		if err := run.Write(context.Background(), s); err != nil {
			t.Fatal(err)
		}
	}
	same, _, _ := write(t, here, here)
	if len(same.Settings) != 0 || len(same.Missing) != 0 || len(same.Agreements) != 2 || same.Agreements[0].Same != 40 || same.Agreements[1].Same != 40 || len(same.Agreements[0].Changed) != 0 {
		t.Errorf("a run against itself: %+v", same)
	}
	other, _, _ := write(t, here, there)
	for _, g := range other.Agreements {
		if g.Prompts != 40 || g.Same == 40 || g.Same+len(g.Changed) != 40 {
			t.Errorf("%s mode: %d prompts, %d the same, %d changed", g.Mode, g.Prompts, g.Same, len(g.Changed))
		}
	}
}

func TestFaults(t *testing.T) {
	here := store(t)
	selected(t, here, "ts", map[string]string{"target.model": "target"})
	err := Write(context.Background(), Run{"this", here}, Run{"that", store(t)}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "no dataset is finished there: want a run's out folder") {
		t.Errorf("an empty folder: %v", err)
	}
	for key, text := range map[string]string{"steps/x.json": "{", "trainer/metrics.jsonl": "{}\nno\n", "evaluation/rewards.json": "{}"} {
		there := store(t)
		selected(t, there, "ts", nil)
		file(t, there, key, text)
		if err := Write(context.Background(), Run{"this", here}, Run{"that", there}, io.Discard); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("a damaged %s: %v", key, err)
		}
	}
}
