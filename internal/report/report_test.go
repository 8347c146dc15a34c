package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/profuser/profuser/fusion/align"
	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/internal/report/records"
	"github.com/profuser/profuser/internal/report/scores"
	"github.com/profuser/profuser/internal/report/tokens"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/schemas"
)

// competitors of the synthetic run, and what each answers and how well it reads the reference.
var competitors = []struct {
	name, folder, text string
	logProb            float32
	scores             [2]float64
}{
	{"target", "llama", "It is <b>7</b>.", -0.6, [2]float64{0.1, 0.2}},
	{"sage", "mpt", "The sum is seven.", -0.2, [2]float64{0.9, -0.3}},
}

var judges = []string{"judge-a", "judge-b"}

// configured loads a configuration whose models are the demo's tokenizers.
func configured(t *testing.T) *config.Config {
	t.Helper()
	tokenizers, err := filepath.Abs("../../data/tokenizers")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := fmt.Sprintf(`version: 1
prompts: {files: [prompts.jsonl]}
models:
  - {name: target, path: %[1]s/llama}
  - {name: sage, path: %[1]s/mpt}
  - {name: judge-a, path: %[1]s/llama}
  - {name: judge-b, path: %[1]s/llama}
target: {model: target}
sources: [sage]
reward: {models: [judge-a, judge-b]}
`, tokenizers)
	for name, data := range map[string]string{"prompts.jsonl": "{}\n", "fusion.yaml": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Load(filepath.Join(dir, "fusion.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// put commits a dataset of one part.
func put[T any](t *testing.T, s dataset.Store, name string, rows []T) {
	t.Helper()
	ctx := context.Background()
	f := dataset.Footer{ConfigDigest: "d", CreatedBy: "test"}
	data, err := dataset.EncodePart(rows, f)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	made, _, err := dataset.DecodeFooter(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := dataset.Begin(ctx, s, name, dataset.Header{Schema: made.Schema, ConfigDigest: "d"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(ctx, name+"/"+dataset.PartName(0), data); err != nil {
		t.Fatal(err)
	}
	if _, err := dataset.Commit(ctx, s, name, dataset.CommitOptions{Parts: 1}); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// distributions gives every token of a text one stored entry, itself.
func distributions(t *testing.T, f *chat.Format, p schemas.Prompt, text string, logProb float32) schemas.TokenDistributions {
	t.Helper()
	e, err := f.Encode(p.Messages, text, true)
	if err != nil {
		t.Fatal(err)
	}
	logProb = dist.RoundBFloat16(logProb)
	d := schemas.TokenDistributions{TokenIDs: e.TextIDs, IDs: e.TextIDs, StartBytes: e.Starts}
	for range e.TextIDs {
		d.TokenLogProbs, d.LogProbs = append(d.TokenLogProbs, logProb), append(d.LogProbs, logProb)
		d.TextRank, d.Counts = append(d.TextRank, 0), append(d.Counts, 1)
	}
	return d
}

// run is a synthetic run; its formats come from the tokenizers.
type run struct {
	t       *testing.T
	store   dataset.Store
	formats map[string]*chat.Format
	prompts []schemas.Prompt
}

// newRun commits the data side of a run: three prompts of two skills, every step up to fuse.
func newRun(t *testing.T) *run {
	t.Helper()
	store, err := dataset.OpenStore(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &run{t: t, store: store, formats: map[string]*chat.Format{}}
	for _, c := range competitors {
		f, err := chat.Load(filepath.Join("../../data/tokenizers", c.folder), chat.Options{})
		if err != nil {
			t.Fatal(err)
		}
		r.formats[c.name] = f
	}
	for i, tag := range []string{"arithmetic", "facts", "arithmetic"} {
		messages := []schemas.Message{{Role: "user", Content: fmt.Sprintf("What is %d + 4, you <there>?", i)}}
		reference := fmt.Sprintf("The sum is %d.", i+4)
		r.prompts = append(r.prompts, schemas.Prompt{ID: schemas.PromptID(messages), Messages: messages, Reference: &reference, Tags: []string{tag}, Meta: `{"answer":"7","candidates":["7","seven"]}`})
	}
	put(t, store, "prompts", r.prompts)
	for _, c := range competitors {
		r.source(c.name, c.text, c.logProb)
	}
	for k, judge := range judges {
		var rows []schemas.Reward
		for _, p := range r.prompts {
			for _, c := range competitors {
				rows = append(rows, schemas.Reward{ID: p.ID, Source: c.name, Score: c.scores[k]})
			}
		}
		put(t, store, "rewards/"+judge, rows)
	}
	r.fuse()
	return r
}

// source commits what one source wrote and read.
func (r *run) source(name, text string, logProb float32) {
	r.t.Helper()
	var answers []schemas.Generation
	var readings []schemas.TeacherForcing
	for _, p := range r.prompts {
		answers = append(answers, schemas.Generation{
			ID: p.ID, Source: name, Text: text, FinishReason: schemas.FinishStop, PromptTokens: 5, TopP: 1,
			TokenDistributions: distributions(r.t, r.formats[name], p, text, logProb),
		})
		d := distributions(r.t, r.formats[name], p, *p.Reference, logProb)
		var nats float64
		for _, x := range d.TokenLogProbs {
			nats -= float64(x)
		}
		n := len(*p.Reference)
		readings = append(readings, schemas.TeacherForcing{
			ID: p.ID, Source: name, Nats: nats, Bytes: int32(n), Tokens: int32(len(d.TokenIDs)), NatsPerByte: nats / float64(n), TokenDistributions: d,
		})
	}
	put(r.t, r.store, "generations/"+name, answers)
	put(r.t, r.store, "crossentropy/"+name, readings)
}

// fuse commits selections, sage winning everywhere but the inference mode of the second prompt, and its aligned rows.
func (r *run) fuse() {
	r.t.Helper()
	margin := 1.0
	var selections []schemas.Selection
	rows := map[string][]schemas.FusionExample{}
	for i, p := range r.prompts {
		for _, mode := range schemas.Modes {
			winner := competitors[1]
			if i == 1 && mode == schemas.ModeInference {
				winner = competitors[0]
			}
			s := schemas.Selection{ID: p.ID, Mode: mode, Source: winner.name, Margin: &margin}
			for _, c := range competitors {
				one := schemas.Candidate{Source: c.name, Value: float64(-c.logProb)}
				if mode == schemas.ModeInference {
					one.Votes = 1
					if c.name == winner.name {
						one.Votes = 2
					}
				}
				s.Candidates = append(s.Candidates, one)
			}
			selections = append(selections, s)
			text := winner.text
			if mode == schemas.ModeTraining {
				text = *p.Reference
			}
			rows[mode] = append(rows[mode], r.aligned(p, mode, winner.name, text, winner.logProb))
		}
	}
	put(r.t, r.store, "selections", selections)
	for mode, examples := range rows {
		put(r.t, r.store, "fusion/"+mode, examples)
	}
}

// aligned moves a source's distributions of a text to the target's tokens.
func (r *run) aligned(p schemas.Prompt, mode, source, text string, logProb float32) schemas.FusionExample {
	r.t.Helper()
	from, to := r.formats[source], r.formats["target"]
	d := distributions(r.t, from, p, text, logProb)
	e, err := to.Encode(p.Messages, text, true)
	if err != nil {
		r.t.Fatal(err)
	}
	a, err := align.NewExact(from.Tokenizer(), from.StopIDs(), "", to.Tokenizer(), to.EndOfTurn(), "").Align([]byte(text),
		align.Tokens{IDs: d.TokenIDs, Starts: d.StartBytes, Closed: true}, dist.Sparse{Counts: d.Counts, IDs: d.IDs, LogProbs: d.LogProbs}, d.TextRank,
		align.Tokens{IDs: e.TextIDs, Starts: e.Starts, Closed: true})
	if err != nil {
		r.t.Fatal(err)
	}
	return schemas.FusionExample{
		ID: p.ID, Mode: mode, Source: source, Selected: true, Weight: 1, PromptIDs: e.PromptIDs, TextIDs: e.TextIDs,
		Counts: a.Dist.Counts, IDs: a.Dist.IDs, LogProbs: a.Dist.LogProbs, Status: a.Status, Text: text,
	}
}

// evaluated commits a model's held-out results: nats per byte and how many of four items of two skills are right.
func (r *run) evaluated(name string, nats float64, right int) {
	r.t.Helper()
	var rows []schemas.Evaluation
	for i := range 4 {
		rows = append(rows, schemas.Evaluation{
			ID: schemas.PromptID([]schemas.Message{{Role: "user", Content: fmt.Sprint(i)}}), Model: name, Skill: []string{"arithmetic", "facts"}[i/2],
			Text: "7", Answer: "7", Correct: i < right, Nats: 10 * nats, Bytes: 10,
		})
	}
	put(r.t, r.store, "evaluation/"+name, rows)
}

// trained writes what a training leaves.
func (r *run) trained() {
	r.t.Helper()
	var b strings.Builder
	for step := range 20 {
		stage := schemas.Modes[step/10]
		loss := math.Exp(-float64(step) / 9)
		fmt.Fprintf(&b, `{"step":%d,"stage":%q,"loss":%g,"loss_%s":%g,"learning_rate":%g,"seconds":0.5,"wait":0.005,"utilisation":0.2}`+"\n", step+1, stage, loss, stage, loss, 1e-4*loss)
	}
	fmt.Fprintln(&b, `{"step":20,"stage":"training","end":"stage","held_out":{"training":{"loss":0.2}}}`)
	b.WriteString(`{"step":21,"sta`) // cut by a kill
	r.file("trainer/metrics.jsonl", b.String())
	b.Reset()
	for step := range 9 {
		fmt.Fprintf(&b, `{"step":%d,"id":"a","prompt":"What is <1>?","reference":"One.","answer":"answer %d","finished":%v}`+"\n", step, step, step > 3)
	}
	r.file("trainer/samples.jsonl", b.String())
}

// rewarded is what profuser evaluate --reward leaves.
const rewarded = `{"rows":[
{"epoch":0,"step":0,"stage":"","model":"data/models/target","responses":4,"mean":-0.5,"sd":0.9,"rewards":{"judge-a":{"mean":-0.5,"sd":0.9}}},
{"epoch":1,"step":10,"stage":"inference","model":"e/1","responses":4,"mean":1.25,"sd":0.5,"rewards":{}},
{"epoch":2,"step":20,"stage":"training","model":"e/2","responses":4,"mean":1.5,"sd":0.25,"rewards":{}}]}
`

func (r *run) file(key, text string) {
	r.t.Helper()
	if err := r.store.Create(context.Background(), key, []byte(text)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *run) read(key string) string {
	r.t.Helper()
	b, err := r.store.Read(context.Background(), key)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// contains demands texts in a file, and that others are not.
func contains(t *testing.T, name, text string, want, not []string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%s lacks %q", name, w)
		}
	}
	for _, w := range not {
		if strings.Contains(text, w) {
			t.Errorf("%s has %q", name, w)
		}
	}
}

func TestEmpty(t *testing.T) {
	store, err := dataset.OpenStore(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := Write(context.Background(), configured(t), store, Options{}, &out); err != nil {
		t.Fatal(err)
	}
	contains(t, "table", out.String(), []string{"nothing has been evaluated yet", "report.html"}, nil)
	r := &run{t: t, store: store}
	contains(t, "page", r.read("report.html"), []string{"no fusion dataset yet", "Training has not run yet", "has not been evaluated yet"}, []string{"NaN", "<svg"})
}

func TestBeforeTraining(t *testing.T) {
	r := newRun(t)
	if err := Write(context.Background(), configured(t), r.store, Options{}, io.Discard); err != nil {
		t.Fatal(err)
	}
	html := r.read("report.html")
	contains(t, "page", html,
		[]string{"Training has not run yet", "win rate of target", "you &lt;there&gt;?", "It is &lt;b&gt;7&lt;/b&gt;.", `class="t s1"`, "★", "◆", "<title>judge-a and judge-b: 0.0 %</title>", "<title>judge-b and oracle: 100.0 %</title>", "<title>judge-b, right: 1.00</title>", "<title>judge-a, right: 0.00</title>", "likelihood-kept", "bytes on disk"},
		[]string{"no fusion dataset yet", "<b>7</b>", "NaN", "http://", "https://", "<script src", "<link", "@import", "url(h", "ZgotmplZ"})
	if n := strings.Count(html, "<details") - strings.Count(html, `<details class="numbers"`); n != len(r.prompts) {
		t.Errorf("%d examples, want %d", n, len(r.prompts))
	}
	contains(t, "life", r.read("life-of-a-prompt.md"), []string{"prompts/", "generations/sage/", "rewards/", "crossentropy/", "selections/", "fusion/inference/", "fusion/training/", "token 0"}, []string{"NaN"})
}

func TestWholeRun(t *testing.T) {
	r := newRun(t)
	r.evaluated("target", 0.5, 2)
	r.evaluated("sage", 0.25, 3)
	r.evaluated(fused, 0.125, 4)
	r.trained()
	r.file(rewardsFile, rewarded)
	r.file("steps/train.json", `{"step":"train","seconds":2,"peak_bytes":3000000,"rows":5}`)
	r.file("steps/aligned-by-hand.json", `{"step":"aligned-by-hand","seconds":3,"peak_bytes":1,"rows":1}`)
	r.file("steps/ingest.json", `{"step":"ingest","seconds":1,"peak_bytes":2000,"rows":4}`)
	c := configured(t)
	var out strings.Builder
	if err := Write(context.Background(), c, r.store, Options{}, &out); err != nil {
		t.Fatal(err)
	}
	var got Summary
	if err := json.Unmarshal([]byte(r.read("summary.json")), &got); err != nil {
		t.Fatal(err)
	}
	want := Summary{
		Items: 4, Models: []ModelSummary{
			{"target", "target", 0.5, 0.5, map[string]float64{"arithmetic": 1, "facts": 0}},
			{"sage", "source", 0.25, 0.75, map[string]float64{"arithmetic": 1, "facts": 0.5}},
			{"fused", "fused", 0.125, 1, map[string]float64{"arithmetic": 1, "facts": 1}},
		}, Steps: []records.Step{
			{Step: "ingest", Seconds: 1, PeakBytes: 2000, Rows: 4}, {Step: "train", Seconds: 2, PeakBytes: 3000000, Rows: 5}, {Step: "aligned-by-hand", Seconds: 3, PeakBytes: 1, Rows: 1},
		},
		Won:      map[string]map[string]int{"inference": {"sage": 2, "target": 1}, "training": {"sage": 3}},
		WinRates: map[string]map[string]float64{"inference": {"sage": 0.5}, "training": {"sage": 0}},
		Methods: map[string]float64{
			"judge-a": 0, "judge-b": 1, "vote": 0, "borda": 1, "mean_z": 0, "length": 0, "random": 1.0 / 3, "min_ce": 0, "oracle": 1, "only target": 1, "only sage": 0,
		},
	}
	if a := got.Agreements; a["judge-a"]["judge-b"] != 0 || a["judge-b"]["oracle"] != 1 || a["oracle"]["judge-b"] != 1 || a["judge-a"]["min_ce"] != 1 {
		t.Errorf("agreements %v", a)
	}
	if len(got.Alignments) != 3 || len(got.Storage) != 6 {
		t.Errorf("alignments %+v, storage %+v", got.Alignments, got.Storage)
	}
	for _, s := range got.Storage {
		if s.Entries < s.Positions || s.Positions == 0 || s.BytesPerPosition < s.BytesPerEntry || s.BytesPerEntry <= 0 {
			t.Errorf("storage %+v", s)
		}
	}
	page := r.read("report.html")
	contains(t, "page", page, []string{`id="figure-1-left"`, `id="figure-1-right"`, `id="figure-3"`, `id="figure-4"`, `id="figure-5"`, "68 %", "Characters (Unicode code points)"}, []string{"figure-3-benchmark"})
	contains(t, "figure 4", r.read("report/figure-4.csv"), []string{"epoch,this run,\"this run, spread\"\n0,-0.5,0.9\n1,1.25,0.5\n2,1.5,0.25\n"}, nil)
	contains(t, "figure 1, right", r.read("report/figure-1-right.csv"), []string{"no system message (3 prompts),reference,3,13,13,13,13\n", "no system message (3 prompts),sage,3,17,17,17,17\n"}, nil)
	contains(t, "figure 1, left", r.read("report/figure-1-left.csv"), []string{"source,training mode,inference mode\nsage,0,0.5\n"}, nil)
	contains(t, "figure 3", r.read("report/figure-3.csv"), []string{"judge-b,1\n", "only sage,0\n", "oracle,1\n"}, nil)
	for _, a := range got.Alignments {
		if !(a.Taught > 0 && a.Taught <= 1 && a.MassStored > 0 && a.MassStored <= 1+1e-6) {
			t.Errorf("alignment %+v", a)
		}
	}
	if d := cmp.Diff(want, got, cmpopts.IgnoreFields(Summary{}, "Agreements", "Alignments", "Storage")); d != "" {
		t.Errorf("summary.json (-want +got):\n%s", d)
	}
	contains(t, "table", out.String(), []string{"fused   fused     0.1250     1.000"}, nil)
	html := r.read("report.html")
	contains(t, "page", html, []string{"Figure 5: loss of both modes", "Learning rate", "waiting for data", "model FLOPs utilisation", "What is &lt;1&gt;?", "answer 0 <i", "answer 8<", `id="training"`, "2.9 MiB", "2.0 KiB"}, []string{`class="missing"`, "NaN", "batch loss", "answer 2", "Weights of the two modes"})

	if err := Write(context.Background(), c, r.store, Options{}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if again := r.read("report.html"); again != html {
		t.Error("a second report of the same run differs")
	}
}

// TestOtherRuns: figure 4 draws other runs beside this one, figure 3 takes benchmark scores, and what an earlier report
// drew and this one does not is gone.
func TestOtherRuns(t *testing.T) {
	r, c := newRun(t), configured(t)
	r.file(rewardsFile, rewarded)
	o := Options{
		Runs:    []scores.Run{{Name: "simultaneous <1>", Epochs: []scores.Epoch{{Epoch: 0, Responses: 4, Mean: -0.5, SD: 0.9}, {Epoch: 3, Responses: 4, Mean: 0.75, SD: 1}}}},
		Methods: []scores.Method{{Name: "vote", Score: 61.5, SD: 0.5}, {Name: "length", Score: 58, SD: math.NaN()}},
	}
	if err := Write(context.Background(), c, r.store, o, io.Discard); err != nil {
		t.Fatal(err)
	}
	contains(t, "page", r.read("report.html"), []string{"simultaneous &lt;1&gt; at 3: 0.75 ± 1", "this run at 2: 1.5 ± 0.25", "61.5 ± 0.5", `id="figure-3-benchmark"`}, []string{"Figure 4 is missing"})
	contains(t, "figure 4", r.read("report/figure-4.csv"), []string{"\n2,1.5,0.25,,\n3,,,0.75,1\n"}, nil)
	contains(t, "figure 3", r.read("report/figure-3-benchmark.csv"), []string{"vote,61.5,0.5\nlength,58,\n"}, nil)
	if err := Write(context.Background(), c, r.store, Options{}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.Read(context.Background(), "report/figure-3-benchmark.svg"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the figure of an earlier report is still there: %v", err)
	}
}

// TestOneEpoch: scores of the target alone make no figure 4, which is said.
func TestOneEpoch(t *testing.T) {
	r := newRun(t)
	r.file(rewardsFile, `{"rows":[{"epoch":0,"responses":4,"mean":1,"sd":1}]}`)
	if err := Write(context.Background(), configured(t), r.store, Options{}, io.Discard); err != nil {
		t.Fatal(err)
	}
	contains(t, "page", r.read("report.html"), []string{"Figure 4 is missing: evaluation/rewards.json has scores of one epoch"}, []string{`id="figure-4"`})
}

// TestStagesOfEpochs: a stage begins at the end of the epoch before its first one.
func TestStagesOfEpochs(t *testing.T) {
	f := rewardCurves([]scores.Run{{Epochs: []scores.Epoch{{Epoch: 0}, {Epoch: 1, Stage: "inference"}, {Epoch: 2, Stage: "training"}, {Epoch: 4, Stage: "training"}}}})
	var got []string
	for _, m := range regexp.MustCompile(`<line class="mark" x1="([0-9.]+)"[^>]*/><text[^>]*>([a-z]+)<`).FindAllStringSubmatch(string(f.HTML("")), -1) {
		got = append(got, m[2]+" "+m[1])
	}
	if d := cmp.Diff([]string{"inference 46.0", "training 131.5"}, got); d != "" { // 342 units are 4 epochs
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestLengths: the five most frequent system messages, none among them, and characters, not bytes.
func TestLengths(t *testing.T) {
	l := &loaded{config: configured(t), generations: map[string]map[string][]schemas.Generation{"target": {}, "sage": {}}}
	for system, n := range map[string]int{"": 9, "Be brief.": 8, "Be kind.": 7, "Antworte höflich.": 6, "Sing.": 5, "Be rare.": 4} {
		for i := range n {
			p := schemas.Prompt{ID: fmt.Sprint(system, i), SystemHash: system, Messages: []schemas.Message{{Role: "user", Content: "?"}}}
			if system != "" {
				p.Messages = append([]schemas.Message{{Role: "system", Content: system}}, p.Messages...)
			}
			reference := strings.Repeat("ü", 10*n)
			p.Reference = &reference
			l.prompts = append(l.prompts, p)
			l.generations["sage"][p.ID] = []schemas.Generation{{Text: "é"}, {Text: "日本語"}}
		}
	}
	want := "system message,of,count,mean,first quartile,median,third quartile\n"
	for _, g := range []struct {
		label string
		n     int
	}{{"no system message", 9}, {"Be brief.", 8}, {"Be kind.", 7}, {"Antworte höflich.", 6}, {"Sing.", 5}} {
		label := fmt.Sprintf("%s (%d prompts)", g.label, g.n)
		want += fmt.Sprintf("%[1]s,reference,%[2]d,%[3]d,%[3]d,%[3]d,%[3]d\n%[1]s,target,0,,,,\n%[1]s,sage,%[4]d,2,1,2,3\n", label, g.n, 10*g.n, 2*g.n)
	}
	if d := cmp.Diff(want, string(l.lengths().CSV())); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestDamagedRewards(t *testing.T) {
	r := newRun(t)
	r.file(rewardsFile, `{"rows":[{"epoch":0,"responses":-1}]}`)
	err := Write(context.Background(), configured(t), r.store, Options{}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "evaluation/rewards.json, row 1: responses is -1") {
		t.Errorf("want the file and row named, got %v", err)
	}
}

// TestAccessible: headings in order, one language, every drawing and every control named, every link within the page or to
// the figures' files, and those files are there.
func TestAccessible(t *testing.T) {
	r := newRun(t)
	r.evaluated("target", 0.5, 2)
	r.trained()
	r.file(rewardsFile, rewarded)
	if err := Write(context.Background(), configured(t), r.store, Options{}, io.Discard); err != nil {
		t.Fatal(err)
	}
	html := r.read("report.html")
	level := 0
	for _, h := range regexp.MustCompile(`<h([1-6])`).FindAllStringSubmatch(html, -1) {
		n := int(h[1][0] - '0')
		if n > level+1 {
			t.Errorf("a heading of level %d follows one of level %d", n, level)
		}
		level = n
	}
	if n, all := strings.Count(html, `<svg viewBox`), strings.Count(html, "<svg"); n != all || strings.Count(html, `role="img" aria-labelledby="`) != n || n < 12 {
		t.Errorf("%d drawings, of which %d begin as they should", all, n)
	}
	ids := map[string]bool{}
	for _, id := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(html, -1) {
		if ids[id[1]] {
			t.Errorf("id %s is there twice", id[1])
		}
		ids[id[1]] = true
	}
	for _, link := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(html, -1) {
		if name, ok := strings.CutPrefix(link[1], "#"); ok {
			if !ids[name] {
				t.Errorf("the link to %s leads nowhere", name)
			}
		} else if len(r.read(link[1])) == 0 {
			t.Errorf("%s is empty", link[1])
		}
	}
	for _, scroll := range regexp.MustCompile(`<div class="(wide|rulers)"[^>]*>`).FindAllString(html, -1) {
		if !strings.Contains(scroll, `tabindex="0" role="group" aria-label="`) {
			t.Errorf("%s scrolls and cannot be reached by keyboard", scroll)
		}
	}
	contains(t, "page", html, []string{`<html lang="en">`, `<label class="theme" hidden>`, `:focus-visible`, "prefers-color-scheme:dark", `class="skip"`}, []string{"<img", "src="})
}

func TestModelsAbsent(t *testing.T) {
	r, c := newRun(t), configured(t)
	c.Models[1].Path = t.TempDir()
	if err := Write(context.Background(), c, r.store, Options{}, io.Discard); err != nil {
		t.Fatal(err)
	}
	contains(t, "page", r.read("report.html"), []string{"Tokens of sage are not drawn", "Ten prompts"}, nil)
}

func TestDamagedMetrics(t *testing.T) {
	r := newRun(t)
	r.file("trainer/metrics.jsonl", "{\"step\":1,\"loss\":1}\nno\n{}\n")
	err := Write(context.Background(), configured(t), r.store, Options{}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "trainer/metrics.jsonl, line 2") {
		t.Errorf("want the file and line named, got %v", err)
	}
}

// TestRulersTile demands that both rulers are as long as the text, end-of-turn aside, whatever the tokens.
func TestRulersTile(t *testing.T) {
	r := newRun(t)
	for _, text := range []string{"a", "The sum is seven.", "  two  spaces\n"} {
		x := r.aligned(r.prompts[0], schemas.ModeInference, "sage", text, -0.5)
		d := distributions(t, r.formats["sage"], r.prompts[0], text, -0.5)
		for _, one := range tokens.Pair(x, d, r.formats["sage"], r.formats["target"]) {
			width := 0
			for _, k := range one.Ticks[:len(one.Ticks)-1] {
				width += k.Width
			}
			if width != len(text) {
				t.Errorf("%q: the ruler of %s is %d wide, want %d: %+v", text, one.Model, width, len(text), one.Ticks)
			}
		}
	}
}

// TestKept: the likelihood kept is that of the text's tokens over the source's, and positions without a teacher count.
func TestKept(t *testing.T) {
	var k kept
	k.add(schemas.FusionExample{
		Text: "abcd", NatsPerByte: 0.5, TextIDs: []int32{7, 8, 9}, Counts: []int32{2, 0, 1}, IDs: []int32{6, 7, 9}, LogProbs: []float32{-0.5, -1.5, -0.25},
	})
	want := kept{sourceNats: 2, targetNats: 1.75, mass: math.Exp(-0.5) + math.Exp(-1.5) + math.Exp(-0.25), positions: 2, all: 3}
	if d := cmp.Diff(want, k, cmp.AllowUnexported(kept{}), cmpopts.EquateApprox(1e-12, 0)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestAdaptiveWeights: the page draws the decisions of an adaptive curriculum as steps, to the training's end.
func TestAdaptiveWeights(t *testing.T) {
	r := newRun(t)
	var b strings.Builder
	for step := range 11 {
		if step > 0 {
			fmt.Fprintf(&b, `{"step":%d,"stage":"adaptive","loss":1}`+"\n", step)
		}
		if step%5 == 0 && step < 10 {
			fmt.Fprintf(&b, `{"step":%d,"stage":"adaptive","decision":{"shift":%g,"weight_inference":%g,"weight_training":%g}}`+"\n", step, float64(step)/5, 1-0.9*float64(step)/5, float64(step)/5)
		}
	}
	r.file("trainer/metrics.jsonl", b.String())
	if err := Write(context.Background(), configured(t), r.store, Options{}, io.Discard); err != nil {
		t.Fatal(err)
	}
	html := r.read("report.html")
	_, figure, ok := strings.Cut(html, "Weights of the two modes")
	if !ok {
		t.Fatal("no weights on the page")
	}
	// x is 46 at step 0, 217 at 5 and 388 at 10; y is 60 at weight 1, 250 at 0 and 231 at 0.1.
	for name, path := range map[string]string{"inference": `d="M46.0 60.0L217.0 60.0L217.0 231.0L388.0 231.0"`, "training": `d="M46.0 250.0L217.0 250.0L217.0 60.0L388.0 60.0"`} {
		if !strings.Contains(figure, path) {
			t.Errorf("the line of %s mode is not %s", name, path)
		}
	}
}
