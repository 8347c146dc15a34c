package exam_test

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/profuser/profuser/fusion/harness"
	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/models/serving/server"
	"github.com/profuser/profuser/pipelines/exam"
	"github.com/profuser/profuser/schemas"
)

const root = "../../"

// expected is testdata/expected/summary.json, which expect.py wrote.
type expected struct {
	Version      string `json:"lm_eval"`
	Context      int    `json:"context"`
	MaxNewTokens int    `json:"max_new_tokens"`
	Limit        int    `json:"limit"`
	Runs         map[string]struct {
		Shots   int                              `json:"shots"`
		Results map[string]map[string][2]float64 `json:"results"`
	} `json:"runs"`
}

// line is what the harness asked and found.
type line struct {
	DocID         int32     `json:"doc_id"`
	Contexts      []string  `json:"contexts"`
	Continuations []string  `json:"continuations"`
	LLs           []float64 `json:"lls"`
	Acc           *float64  `json:"acc"`
	AccNorm       *float64  `json:"acc_norm"`
	Prompt        string    `json:"prompt"`
	Text          string    `json:"text"`
	Strict        *float64  `json:"strict"`
	Flexible      *float64  `json:"flexible"`
}

func load(t testing.TB) (e expected) {
	t.Helper()
	data, err := os.ReadFile("testdata/expected/summary.json")
	if err == nil {
		err = json.Unmarshal(data, &e)
	}
	if err != nil {
		t.Fatal(err)
	}
	if e.Version != harness.Version {
		t.Fatalf("the expectations are of lm_eval %s, our conventions of %s", e.Version, harness.Version)
	}
	return e
}

// linesOf reads JSON lines.
func linesOf[T any](t testing.TB, path string) (out []T) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for text := range bytes.Lines(data) {
		var l T
		if err := json.Unmarshal(text, &l); err != nil {
			t.Fatal(err)
		}
		out = append(out, l)
	}
	return out
}

// model is a copy of the demo's target with the context that the harness's had.
func model(t testing.TB, context int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "target")
	if err := os.CopyFS(dir, os.DirFS(root+"data/models/target")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config.json")
	config := map[string]any{}
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &config)
	}
	config["max_position_embeddings"] = context
	if err == nil {
		data, err = json.Marshal(config)
	}
	if err == nil {
		err = os.WriteFile(path, data, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// options are those of a run such as arc_challenge.first_n.
func options(t testing.TB, e expected, run, model string) exam.Options {
	t.Helper()
	task, kind, _ := strings.Cut(run, ".")
	few := map[string]string{"mmlu": "dev", "truthfulqa_mc1": "", "truthfulqa_mc2": ""}
	o := exam.Options{
		Model: model, Backend: "go:ops_sequential", Concurrency: 4, Task: task, Items: root + "data/benchmarks/" + task + ".jsonl", Shots: e.Runs[run].Shots,
		Sampling: harness.Sampled, Limit: e.Limit, ChatTemplate: kind == "chat", MaxNewTokens: e.MaxNewTokens, JSONL: true, Out: t.TempDir(),
	}
	if split, ok := few[task]; !ok || split != "" {
		if !ok {
			split = "train"
		}
		o.FewShot = root + "data/benchmarks/" + task + "." + split + ".jsonl"
	} else {
		o.Items = root + "data/benchmarks/truthfulqa.jsonl"
	}
	if kind == "first_n" {
		o.Sampling = harness.FirstN
	}
	if err := o.Check(); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestPrompts: every text that a model is asked is the harness's, byte for byte.
func TestPrompts(t *testing.T) {
	e := load(t)
	for run := range e.Runs {
		want := linesOf[line](t, "testdata/expected/"+run+".jsonl")
		got, err := exam.Requests(options(t, e, run, root+"data/models/target"))
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("%s: %d items, the harness has %d", run, len(got), len(want))
		}
		for i, w := range want {
			if w.Prompt != "" {
				w.Contexts = []string{w.Prompt}
			}
			g := schemas.BenchmarkItem{Contexts: got[i].Contexts, Continuations: got[i].Continuations}
			if d := cmp.Diff(schemas.BenchmarkItem{Contexts: w.Contexts, Continuations: w.Continuations}, g); d != "" {
				t.Errorf("%s item %d (-harness +got):\n%s", run, i, d)
			}
		}
	}
}

// TestScores: log-likelihoods to 1e-4 nats, texts and metrics exactly, means and standard errors to rounding, of one model
// and the same items in the harness.
func TestScores(t *testing.T) {
	if testing.Short() {
		t.Skip("asks a model")
	}
	e := load(t)
	dir := model(t, e.Context)
	for run := range e.Runs {
		if kind := strings.SplitN(run, ".", 2)[1]; kind == "first_n" || kind == "chat" && run != "arc_challenge.chat" && run != "gsm8k.chat" {
			continue // TestPrompts has the texts; the model reads them as it reads the others
		}
		t.Run(run, func(t *testing.T) {
			o := options(t, e, run, dir)
			var out bytes.Buffer
			if err := exam.Run(t.Context(), o, &out); err != nil {
				t.Fatal(err)
			}
			got := linesOf[line](t, o.Out+"/items.jsonl")
			want := linesOf[line](t, "testdata/expected/"+run+".jsonl")
			if len(got) != len(want) {
				t.Fatalf("%d items, the harness has %d", len(got), len(want))
			}
			for i, w := range want {
				compare(t, got[i], w)
			}
			compareSummary(t, o, e.Runs[run].Results)
		})
	}
}

// TestServed: a model behind a server gives the rows that it gives in process.
func TestServed(t *testing.T) {
	if testing.Short() {
		t.Skip("asks a model")
	}
	dir := model(t, 1024)
	e, err := engine.Open(dir, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	at := httptest.NewServer(server.New(e, server.Options{Name: "target"}))
	defer at.Close()
	for _, run := range []string{"arc_challenge.first_n", "winogrande.first_n", "gsm8k.harness"} {
		expectations := load(t)
		expectations.Limit = 3
		own := options(t, expectations, run, dir)
		served := options(t, expectations, run, dir)
		served.Model, served.Endpoint, served.Tokenizer = "", at.URL, dir
		for _, o := range []exam.Options{own, served} {
			if err := exam.Run(t.Context(), o, new(bytes.Buffer)); err != nil {
				t.Fatal(err)
			}
		}
		want, got := linesOf[line](t, own.Out+"/items.jsonl"), linesOf[line](t, served.Out+"/items.jsonl")
		for i, w := range want {
			compare(t, got[i], w)
		}
		if len(got) != 3 || len(want) != 3 {
			t.Errorf("%s: %d and %d items", run, len(got), len(want))
		}
	}
}

// TestResume: parts that are there are not asked for again, a missing one is, and the results are the same bytes.
func TestResume(t *testing.T) {
	if testing.Short() {
		t.Skip("asks a model")
	}
	e := load(t)
	o := options(t, e, "winogrande.first_n", root+"data/models/target")
	o.Limit = 2
	run := func() string {
		t.Helper()
		if err := exam.Run(t.Context(), o, new(bytes.Buffer)); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(o.Out + "/items.parquet")
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	first := run()
	for _, name := range []string{"_MANIFEST-000001.json", "part-000000.parquet"} {
		if err := os.Remove(o.Out + "/scores/" + name); err != nil {
			t.Fatal(err)
		}
		if run() != first {
			t.Errorf("without %s the results are others", name)
		}
		if name == "_MANIFEST-000001.json" {
			if err := os.Remove(o.Out + "/scores/" + name); err != nil { // the next round begins without one
				t.Fatal(err)
			}
		}
	}
}

// TestFormats: the same items as Parquet with dictionaries, as Hugging Face writes it, and as JSON lines.
func TestFormats(t *testing.T) {
	for task, paths := range map[string][2]string{
		"arc_challenge":  {"testdata/arc_challenge.parquet", root + "data/benchmarks/arc_challenge.jsonl"},
		"truthfulqa_mc2": {"testdata/truthfulqa.parquet", root + "data/benchmarks/truthfulqa.jsonl"},
		"mmlu":           {"testdata/mmlu.parquet", root + "data/benchmarks/mmlu.jsonl"},
		"truthfulqa_mc1": {root + "data/benchmarks/truthfulqa.csv", root + "data/benchmarks/truthfulqa.jsonl"},
	} {
		named, err := harness.Named(task)
		if err != nil {
			t.Fatal(err)
		}
		var read [2][]harness.Document
		for i, path := range paths {
			if read[i], err = exam.Documents(named, path, ""); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(read[1], read[0], cmpopts.IgnoreFields(harness.Document{}, "Raw")); d != "" || len(read[0]) != 24 {
			t.Errorf("%s: %d items (-JSON lines +%s):\n%s", task, len(read[0]), paths[0], d)
		}
	}
}

// compare compares an item.
func compare(t *testing.T, got, want line) {
	t.Helper()
	for i, l := range want.LLs {
		if math.Abs(l-got.LLs[i]) > 1e-4 {
			t.Errorf("item %d, continuation %d: %.6f nats, the harness has %.6f", want.DocID, i, got.LLs[i], l)
		}
	}
	if got.Text != want.Text {
		t.Errorf("item %d: wrote %q, the harness's model %q", want.DocID, got.Text, want.Text)
	}
	for name, values := range map[string][2]*float64{"acc": {got.Acc, want.Acc}, "acc_norm": {got.AccNorm, want.AccNorm}, "strict": {got.Strict, want.Strict}, "flexible": {got.Flexible, want.Flexible}} {
		g, w := values[0], values[1]
		if (g == nil) != (w == nil) || g != nil && math.Abs(*g-*w) > 1e-4 { // mc2's is a share, the others are 0 or 1
			t.Errorf("item %d: %s differs from the harness's", want.DocID, name)
		}
	}
}

// compareSummary compares summary.json.
func compareSummary(t *testing.T, o exam.Options, want map[string]map[string][2]float64) {
	t.Helper()
	data, err := os.ReadFile(o.Out + "/summary.json")
	if err != nil {
		t.Fatal(err)
	}
	var s exam.Summary
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	tolerance := 1e-12
	if o.Task == "truthfulqa_mc2" {
		tolerance = 1e-4
	}
	for task, metrics := range want {
		row := s.Results[task]
		if row == nil {
			row = s.Groups[task]
		}
		for metric, w := range metrics {
			key, filter := metric, ",none"
			switch metric {
			case "strict":
				key, filter = "exact_match", ",strict-match"
			case "flexible":
				key, filter = "exact_match", ",flexible-extract"
			}
			mean, _ := row[key+filter].(float64)
			stderr, _ := row[key+"_stderr"+filter].(float64)
			if math.Abs(mean-w[0]) > tolerance || math.Abs(stderr-w[1]) > tolerance {
				t.Errorf("%s %s: %v ± %v, the harness has %v ± %v", task, metric, row[key+filter], row[key+"_stderr"+filter], w[0], w[1])
			}
		}
	}
}
