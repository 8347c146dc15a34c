package survey_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/pipelines"
	"github.com/profuser/profuser/pipelines/plan"
	"github.com/profuser/profuser/pipelines/survey"
	"github.com/profuser/profuser/transforms/transformtest"
)

func TestMain(m *testing.M) { os.Exit(transformtest.Main(m)) }

const configuration = `version: 1
prompts: {files: [prompts.jsonl], part_rows: 24}
models:
  - {name: target, path: MODELS/target}
  - {name: sage, path: MODELS/sage}
  - {name: judge-a, path: MODELS/judge-a}
target: {model: target}
sources: [sage]
generate: {temperature: 0, max_new_tokens: 24}
reward: {models: [judge-a]}
advantage: {inference: {filters: {unfinished: false}}}
`

// project writes a configuration of the demo's models and its first 48 prompts, and loads it; old text is replaced by new.
func project(t *testing.T, replace ...string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	models, err := filepath.Abs("../../data/models")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("../../data/prompts.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(strings.NewReplacer(replace...).Replace(configuration), "MODELS", models)
	for name, text := range map[string]string{"fusion.yaml": text, "prompts.jsonl": strings.Join(strings.SplitAfter(string(data), "\n")[:48], "")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Load(filepath.Join(dir, "fusion.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestPlanOfARun plans a run from a probe of half of its prompts, makes it, and compares. So few prompts vary more than the
// demo's, whose numbers make compare-plan holds to 20 %. A second plan, which reads the run's datasets, is nearly exact.
func TestPlanOfARun(t *testing.T) {
	if testing.Short() {
		t.Skip("runs models")
	}
	c := project(t)
	found, err := survey.Look(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if found.Rows != 48 || found.Read != 48 || found.Parts != 2 || found.WithReference != 1 || found.Readers["sage"].Fits != 1 {
		t.Errorf("found %+v", found)
	}
	c.Plan.Sample = 12
	few, err := survey.Look(t.Context(), c)
	if err != nil || few.Read != 12 || few.Rows != 48 || few.PromptRowBytes < found.PromptRowBytes/1.5 || few.PromptRowBytes > found.PromptRowBytes*1.5 {
		t.Errorf("of 12 prompts, error %v: %+v\nof all: %+v", err, few, found)
	}
	probe, err := survey.Probe(t.Context(), c, 24, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if probe.Latency["generate sage"] <= 0 || probe.Seconds["crossentropy target"] <= 0 || probe.Datasets["prompts"].Rows != 24 {
		t.Errorf("the probe measured %+v", probe)
	}
	if left, err := os.ReadDir(c.Out); err == nil {
		t.Errorf("the probe left %v in %s", left, c.Out)
	}
	r, err := pipelines.New(t.Context(), c, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Do(t.Context(), "ingest", "generate", "reward", "crossentropy", "fuse"); err != nil {
		t.Fatal(err)
	}
	truth, err := survey.Measure(t.Context(), c, c.Out, 0)
	if err != nil {
		t.Fatal(err)
	}
	earlier, err := survey.Measure(t.Context(), c, c.Out, survey.PartsRead)
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]struct {
		plan.Measured
		tolerance float64
	}{"probe": {probe, 0.3}, "earlier": {earlier, 0.03}} {
		var table strings.Builder
		differences := plan.Compare(plan.Make(c, found, m.Measured), truth)
		if err := plan.WriteComparison(&table, differences, m.tolerance); err != nil || len(differences) != 25 {
			t.Errorf("%s, %d numbers: %v\n%s", name, len(differences), err, table.String())
		}
	}
}

// TestChecks finds what is wrong with each precondition, asks nobody when offline, and leaves nothing where it wrote.
func TestChecks(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		fmt.Fprintln(w, `{"data": [{"id": "other", "max_model_len": 100}]}`)
	}))
	defer server.Close()
	c := project(t, "{name: sage, path: MODELS/sage}", `{name: sage, tokenizer: MODELS/sage, endpoint: {urls: ["`+server.URL+`"], model: sage}}`,
		"{name: judge-a, path: MODELS/judge-a}", "{name: judge-a, path: MODELS/sage}")
	faults := func(offline bool) (list []string) {
		for _, check := range survey.Checks(t.Context(), c, offline) {
			if check.Fault != "" || check.Skipped {
				list = append(list, fmt.Sprintf("%s: skipped %v, %s", strings.Fields(check.Name)[1], check.Skipped, check.Fault))
			}
		}
		return list
	}
	got := strings.Join(faults(true), "\n")
	if !strings.Contains(got, "sage: skipped true") || asked > 0 {
		t.Errorf("offline, %d requests:\n%s", asked, got)
	}
	got = strings.Join(faults(false), "\n")
	for _, want := range []string{`endpoint.model "sage" is not on the server, which has other`, "judge-a: skipped false, model judge-a: "} {
		if !strings.Contains(got, want) {
			t.Errorf("faults:\n%s\nwant %s", got, want)
		}
	}
	if strings.Contains(got, "to: ") {
		t.Errorf("a folder that can be made is no fault:\n%s", got)
	}
	if _, err := os.Stat(c.Out); err == nil {
		t.Errorf("%s is left", c.Out)
	}
	c.Runner.Name, c.Runner.Endpoint = "portable", "127.0.0.1:1"
	c.Out = filepath.Join(c.Prompts.Files[0], "out") // below a file
	if got = strings.Join(faults(false), "\n"); !strings.Contains(got, "portable: skipped false, no Beam job server answers at 127.0.0.1:1") {
		t.Errorf("a runner that is not there:\n%s", got)
	}
	if got = strings.Join(faults(true), "\n"); !strings.Contains(got, "to: skipped false, ") {
		t.Errorf("below a file:\n%s", got)
	}
}

// TestLookSaysWhatItCannotRead: no prompt at all is an error, not a plan of nothing.
func TestLookSaysWhatItCannotRead(t *testing.T) {
	c := project(t)
	if err := os.WriteFile(c.Prompts.Files[0], []byte("{}\nno json\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := survey.Look(t.Context(), c); err == nil || !strings.Contains(err.Error(), "none of the 2 rows") {
		t.Errorf("error %v", err)
	}
}
