package pipelines_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/pipelines/runner"
	"github.com/profuser/profuser/transforms/generate"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/transformtest"
)

// killVariable names a file. The first worker that answers its fifth prompt while the file is absent makes it and kills
// itself, as kill -9 would.
const killVariable = "PROFUSER_TEST_KILL"

type mortal struct {
	*transformtest.Model
	file  string
	calls *atomic.Int64
}

func (m mortal) Generate(ctx context.Context, r generate.Request) (generate.Answer, error) {
	if m.file != "" && m.calls.Add(1) == 5 {
		if f, err := os.OpenFile(m.file, os.O_CREATE|os.O_EXCL, 0o666); err == nil {
			_ = f.Close()
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}
	return m.Model.Generate(ctx, r)
}

// useMortalModels sets models without weights, of which generators kill their process once, if file says so.
func useMortalModels(file string) {
	transformtest.Use(nil)
	generate.Models.Use(func(_ context.Context, m inflight.Model) (generate.Generator, error) {
		f, err := chat.Load(m.Dir, chat.Options{})
		return mortal{&transformtest.Model{Format: f, LogProb: -0.0625, Tokens: 4096}, file, new(atomic.Int64)}, err
	})
}

// prismServer is a Prism job server's address.
func prismServer(t *testing.T) string {
	t.Helper()
	endpoint, err := runner.PrismEndpoint()
	if err != nil {
		t.Fatal(err)
	}
	return endpoint
}

// parquets are the bytes of all parts and manifests below a folder.
func parquets(t *testing.T, out string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(out, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".parquet" && !strings.HasPrefix(entry.Name(), "_MANIFEST") {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(out, path)
		files[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// same compares the files of two runs.
func same(t *testing.T, want map[string]string, out string) {
	t.Helper()
	got := parquets(t, out)
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s differs, %d and %d bytes", name, len(want[name]), len(got[name]))
		}
	}
	if len(got) != len(want) || len(want) == 0 {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
}

// TestRunnersAgree: the direct runner, a job server, and workers that are processes of their own and one of which is
// killed with kill -9 give the bytes of Prism in this process.
func TestRunnersAgree(t *testing.T) {
	dir := project(t)
	plain := filepath.Join(dir, "plain")
	if _, err := run(t, t.Context(), dir, plain, nil); err != nil {
		t.Fatal(err)
	}
	want := parquets(t, plain)
	server := "runner={name: portable, endpoint: '" + prismServer(t) + "', environment: "
	for name, set := range map[string][]string{
		"direct":   {"runner.name=direct"},
		"loopback": {server + "auto}"},
		"process":  {server + "PROCESS, retries: 5, retry_wait: 1ms, stall: 2s}"}, // Prism does not always notice that a worker was killed
	} {
		killed := filepath.Join(dir, name+".killed")
		t.Setenv(killVariable, killed)
		out := filepath.Join(dir, name)
		printed, err := run(t, t.Context(), dir, out, set)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		same(t, want, out)
		_, err = os.Stat(killed)
		if (err == nil) != (name == "process") || strings.Contains(printed, "5 retries left, the next in 1ms") != (name == "process") {
			t.Errorf("%s: killed %v, printed:\n%s", name, err == nil, printed)
		}
		if again, err := run(t, t.Context(), dir, out, set); err != nil || strings.Count(again, "finished before") != 11 {
			t.Errorf("%s: a second run (%v) printed:\n%s", name, err, again)
		}
	}
	t.Setenv(killVariable, filepath.Join(dir, "once"))
	_, err := run(t, t.Context(), dir, filepath.Join(dir, "without"), []string{server + "PROCESS, stall: 2s}"}, "ingest", "generate")
	var failed *runner.JobError
	if !errors.As(err, &failed) || strings.Contains(err.Error(), "\n") {
		t.Errorf("without retries a killed worker gave %v", err)
	}
}

var update = flag.Bool("update-graphs", false, "rewrite the golden graphs")

// TestDataflowGraphs translates every step for Dataflow, without a network, and compares what Dataflow would get. The
// machine's credentials are of no use and need not be there.
func TestDataflowGraphs(t *testing.T) {
	dir := project(t)
	in, err := dataset.OpenStore(t.Context(), "mem://graphs/in")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"prompts.jsonl", "items.jsonl"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Create(t.Context(), name, data); err != nil {
			t.Fatal(err)
		}
	}
	// Beam would ask whether the staging bucket deletes softly; without credentials it does not.
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(dir, "none.json"))
	const secret = "sk-a2x4r8s0k3y"
	t.Setenv("PROFUSER_API_KEY", secret)
	files := []string{"prompts.files=['mem://graphs/in/prompts.jsonl']", "evaluate.files=['mem://graphs/in/items.jsonl']"}
	dry := append(files, "runner={name: dataflow, options: {project: p, region: europe-west1, staging_location: 'gs://bucket/staging', dry_run: true, max_num_workers: 3, worker_machine_type: n2-standard-4}}")
	var text strings.Builder
	for _, step := range []string{"ingest", "generate", "reward", "crossentropy", "fuse", "evaluate"} {
		printed, err := run(t, t.Context(), dir, "mem://graphs/out", dry, step)
		if err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		if strings.Contains(printed, secret) {
			t.Errorf("%s: the job shows the secret", step)
		}
		fmt.Fprintf(&text, "profuser %s\n\n%s\n", step, normalised(t, printed))
		if _, err := run(t, t.Context(), dir, "mem://graphs/out", files, step); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
	}
	golden := filepath.Join("testdata", "dataflow")
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o777), os.WriteFile(golden, []byte(text.String()), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), text.String()); d != "" {
		t.Errorf("graphs; if that is meant: go test ./pipelines -run TestDataflowGraphs -update-graphs (-want +got):\n%s", d)
	}
	for missing, set := range map[string]string{
		"project is missing, which runner dataflow needs": "runner={name: dataflow, options: {region: r}}",
		"colour is no option of runner dataflow":          "runner={name: dataflow, options: {project: p, region: r, staging_location: 'gs://b/s', colour: red}}",
		"is on this machine":                              "prompts.files=[prompts.jsonl]",
	} {
		if _, err := run(t, t.Context(), dir, "mem://graphs/none", append(slices.Clone(dry), set), "ingest"); err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("%s: %v, want %s", set, err, missing)
		}
	}
}

var varies = regexp.MustCompile(`go-[0-9]+-[0-9]{10,}|"(sha256|pipelineProtoHash)": "[^"]*"`)

// normalised is what a dry run printed: the graph, and of the job what does not vary or belong to Beam's version.
func normalised(t *testing.T, printed string) string {
	t.Helper()
	i, j := strings.Index(printed, "{\n"), strings.LastIndex(printed, "\n}")
	if i < 0 || j < 0 || !strings.Contains(printed[j:], "dry run: the job was translated, not submitted") {
		t.Fatalf("printed:\n%s", printed)
	}
	var job struct {
		Name, ProjectID, Type string
		Environment           struct {
			Experiments []string
			WorkerPools []map[string]any
		}
	}
	if err := json.Unmarshal([]byte(printed[i:j+2]), &job); err != nil {
		t.Fatal(err)
	}
	for _, pool := range job.Environment.WorkerPools {
		delete(pool, "sdkHarnessContainerImages")
	}
	shown, err := json.MarshalIndent(job, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return printed[:i] + varies.ReplaceAllString(string(shown), "…") + "\n"
}
