package pipelines_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/pipelines"
	"github.com/profuser/profuser/pipelines/costs"
	"github.com/profuser/profuser/pipelines/worker"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/transformtest"
)

// TestMain makes the test binary the worker that runners start, as the program is.
func TestMain(m *testing.M) {
	if worker.Started(os.Args[1:]) {
		useMortalModels(os.Getenv(killVariable))
		if err := worker.Work(context.Background(), os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if text := os.Getenv(chaosVariable); text != "" {
		os.Exit(chaosRun(text))
	}
	os.Exit(transformtest.Main(m))
}

const configuration = `version: 1
prompts: {files: [prompts.jsonl], part_rows: 3}
models:
  - {name: target, path: MODELS/target}
  - {name: sage, path: MODELS/sage}
  - {name: judge-a, path: MODELS/judge-a}
  - {name: judge-b, path: MODELS/judge-b}
target: {model: target}
sources: [sage]
generate: {temperature: 0, max_new_tokens: 24}
reward: {models: [judge-a, judge-b]}
evaluate: {files: [items.jsonl], max_new_tokens: 24}
`

// project is a folder with configuration, eight prompts and four items of the demo.
func project(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	models, err := filepath.Abs("../data/models")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("fusion.yaml", strings.ReplaceAll(configuration, "MODELS", models))
	for name, from := range map[string]struct {
		file string
		n    int
	}{"prompts.jsonl": {"prompts.jsonl", 8}, "items.jsonl": {"heldout.jsonl", 4}} {
		data, err := os.ReadFile(filepath.Join("../data", from.file))
		if err != nil {
			t.Fatal(err)
		}
		write(name, strings.Join(strings.SplitAfter(string(data), "\n")[:from.n], ""))
	}
	return dir
}

// run makes steps with models that need no weights, and returns what was printed.
func run(t *testing.T, ctx context.Context, dir, out string, set []string, steps ...string) (string, error) {
	t.Helper()
	c, err := config.Load(filepath.Join(dir, "fusion.yaml"), set)
	if err != nil {
		t.Fatal(err)
	}
	c.Out = out
	var printed strings.Builder
	r, err := pipelines.New(ctx, c, &printed)
	if err != nil {
		return "", err
	}
	transformtest.Use(nil) // New has set the engines
	if len(steps) == 0 {
		steps = pipelines.Steps
	}
	err = r.Do(ctx, steps...)
	return printed.String(), err
}

// read returns a dataset's rows.
func read[T any](t *testing.T, out, name string) []T {
	t.Helper()
	rows, err := transformtest.Read[T](t.Context(), out, name)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestSteps runs every job once, on a local folder and in a bucket, checks what each commits, and runs all again.
func TestSteps(t *testing.T) {
	dir := project(t)
	for _, out := range []string{filepath.Join(dir, "out"), "mem://pipelines/run"} {
		printed := ""
		for _, c := range []struct {
			step string
			want map[string]int64 // dataset, rows
		}{
			{"ingest", map[string]int64{"prompts": 8}},
			{"generate", map[string]int64{"generations/target": 8, "generations/sage": 8}},
			{"reward", map[string]int64{"rewards/judge-a": 16, "rewards/judge-b": 16}},
			{"crossentropy", map[string]int64{"crossentropy/target": 8, "crossentropy/sage": 8}},
			{"crossentropy-responses", nil}, // method vote needs none
			{"judge", nil},                  // nor this: see TestJudge
			{"fuse", map[string]int64{"selections": 16, "fusion/inference": 8, "fusion/training": 8}},
			{"evaluate", map[string]int64{"evaluation/items": 4, "evaluation/target": 4, "evaluation/sage": 4}},
		} {
			text, err := run(t, t.Context(), dir, out, nil, c.step)
			if err != nil {
				t.Fatalf("%s: %v", c.step, err)
			}
			printed += text
			store, err := dataset.OpenStore(t.Context(), out)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]int64{}
			for name := range c.want {
				d, err := dataset.Open(t.Context(), store, name)
				if err != nil {
					t.Fatal(err)
				}
				got[name] = d.Manifest.Rows
			}
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s in %s (-want +got):\n%s", c.step, out, diff)
			}
		}
		if !strings.Contains(printed, "generate sage                 8 rows in 3 parts  generations/sage\n") {
			t.Errorf("printed:\n%s", printed)
		}
		again, err := run(t, t.Context(), dir, out, nil)
		if err != nil || strings.Contains(again, "rows in 3 parts") || strings.Count(again, "finished before") != 11 {
			t.Errorf("a second run (%v) printed:\n%s", err, again)
		}
	}
	for _, x := range read[schemas.FusionExample](t, filepath.Join(dir, "out"), "fusion/training") {
		if err := x.Validate(); err != nil {
			t.Error(err)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "out/steps/generate.json"))
	var record costs.Record
	if err := json.Unmarshal(data, &record); err != nil || record.Rows != 16 || record.Seconds <= 0 || record.PeakBytes < 1<<20 {
		t.Errorf("record %+v, %v", record, err)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestPartsDoNotMatter: any size of parts gives the same fusion examples.
func TestPartsDoNotMatter(t *testing.T) {
	dir := project(t)
	var want []schemas.FusionExample
	for _, rows := range []string{"3", "8", "100"} {
		out := filepath.Join(dir, rows)
		if _, err := run(t, t.Context(), dir, out, []string{"prompts.part_rows=" + rows}, pipelines.Steps[:7]...); err != nil {
			t.Fatal(err)
		}
		got := append(read[schemas.FusionExample](t, out, "fusion/inference"), read[schemas.FusionExample](t, out, "fusion/training")...)
		if want == nil {
			want = got
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got) != 16 {
			t.Errorf("parts of %s rows (-parts of 3 +these):\n%s", rows, diff)
		}
	}
}

// TestRefusals: what cannot be done is said before any work.
func TestRefusals(t *testing.T) {
	dir := project(t)
	out := filepath.Join(dir, "out")
	refused := func(want string, set []string, steps ...string) {
		t.Helper()
		if _, err := run(t, t.Context(), dir, out, set, steps...); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v %v: %v, want one line with %q", steps, set, err, want)
		}
	}
	refused(`there is no step "bake"`, nil, "bake")
	refused("opening dataset prompts in "+out+": _DATASET.json is missing: no step has begun it (file does not exist); profuser ingest makes it", nil, "generate")
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Errorf("something was written: %v", err)
	}
	if _, err := run(t, t.Context(), dir, out, nil, "ingest", "generate"); err != nil {
		t.Fatal(err)
	}
	refused("opening dataset rewards/judge-a", nil, "fuse")
	refused("generations/target, generations/sage in "+out+": not what this configuration makes, as listed: ", []string{"generate.max_new_tokens=5"}, "generate")
	if err := os.Remove(filepath.Join(out, "generations/sage/_MANIFEST-000001.json")); err != nil {
		t.Fatal(err)
	}
	refused("no valid manifest (_MANIFEST-000001.json): the step that writes it has not finished; run it again; profuser generate makes it", nil, "reward")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := run(t, ctx, dir, filepath.Join(dir, "cancelled"), nil); err == nil || !strings.Contains(err.Error(), "ingest: cancelled; the same command goes on from here") {
		t.Errorf("a cancelled run gave %v", err)
	}
}

// TestPerplexityAndAverage: the target reads every response before winners are picked by it, references are mixtures,
// and every source's row is kept; distributions are transported to what the target read.
func TestPerplexityAndAverage(t *testing.T) {
	dir := project(t)
	out := filepath.Join(dir, "out")
	set := []string{"advantage.inference.method=perplexity", "advantage.training.method=average", "fuse.keep=all", "align.method=transport", "align.fallback=next"}
	if _, err := run(t, t.Context(), dir, out, set, pipelines.Steps[:7]...); err != nil {
		t.Fatal(err)
	}
	nats := map[[2]string]float64{}
	for _, name := range []string{"target", "sage"} {
		for _, r := range read[schemas.TeacherForcing](t, out, "crossentropy-responses/"+name) {
			nats[[2]string{r.ID, r.Source}] = r.NatsPerByte
		}
		for _, g := range read[schemas.Generation](t, out, "generations/"+name) {
			if _, ok := nats[[2]string{g.ID, name}]; !ok && g.Text != "" {
				t.Errorf("the target has not read %s's response to %s", name, g.ID)
			}
		}
	}
	for _, s := range read[schemas.Selection](t, out, "selections") {
		for _, c := range s.Candidates {
			if s.Mode == schemas.ModeInference && (c.Value != nats[[2]string{s.ID, c.Source}] || c.Value < nats[[2]string{s.ID, s.Source}]) {
				t.Errorf("%s wins %s before %+v", s.Source, s.ID, c)
			}
		}
	}
	rows := map[string]int{}
	for _, x := range read[schemas.FusionExample](t, out, "fusion/training") {
		rows[x.Source]++
		if x.Source == "sage" && (slices.Contains(x.Status, schemas.StatusInner) || slices.Contains(x.Status, schemas.StatusNone) || !slices.Contains(x.Status, schemas.StatusExact)) {
			t.Errorf("%s has statuses %v", x.ID, x.Status)
		}
	}
	if maps, err := filepath.Glob(filepath.Join(out, "vocabularies", "min_edit_distance-*.map")); err != nil || len(maps) != 2 {
		t.Errorf("vocabulary maps %v, %v", maps, err)
	}
	if rows["target"] != 8 || rows["sage"] != 8 || rows[schemas.MixedSource] != 8 {
		t.Errorf("rows of training mode by source: %v", rows)
	}
}

// TestStatisticsAlignment counts over the corpus once, before the first fuse, and maps by the counts.
func TestStatisticsAlignment(t *testing.T) {
	dir := project(t)
	out := filepath.Join(dir, "out")
	set := []string{"align.method=statistics", "fuse.keep=all"}
	if _, err := run(t, t.Context(), dir, out, set, pipelines.Steps[:7]...); err != nil {
		t.Fatal(err)
	}
	counts, err := filepath.Glob(filepath.Join(out, "vocabularies", "counts-*", "*.counts"))
	if err != nil || len(counts) != 2 {
		t.Errorf("counts %v, %v", counts, err)
	}
	copied := 0
	for _, x := range read[schemas.FusionExample](t, out, "fusion/inference") {
		for _, status := range x.Status {
			if status == schemas.StatusExact {
				copied++
			} else if status != schemas.StatusNone {
				t.Errorf("%s has status %d", x.ID, status)
			}
		}
	}
	if copied == 0 {
		t.Error("nothing was copied")
	}
}
