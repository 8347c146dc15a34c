package config

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/profuser/profuser/internal/config/preset"
	"github.com/profuser/profuser/trainer/curriculum"
)

const minimal = `
prompts: {files: [p.jsonl]}
models: [{name: t, path: m/t}, {name: s, path: m/s}, {name: j, path: m/j}]
target: {model: t}
sources: [s]
reward: {models: [j]}
`

// load parses text as dir/fusion.yaml without looking for files.
func load(text string, set ...string) (*Config, error) {
	return parse("dir/fusion.yaml", []byte(text), set, false)
}

func mustLoad(t *testing.T, text string, set ...string) *Config {
	t.Helper()
	c, err := load(text, set...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	c := mustLoad(t, minimal)
	want := &Config{
		Version: 1, Preset: "none", Seed: 1, Out: "dir/out",
		Prompts: Prompts{DecontaminateWords: 13, Files: []string{"dir/p.jsonl"}, Columns: Columns{"messages", "reference", "id", "tags"}, Turns: "last", PartRows: 256, Holdout: 0.02},
		Target:  Target{Model: "t", Compete: true}, Sources: []string{"s"},
		Generate:     Generate{Temperature: 0.7, TopP: 0.95, MaxNewTokens: 1024, Samples: 1, MaxRejects: 0.01},
		Truncate:     Truncate{Mass: 0.99, TopK: 32, MinProb: 0.001},
		Reward:       Reward{Models: []string{"j"}, MaxRejects: 0.01},
		CrossEntropy: CrossEntropy{MaxRejects: 0.01},
		Advantage: Advantage{
			CrossEntropy: "per_byte",
			Inference:    Inference{Method: "vote", Criteria: "how helpful, correct and complete the answer is", Filters: Filters{Unfinished: true, Empty: true, MaxRepeat: 0.5, MinScript: 0.5}},
			Training:     Training{Method: "min_ce", Temperature: 1, Weights: "ce"},
		},
		Align:      Align{Method: "exact", Fallback: "none"},
		Fuse:       Fuse{Keep: "winner", TargetWins: "keep", MaxRejects: 0.01},
		Objective:  Objective{Beta: 0.1, Divergence: "kl", Rest: "bucket", Temperature: 1, Normalize: "example", ExampleWeights: "equal", RewardTemperature: 1, Kind: "fusion", ChunkTemperature: 100, Lambda: None, StatusWeights: StatusWeights{1, 1, 1, 1}},
		Curriculum: Curriculum{Kind: "progressive", Epochs: []int{1, 2}, Adaptive: Adaptive{20, 0.25, 0.02}},
		Trainer: Trainer{
			Backend: "go:ops_sequential", BatchPrompts: 128, MaxLength: 2048, LearningRate: 1e-5, Warmup: 0.008, WeightDecay: 0.1, Clip: 1,
			Precision: "float32", Devices: 1, KeepLast: 2, LoRA: LoRA{Alpha: 16, Targets: []string{"all-linear"}, Save: "merged"}, Moments: "float32", MicroPositions: 4096, ShardBytes: 5_000_000_000, KeepEpochs: true, MaxBadSteps: 3, EvaluatePrompts: 1000,
		},
		Evaluate: Evaluate{MaxNewTokens: 64, MaxRejects: 0.01},
		Runner:   Runner{Name: "prism", Environment: "auto", RetryWait: 10 * time.Second, Stall: 24 * time.Hour},
		Plan:     Plan{Sample: 1000, ResponseTokens: 250, Entries: 13.6, EntryBytes: 2.7, TokenLatency: 25 * time.Millisecond, RequestLatency: 250 * time.Millisecond, TokensWritten: 2500, TokensRead: 15000, Currency: "USD", Models: []PlanModel{}},
		Report:   Report{BrowserPrompts: 10000, BrowserTokens: 1000},
		dir:      "dir",
	}
	for _, name := range []string{"t", "s", "j"} {
		want.Models = append(want.Models, Model{Name: name, Path: "dir/m/" + name, ChatTemplate: "auto", Backend: "go:ops_sequential", EndOfTurn: "auto", BOS: "auto"})
	}
	if diff := cmp.Diff(want, c, cmp.AllowUnexported(Config{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"t", "s"}, c.Competitors()); diff != "" {
		t.Error(diff)
	}
}

// TestFaults: testdata/faults holds configurations and what is said of them; --set options stand as set= arguments.
func TestFaults(t *testing.T) {
	datadriven.RunTest(t, "testdata/faults", func(t *testing.T, d *datadriven.TestData) string {
		var set []string
		for _, arg := range d.CmdArgs {
			if arg.Key == "set" {
				set = append(set, strings.Join(arg.Vals, ", "))
			}
		}
		text := d.Input
		if d.Cmd == "minimal-and" {
			text = strings.TrimLeft(minimal, "\n") + d.Input
		}
		_, err := load(text, set...)
		if err == nil {
			return "ok\n"
		}
		return err.Error() + "\n"
	})
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "fusion.yaml")
	if err := os.WriteFile(file, []byte(minimal), 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := Load(file, nil)
	want := []string{
		"fusion.yaml:2: prompts.files[0]: is " + dir + "/p.jsonl, which does not exist, want a file",
		"fusion.yaml:3: models[0].path: is " + dir + "/m/t, which does not exist, want a directory",
		"fusion.yaml:3: models[1].path", "fusion.yaml:3: models[2].path",
	}
	if lines := strings.Split(err.Error(), "\n"); len(lines) != len(want) {
		t.Errorf("%d faults, want %d:\n%s", len(lines), len(want), err)
	}
	for _, part := range want {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("no fault %q in\n%s", part, err)
		}
	}
	for _, name := range []string{"t", "s", "j"} {
		if err := os.MkdirAll(filepath.Join(dir, "m", name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	_, err = Load(file, []string{"prompts.files=[m]"})
	if err == nil || !strings.Contains(err.Error(), "--set prompts.files=[m]: prompts.files[0]: is "+dir+"/m, want a file") {
		t.Errorf("a folder as prompts: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "p.jsonl"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file, []string{"out=gs://bucket/run", "generate.temperature=0", "sources=[s]"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Out != "gs://bucket/run" || c.Generate.Temperature != 0 {
		t.Errorf("--set had no effect: out %s, temperature %g", c.Out, c.Generate.Temperature)
	}
	if _, err := Load(filepath.Join(dir, "none.yaml"), nil); err == nil || !strings.Contains(err.Error(), "profuser init") {
		t.Errorf("no file: %v", err)
	}
}

func TestPrintIsReadBack(t *testing.T) {
	c := mustLoad(t, minimal, "out=/abs/out", "trainer.learning_rate=3e-4", `advantage.inference.filters.refusals=["I can't", "no: really", "1"]`,
		"models=[{name: t, path: /m/t, context: 512}, {name: s, path: /m/s, chat_template: llama-2}, {name: j, path: '/m/a j'}]",
		"prompts.files=[/p]", "runner.options={b: 2, a: 'x y'}")
	var printed bytes.Buffer
	if err := c.Print(&printed); err != nil {
		t.Fatal(err)
	}
	again := mustLoad(t, printed.String())
	if diff := cmp.Diff(c, again, cmp.AllowUnexported(Config{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("printed and read back (-want +got):\n%s\n%s", diff, printed.String())
	}
}

func TestInit(t *testing.T) {
	file := filepath.Join(t.TempDir(), "fusion.yaml")
	if err := WriteInit(file); err != nil {
		t.Fatal(err)
	}
	if err := WriteInit(file); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("a second init: %v", err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	first := mustLoad(t, string(text))
	bare := mustLoad(t, minimal)
	if diff := cmp.Diff(bare.Trainer, first.Trainer); diff != "" {
		t.Error(diff)
	}
	// Every key, with the # before it taken away, is valid too and changes nothing.
	var all strings.Builder
	for line := range strings.Lines(string(text)) {
		all.WriteString(strings.Replace(line, "#", "", strings.Count(line, "#")*boolInt(!strings.Contains(line, "# "))))
	}
	if diff := cmp.Diff(first, mustLoad(t, all.String()), cmp.AllowUnexported(Config{})); diff != "" {
		t.Errorf("defaults written out change something:\n%s", diff)
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestReferenceIsCurrent(t *testing.T) {
	want, err := Reference()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/configuration.md is not what the types say: run go generate ./internal/config")
	}
}

func TestDemoConfiguration(t *testing.T) {
	data, err := os.ReadFile("../../fusion.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parse("../../fusion.yaml", data, nil, false); err != nil {
		t.Error(err)
	}
}

// TestTags: every key has a comment, and a default or a reason for none; every number has an interval.
func TestTags(t *testing.T) {
	texts, err := comments()
	if err != nil {
		t.Fatal(err)
	}
	var walk func(typ reflect.Type)
	walk = func(typ reflect.Type) {
		for i := range typ.NumField() {
			field := typ.Field(i)
			if _, ok := field.Tag.Lookup("yaml"); !ok {
				continue
			}
			name := typ.Name() + "." + field.Name
			if texts[name] == "" {
				t.Errorf("%s has no comment", name)
			}
			inner := field.Type
			for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct {
				walk(inner)
				continue
			}
			if _, ok := field.Tag.Lookup("default"); !ok && field.Tag.Get("required") == "" {
				t.Errorf("%s has neither a default nor required", name)
			}
			if number := inner.Kind() == reflect.Int || inner.Kind() == reflect.Float64; number {
				low, high, ok := strings.Cut(strings.Trim(field.Tag.Get("allow"), "[]()"), ", ")
				_, lowErr := strconv.ParseFloat(low, 64)
				_, highErr := strconv.ParseFloat(high, 64)
				if field.Tag.Get("allow") != budget && (!ok || lowErr != nil || highErr != nil) {
					t.Errorf("%s has no interval, but %q", name, field.Tag.Get("allow"))
				}
			}
		}
	}
	walk(reflect.TypeFor[Config]())
}

func TestDigest(t *testing.T) {
	steps := []string{"ingest", "generate/t", "generate/s", "reward/j", "crossentropy/s", "fuse", "train", "evaluate/s", "evaluate/fused", "evaluate-responses", "evaluate-rewards/j"}
	base := mustLoad(t, minimal)
	for _, step := range steps {
		if base.Digest(step) == "" {
			t.Errorf("no digest of %s", step)
		}
	}
	if base.Digest("paint") != "" {
		t.Error("an unknown step has a digest")
	}
	for _, test := range []struct {
		set     string
		changed string // the steps whose digest changes
	}{
		{"generate.max_rejects=0.5", ""},
		{"out=elsewhere", ""},
		{"trainer.keep_last=9", ""},
		{"trainer.gradient_checkpointing=true", ""},
		{"trainer.devices=2", ""},
		{"trainer.precision=bfloat16", "train evaluate/fused"},
		{"trainer.keep_best=2", ""},
		{"trainer.shard_bytes=1000000", ""},
		{"trainer.device_memory=1000000", ""},
		{"trainer.lora.targets=[q_proj]", ""},
		{"trainer.lora.rank=8", "train evaluate/fused"},
		{"trainer.micro_positions=512", "train evaluate/fused"},
		{"trainer.moments=bfloat16", "train evaluate/fused"},
		{"runner.options={a: b}", ""},
		{"prompts.files=[q.jsonl]", ""},
		{"objective.beta=0.5", "train evaluate/fused"},
		{"trainer.learning_rate=1e-3", "train evaluate/fused"},
		{"prompts.holdout=0.1", "train evaluate/fused"},
		{"fuse.keep=all", "fuse train evaluate/fused"},
		{"advantage.cross_entropy=per_token", "fuse train evaluate/fused"},
		{"advantage.inference.method=borda", "fuse train evaluate/fused"},
		{"advantage.inference.filters.scripts=[Latin]", "fuse train evaluate/fused"},
		{"advantage.inference.filters.min_script=0.9", ""},
		{"advantage.inference.single=j", ""},
		{"advantage.inference.judge=j", ""},
		{"advantage.inference.criteria=brevity", ""},
		{"objective.reward_temperature=2", ""},
		{"objective.lambda=0.9", "train evaluate/fused"},
		{"fuse.chunks=true", "fuse train evaluate/fused"},
		{"objective.chunk_temperature=10", ""},
		{"objective.lambda=0", "train evaluate/fused"},
		{"objective.status_weights.inner=0", "train evaluate/fused"},
		{"objective.status_weights={exact: 1}", ""},
		{"curriculum.kind=sft", "train evaluate/fused"},
		{"curriculum.epochs=[1, 2]", ""},
		{"curriculum.adaptive.step=1", ""},
		{"preset=profuser", ""},
		{"preset=simul", "train evaluate/fused"},
		{"preset=fusellm", "fuse train evaluate/fused"},
		{"generate.temperature=0", "generate/t generate/s reward/j fuse train evaluate/fused"},
		{"truncate.top_k=10", "generate/t generate/s reward/j crossentropy/s fuse train evaluate/fused"},
		{"prompts.part_rows=64", "ingest generate/t generate/s reward/j crossentropy/s fuse train evaluate/fused"},
		{"evaluate.max_new_tokens=8", "evaluate/s evaluate/fused evaluate-responses"},
		{"models=[{name: t, path: m/t}, {name: s, path: m/s}, {name: j, path: m/k}]", "reward/j fuse train evaluate/fused evaluate-rewards/j"},
	} {
		c := mustLoad(t, minimal, test.set)
		var changed []string
		for _, step := range steps {
			differ := c.Digest(step) != base.Digest(step)
			if differ {
				changed = append(changed, step)
			}
			if differ != itemsDiffer(c, base, step) {
				t.Errorf("%s: the digest of %s changes: %v, its items %v", test.set, step, differ, c.Depends(step))
			}
		}
		if got := strings.Join(changed, " "); got != test.changed {
			t.Errorf("%s changes %q, want %q", test.set, got, test.changed)
		}
	}
	compared := mustLoad(t, minimal, "advantage.inference={method: judge, judge: s}")
	brief := mustLoad(t, minimal, "advantage.inference={method: judge, judge: s, criteria: brevity}")
	for _, step := range []string{"judge", "fuse"} {
		if compared.Digest(step) == brief.Digest(step) || compared.Digest(step) == base.Digest(step) {
			t.Errorf("%s does not depend on the judge's criteria", step)
		}
	}
	if compared.Digest("reward") != base.Digest("reward") {
		t.Error("reward depends on the judge")
	}
	moved, err := parse("/elsewhere/fusion.yaml", []byte(minimal), nil, false)
	if err != nil || moved.Digest("train") != base.Digest("train") {
		t.Errorf("a moved project has another digest (%v)", err)
	}
}

// itemsDiffer says whether a step depends on something else, by itself or by the steps before it.
func itemsDiffer(a, b *Config, step string) bool {
	before := map[string][]string{
		"generate": {"ingest"}, "reward": {"generate/t", "generate/s"}, "crossentropy": {"ingest"}, "fuse": {"reward/j", "crossentropy/t", "crossentropy/s"},
		"train": {"fuse"},
	}
	name, _, _ := strings.Cut(step, "/")
	return !maps.Equal(a.Depends(step), b.Depends(step)) || slices.ContainsFunc(before[name], func(s string) bool { return itemsDiffer(a, b, s) })
}

// FuzzParse: any bytes give a configuration or faults, never a panic; a configuration is printed and read back.
func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte("preset: fusellm\nobjective: {beta: 0.5, status_weights: {inner: 0}}" + minimal))
	f.Add([]byte("curriculum: {kind: stages, stages: [{name: a, steps: 3, weights: {training: 1}}, {name: b, epochs: 1, weights: {inference: 1}, learning_rate: 1e-3}]}\nfuse: {chunks: true}\nobjective: {kind: alm, lambda: 0}" + minimal))
	f.Add([]byte("models: [{name: a, path: b, endpoint: {urls: [x], model: y, timeout: 1s}}]\n? a\n"))
	f.Add([]byte("a: &x 1\nb: *x\n<<: {c: !!int 3}\n"))
	f.Add([]byte("- 1\n--- \nseed: 0x10\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		start := time.Now()
		c, err := load(string(data))
		if time.Since(start) > 10*time.Second {
			t.Skip("slow YAML")
		}
		if err != nil {
			if err.Error() == "" {
				t.Error("faults without text")
			}
			return
		}
		var printed bytes.Buffer
		if err := c.Print(&printed); err != nil {
			t.Fatal(err)
		}
		if _, err := load(printed.String()); err != nil {
			t.Errorf("printed form is refused: %v\n%s", err, printed.String())
		}
	})
}

// TestBudget: below 1 a share, from 1 on whole numbers, and 1 is one record.
func TestBudget(t *testing.T) {
	for text, want := range map[string]float64{"0": 0, "0.01": 0.01, "0.999": 0.999, "1": 1, "12": 12, "1e3": 1000} {
		if got := mustLoad(t, minimal, "generate.max_rejects="+text).Generate.MaxRejects; got != want {
			t.Errorf("%s: %g, want %g", text, got, want)
		}
	}
	for _, text := range []string{"-1", "1.5", "1%", "'1'", "inf"} {
		if _, err := load(minimal, "generate.max_rejects="+text); err == nil || !strings.Contains(err.Error(), "want a number in [0, 1) or a whole number") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestPresets: every preset has a name that the key takes, sets what the types allow, changes what its rows say and nothing
// else, and is printed and read back.
func TestPresets(t *testing.T) {
	field, _ := reflect.TypeFor[Config]().FieldByName("Preset")
	names := []string{preset.None}
	for _, p := range preset.All() {
		names = append(names, p.Name)
		c := mustLoad(t, minimal, "preset="+p.Name)
		var set []string
		for _, k := range p.Keys {
			set = append(set, k.Path+"="+k.Value)
		}
		byHand := mustLoad(t, minimal, set...)
		byHand.Preset = p.Name
		if diff := cmp.Diff(byHand, c, cmp.AllowUnexported(Config{})); diff != "" {
			t.Errorf("%s (-its keys +preset):\n%s", p.Name, diff)
		}
		inFile := mustLoad(t, "preset: "+p.Name+minimal)
		if diff := cmp.Diff(c, inFile, cmp.AllowUnexported(Config{})); diff != "" {
			t.Errorf("%s (--set +in the file):\n%s", p.Name, diff)
		}
		var printed bytes.Buffer
		if err := mustLoad(t, minimal, "out=/o", "preset="+p.Name).Print(&printed); err != nil {
			t.Fatal(err)
		}
		again, err := load(printed.String())
		if err != nil || again.Preset != p.Name || again.Digest("train") == "" || again.Objective != c.Objective {
			t.Errorf("%s is printed and read back as %+v (%v)", p.Name, again, err)
		}
	}
	if allow := strings.Join(names, " | "); field.Tag.Get("allow") != allow {
		t.Errorf("preset allows %q, the table has %q", field.Tag.Get("allow"), allow)
	}
}

// TestPresetPrecedence: file's preset < file < preset of --set < other --set options, in whatever order those stand.
func TestPresetPrecedence(t *testing.T) {
	for _, c := range []struct {
		name, text string
		set        []string
		rest       string
		lambda     Coefficient
		beta       Coefficient
		kind       string
		epochs     []int
	}{
		{"nothing said", "", nil, "bucket", None, 0.1, "progressive", []int{1, 2}},
		{"file's preset", "preset: fusellm", nil, "renormalize", 0.9, None, "training_only", []int{3}},
		{"file beats its preset", "preset: fusellm\nobjective: {rest: bucket}\ncurriculum: {epochs: [2, 4]}", nil, "bucket", 0.9, None, "training_only", []int{6}},
		{"file's beta beats its preset's lambda", "preset: fusellm\nobjective: {beta: 0.5}", nil, "renormalize", None, 0.5, "training_only", []int{3}},
		{"--set preset beats the file", "objective: {beta: 0.5, rest: bucket}\ncurriculum: {kind: reverse}", []string{"preset=fusellm"}, "renormalize", 0.9, None, "training_only", []int{3}},
		{"--set beats --set preset", "", []string{"objective.rest=bucket", "preset=fusellm", "objective.beta=0.2"}, "bucket", None, 0.2, "training_only", []int{3}},
		{"--set lambda beats the file's beta", "objective: {beta: 0.5}", []string{"objective.lambda=0.3"}, "bucket", 0.3, None, "progressive", []int{1, 2}},
		{"--set preset replaces the file's", "preset: fusellm", []string{"preset=simul"}, "bucket", None, 0.1, "simultaneous", []int{3}},
		{"--set preset none takes the file's away", "preset: fusellm", []string{"preset=none"}, "bucket", None, 0.1, "progressive", []int{1, 2}},
		{"--set kind stages beats the file's epochs", "curriculum: {epochs: [2, 4]}", []string{"curriculum.kind=stages", "curriculum.stages=[{name: a, steps: 3, weights: {training: 1}}]"}, "bucket", None, 0.1, "stages", nil},
	} {
		got := mustLoad(t, c.text+minimal, c.set...)
		if got.Objective.Rest != c.rest || got.Objective.Lambda != c.lambda || got.Objective.Beta != c.beta || got.Curriculum.Kind != c.kind || !slices.Equal(got.Curriculum.Epochs, c.epochs) {
			t.Errorf("%s: rest %s, lambda %g, beta %g, kind %s, epochs %v", c.name, got.Objective.Rest, got.Objective.Lambda, got.Objective.Beta, got.Curriculum.Kind, got.Curriculum.Epochs)
		}
	}
}

// TestStages: the trainer's stages are those of the file.
func TestStages(t *testing.T) {
	c := mustLoad(t, minimal, "curriculum={kind: stages, stages: [{name: warm, steps: 30, weights: {inference: 1}, learning_rate: 1e-3}, {name: both, epochs: 2, weights: {inference: 0.5, training: 1}}]}")
	stages, err := c.Curriculum.Plan()
	want := []curriculum.Stage{
		{Name: "warm", Steps: 30, Inference: 1, LearningRate: 1e-3},
		{Name: "both", Epochs: 2, Inference: 0.5, Training: 1},
	}
	if diff := cmp.Diff(want, stages); diff != "" || err != nil {
		t.Errorf("stages (-want +got, error %v):\n%s", err, diff)
	}
	var printed bytes.Buffer
	if err := c.Print(&printed); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c.Curriculum, mustLoad(t, printed.String()).Curriculum, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("printed and read back (-want +got):\n%s", diff)
	}
}
