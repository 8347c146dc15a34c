package fuse_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/fusion/mixture"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/crossentropy"
	"github.com/profuser/profuser/transforms/fuse"
	"github.com/profuser/profuser/transforms/generate"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/reward"
	"github.com/profuser/profuser/transforms/sink"
	"github.com/profuser/profuser/transforms/transformtest"
)

func TestMain(m *testing.M) { os.Exit(transformtest.Main(m)) }

const root = "../.."

// step fuses llama, the target, and mpt by two judges.
func step() fuse.Step {
	s := fuse.Step{
		Target: transformtest.Llama(root), Context: 256, Rewards: []string{"rewards/one", "rewards/two"}, Statistics: "rewards/_STATS.json",
		Prompts: "prompts", Selections: "selections", Inference: "fusion/inference", Training: "fusion/training",
		Footer: dataset.Footer{ConfigDigest: "test"}, Method: advantage.Inference{Method: advantage.Vote, Filters: advantage.Filters{Unfinished: true, MaxRepeat: 1}}, Measure: advantage.PerByte,
	}
	for _, m := range []inflight.Model{transformtest.Llama(root), transformtest.MPT(root)} {
		s.Sources = append(s.Sources, fuse.Source{Model: m, Generations: "generations/" + m.Name, CrossEntropy: "crossentropy/" + m.Name, Competes: true})
	}
	return s
}

// inputs makes everything that fuse reads for n prompts in parts of rows: mpt reads better, llama is the target.
func inputs(ctx context.Context, url string, n, rows int, s fuse.Step) error {
	transformtest.Use(func(name string, m *transformtest.Model) {
		if name == "mpt" {
			m.LogProb = -0.03125
		}
	})
	defer transformtest.Close()
	if err := transformtest.Prompts(ctx, url, n, rows); err != nil {
		return err
	}
	parts := (n + rows - 1) / rows
	footer, all := dataset.Footer{ConfigDigest: "test"}, dist.Truncate{Mass: 1, TopK: 2}
	var generations []string
	for _, source := range s.Sources {
		g := generate.Step{Source: source.Model, Prompts: "prompts", Output: source.Generations, Footer: footer, TopP: 1, MaxNewTokens: 16, Samples: 1, Truncate: all}
		c := crossentropy.Step{Source: source.Model, Prompts: "prompts", Output: source.CrossEntropy, Footer: footer, Truncate: all}
		generations = append(generations, g.Output)
		if err := makeParts(ctx, url, parts, g, schemas.GenerationSchema); err != nil {
			return err
		}
		if err := makeParts(ctx, url, parts, c, schemas.TeacherForcingSchema); err != nil {
			return err
		}
	}
	for i, name := range s.Rewards {
		judge := s.Sources[i].Model
		judge.Name = name
		r := reward.Step{Judge: judge, Prompts: "prompts", Generations: generations, Output: name, Footer: footer}
		if err := makeParts(ctx, url, parts, r, schemas.RewardSchema); err != nil {
			return err
		}
	}
	return nil
}

// makeParts makes a dataset with any step.
func makeParts[S sink.Step](ctx context.Context, url string, parts int, s S, schema string) error {
	return transformtest.Run(ctx, url, parts, s, []string{schema}, func(scope beam.Scope, numbers beam.PCollection) beam.PCollection {
		return sink.Write(scope, s, url, 2, numbers)
	})
}

// run gathers the statistics and makes the fusion datasets.
func run(ctx context.Context, url string, parts int, s fuse.Step) error {
	numbers := make([]int, parts)
	for k := range numbers {
		numbers[k] = k
	}
	p, scope := beam.NewPipelineWithRoot()
	fuse.Statistics(scope, s, url, sink.Numbers(scope, numbers, 1))
	if err := ptest.Run(p); err != nil {
		return err
	}
	names := []string{schemas.SelectionSchema, schemas.FusionExampleSchema, schemas.FusionExampleSchema}
	return transformtest.Run(ctx, url, parts, s, names, func(scope beam.Scope, numbers beam.PCollection) beam.PCollection {
		return fuse.Fuse(scope, s, url, 2, numbers)
	})
}

func ExampleFuse() {
	ctx := context.Background()
	url, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(url)
	if err := inputs(ctx, url, 3, 2, step()); err != nil {
		fmt.Println(err)
		return
	}
	if err := run(ctx, url, 2, step()); err != nil {
		fmt.Println(err)
		return
	}
	for _, mode := range []string{"inference", "training"} {
		rows, err := transformtest.Read[schemas.FusionExample](ctx, url, "fusion/"+mode)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, e := range rows {
			fmt.Println(e.Mode, e.Source, e.Text)
		}
	}
	// Output:
	// inference llama The answer is 66.
	// inference llama The answer is 12.
	// inference llama The answer is 58.
	// training mpt Let us see: 0 and 0. The answer is 0.
	// training mpt Let us see: 1 and 1. The answer is 2.
}

func ExampleStatistics() {
	ctx := context.Background()
	url, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(url)
	if err := inputs(ctx, url, 3, 2, step()); err != nil {
		fmt.Println(err)
		return
	}
	p, scope := beam.NewPipelineWithRoot()
	fuse.Statistics(scope, step(), url, sink.Numbers(scope, []int{0, 1}, 1))
	if err := ptest.Run(p); err != nil {
		fmt.Println(err)
		return
	}
	sums, err := os.ReadFile(filepath.Join(url, "rewards/_STATS.json"))
	fmt.Println(len(sums) > 0, err)
	// Output:
	// true <nil>
}

// results reads everything that fuse wrote.
func results(t *testing.T, url string) (selections []schemas.Selection, examples []schemas.FusionExample) {
	t.Helper()
	selections, err := transformtest.Read[schemas.Selection](t.Context(), url, "selections")
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"inference", "training"} {
		rows, err := transformtest.Read[schemas.FusionExample](t.Context(), url, "fusion/"+mode)
		if err != nil {
			t.Fatal(err)
		}
		examples = append(examples, rows...)
	}
	for i := range selections {
		if err := selections[i].Validate(); err != nil {
			t.Error(err)
		}
	}
	for i := range examples {
		if err := examples[i].Validate(); err != nil {
			t.Error(err)
		}
	}
	return selections, examples
}

// TestPartsDoNotMatter: selections and examples are the same for any size of parts.
func TestPartsDoNotMatter(t *testing.T) {
	var selections []schemas.Selection
	var examples []schemas.FusionExample
	for i, rows := range []int{12, 5, 1} {
		url := t.TempDir()
		if err := inputs(t.Context(), url, 12, rows, step()); err != nil {
			t.Fatal(err)
		}
		if err := run(t.Context(), url, (12+rows-1)/rows, step()); err != nil {
			t.Fatal(err)
		}
		s, e := results(t, url)
		if i == 0 {
			selections, examples = s, e
		}
		byMode := func(m string) (out []schemas.Selection) {
			for _, x := range s {
				if x.Mode == m {
					out = append(out, x)
				}
			}
			return out
		}
		if len(byMode(schemas.ModeInference)) != 12 || len(byMode(schemas.ModeTraining)) != 8 || len(e) != 20 {
			t.Errorf("%d selections, %d examples", len(s), len(e))
		}
		if diff := cmp.Diff(selections, s); diff != "" {
			t.Errorf("parts of %d rows, selections (-one part +these):\n%s", rows, diff)
		}
		if diff := cmp.Diff(examples, e); diff != "" {
			t.Errorf("parts of %d rows, examples (-one part +these):\n%s", rows, diff)
		}
	}
}

// TestBetterReaderWins: in training mode the source with the higher log-probs wins, and its distributions are carried to
// the other vocabulary.
func TestBetterReaderWins(t *testing.T) {
	url := t.TempDir()
	if err := inputs(t.Context(), url, 6, 3, step()); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), url, 2, step()); err != nil {
		t.Fatal(err)
	}
	_, examples := results(t, url)
	for _, e := range examples {
		if e.Mode != schemas.ModeTraining {
			continue
		}
		if e.Source != "mpt" {
			t.Errorf("%s wins the reference of %s, want mpt", e.Source, e.ID)
		}
		with := 0
		for _, c := range e.Counts {
			if c > 0 {
				with++
			}
		}
		if with < len(e.TextIDs)/2 {
			t.Errorf("%s: only %d of %d positions have a teacher", e.ID, with, len(e.TextIDs))
		}
	}
}

// TestSecondRunChangesNothing: the same job again keeps every byte, and a part that was lost comes back with its bytes.
func TestSecondRunChangesNothing(t *testing.T) {
	url := t.TempDir()
	if err := inputs(t.Context(), url, 6, 2, step()); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), url, 3, step()); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(url, "fusion/*/part-*"))
	if err != nil || len(files) != 6 {
		t.Fatalf("files %v, error %v", files, err)
	}
	before := map[string][]byte{}
	for _, f := range files {
		if before[f], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(files[4]); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), url, 3, step()); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		after, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(before[f], after) {
			t.Errorf("%s has other bytes", f)
		}
	}
}

// TestOptions: keep all writes every source's row and selects one; a target that wins is dropped when asked.
func TestOptions(t *testing.T) {
	url := t.TempDir()
	all := step()
	all.KeepAll = true
	if err := inputs(t.Context(), url, 6, 6, all); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), url, 1, all); err != nil {
		t.Fatal(err)
	}
	_, examples := results(t, url)
	selected := 0
	for _, e := range examples {
		if e.Selected {
			selected++
		}
	}
	if len(examples) != 20 || selected != 10 {
		t.Errorf("%d examples, %d selected, want 20 and 10", len(examples), selected)
	}
	drop := step()
	drop.DropTargetWins = true
	drop.Selections, drop.Inference, drop.Training = "drop/selections", "drop/inference", "drop/training"
	if err := run(t.Context(), url, 1, drop); err != nil {
		t.Fatal(err)
	}
	rows, err := transformtest.Read[schemas.FusionExample](t.Context(), url, "drop/inference")
	if err != nil {
		t.Fatal(err)
	}
	won := 0
	for _, e := range examples {
		if e.Mode == schemas.ModeInference && e.Selected && e.Source == "mpt" {
			won++
		}
	}
	if len(rows) != won || won == 6 {
		t.Errorf("%d examples without the target's, want %d of 6", len(rows), won)
	}
}

// change copies a committed dataset to another name with its rows changed.
func change[T any](ctx context.Context, url, from, to string, edit func(i int, row *T)) error {
	store, err := dataset.OpenStore(ctx, url)
	if err != nil {
		return err
	}
	d, err := dataset.Open(ctx, store, from)
	if err != nil {
		return err
	}
	if err := dataset.Begin(ctx, store, to, d.Header); err != nil {
		return err
	}
	n := 0
	for k := range d.Parts() {
		rows, footer, err := dataset.Rows[T](ctx, d, k)
		if err != nil {
			return err
		}
		for i := range rows {
			edit(n, &rows[i])
			n++
		}
		data, err := dataset.EncodePart(rows, footer)
		if err != nil {
			return err
		}
		if err := store.Create(ctx, to+"/"+dataset.PartName(k), data); err != nil {
			return err
		}
	}
	_, err = dataset.Commit(ctx, store, to, dataset.CommitOptions{Parts: d.Parts()})
	return err
}

// TestAverage: the training-mode examples are mixtures of both sources' distributions, without winner or margin; keep
// all writes the sources' own rows beside them, not selected.
func TestAverage(t *testing.T) {
	url := t.TempDir()
	s := step()
	s.KeepAll = true
	s.Average = &mixture.Average{Weights: mixture.WeightsCE, Temperature: 1, Measure: advantage.PerByte, Truncate: dist.Truncate{Mass: 1, TopK: 4}}
	if err := inputs(t.Context(), url, 6, 6, s); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), url, 1, s); err != nil {
		t.Fatal(err)
	}
	selections, examples := results(t, url)
	for _, x := range selections {
		if x.Mode == schemas.ModeTraining && (x.Source != schemas.MixedSource || x.Margin != nil || len(x.Candidates) != 2) {
			t.Errorf("selection %+v", x)
		}
	}
	own := map[[2]string]schemas.FusionExample{}
	mixed := 0
	for _, e := range examples {
		if e.Mode == schemas.ModeTraining && e.Source != schemas.MixedSource {
			own[[2]string{e.ID, e.Source}] = e
			if e.Selected {
				t.Errorf("%s of %s is selected beside a mixture", e.Source, e.ID)
			}
		}
	}
	for _, e := range examples {
		if e.Source != schemas.MixedSource {
			continue
		}
		mixed++
		a, b := own[[2]string{e.ID, "llama"}], own[[2]string{e.ID, "mpt"}]
		if !e.Selected || e.Margin != nil || e.Reward != nil || e.NatsPerByte < min(a.NatsPerByte, b.NatsPerByte) || e.NatsPerByte > max(a.NatsPerByte, b.NatsPerByte) {
			t.Errorf("mixture %s: selected %v, %g nats per byte between %g and %g", e.ID, e.Selected, e.NatsPerByte, a.NatsPerByte, b.NatsPerByte)
		}
		for i, status := range e.Status {
			lowest := min(a.Status[i], b.Status[i])
			if lowest == schemas.StatusNone {
				lowest = max(a.Status[i], b.Status[i])
			}
			if status != lowest {
				t.Errorf("%s, position %d: status %d of %d and %d", e.ID, i, status, a.Status[i], b.Status[i])
			}
		}
	}
	if mixed == 0 {
		t.Error("no mixtures")
	}
}

// TestMalformed: a row whose tokens do not spell its text is rejected with the reason, and its source takes no part.
func TestMalformed(t *testing.T) {
	url := t.TempDir()
	s := step()
	if err := inputs(t.Context(), url, 6, 3, s); err != nil {
		t.Fatal(err)
	}
	var bad string
	err := change(t.Context(), url, "generations/mpt", "bad/mpt", func(i int, g *schemas.Generation) {
		if i == 4 {
			bad = g.ID
			g.Text = "X" + g.Text[1:]
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Sources[1].Generations = "bad/mpt"
	err = run(t.Context(), url, 2, s)
	if err != nil {
		t.Fatal(err)
	}
	store, err := dataset.OpenStore(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	footer, _, err := dataset.PartFooter(t.Context(), store, s.Inference, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(footer.Rejects) != 1 || footer.Rejects[0].Code != fuse.CodeMalformed || footer.Rejects[0].ID != bad || !strings.Contains(footer.Rejects[0].Message, "token_ids") {
		t.Errorf("rejects %+v", footer.Rejects)
	}
	selections, err := transformtest.Read[schemas.Selection](t.Context(), url, s.Selections)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range selections {
		if x.Mode == schemas.ModeInference && (len(x.Candidates) == 1) != (x.ID == bad) {
			t.Errorf("%s has %d candidates", x.ID, len(x.Candidates))
		}
	}
}

// TestStatisticsAreOfTheseFilters: frozen statistics are refused by a step with other filters.
func TestStatisticsAreOfTheseFilters(t *testing.T) {
	url := t.TempDir()
	s := step()
	if err := inputs(t.Context(), url, 3, 3, s); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), url, 1, s); err != nil {
		t.Fatal(err)
	}
	s.Method.Filters.MinBytes = 1
	s.Selections, s.Inference, s.Training = "other/selections", "other/inference", "other/training"
	if err := run(t.Context(), url, 1, s); err == nil || !strings.Contains(err.Error(), "--refresh-stats") {
		t.Errorf("%v", err)
	}
}

// TestTargetOutOfCompetition: it has no vote, no rank, no place in the means, and cannot win.
func TestTargetOutOfCompetition(t *testing.T) {
	url := t.TempDir()
	s := step()
	s.Sources[0].Competes = false
	if err := inputs(t.Context(), url, 6, 6, s); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), url, 1, s); err != nil {
		t.Fatal(err)
	}
	selections, _ := results(t, url)
	for _, x := range selections {
		if x.Source != "mpt" || len(x.Candidates) != 1 || x.Margin != nil {
			t.Errorf("%+v", x)
		}
	}
	stats, err := os.ReadFile(filepath.Join(url, s.Statistics))
	if err != nil || !bytes.Contains(stats, []byte(`"n": 6`)) {
		t.Errorf("statistics %s, %v", stats, err)
	}
}

// TestChunks: the columns of chunks change no other, tile every text, and add up to what the source thinks of it.
func TestChunks(t *testing.T) {
	url := t.TempDir()
	plain := step()
	plain.KeepAll = true
	if err := inputs(t.Context(), url, 6, 3, plain); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), url, 2, plain); err != nil {
		t.Fatal(err)
	}
	with := plain
	with.Chunks = true
	with.Selections, with.Inference, with.Training = "chunks/selections", "chunks/inference", "chunks/training"
	if err := run(t.Context(), url, 2, with); err != nil {
		t.Fatal(err)
	}
	for mode, names := range map[string][2]string{schemas.ModeInference: {plain.Inference, with.Inference}, schemas.ModeTraining: {plain.Training, with.Training}} {
		want, err := transformtest.Read[schemas.FusionExample](t.Context(), url, names[0])
		if err != nil {
			t.Fatal(err)
		}
		got, err := transformtest.Read[schemas.ChunkedExample](t.Context(), url, names[1])
		if err != nil || len(got) != len(want) {
			t.Fatalf("%s: %d rows, want %d (%v)", mode, len(got), len(want), err)
		}
		for i := range got {
			e := &got[i]
			if diff := cmp.Diff(want[i], e.FusionExample); diff != "" {
				t.Errorf("%s: chunks change other columns (-without +with):\n%s", mode, diff)
			}
			if err := e.Validate(); err != nil {
				t.Error(err)
			}
			if len(e.ChunkEnds) == 0 {
				t.Fatalf("%s: %s has no chunks of %s", mode, e.ID, e.Source)
			}
			nats := 0.0
			for _, x := range e.ChunkLogProbs {
				nats -= float64(x)
			}
			if whole := e.NatsPerByte * float64(len(e.Text)); math.Abs(nats-whole) > 1e-4*(1+whole) {
				t.Errorf("%s: chunks of %s have %g nats, the text %g", mode, e.ID, nats, whole)
			}
		}
	}
}
