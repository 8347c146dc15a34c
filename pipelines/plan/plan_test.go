package plan

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/profuser/profuser/internal/config"
)

// configuration is a small one with a served source.
func configuration() *config.Config {
	c := &config.Config{Seed: 1, Out: "out"}
	c.Prompts.PartRows = 256
	c.Models = []config.Model{
		{Name: "target", Path: "t"},
		{Name: "llama", Endpoint: &config.Endpoint{URLs: []string{"http://a", "http://b"}, Concurrency: 50}},
		{Name: "judge", Endpoint: &config.Endpoint{URLs: []string{"http://c"}, Concurrency: 10}},
	}
	c.Target = config.Target{Model: "target", Compete: true}
	c.Sources = []string{"llama"}
	c.Generate.MaxNewTokens, c.Generate.Samples = 512, 1
	c.Reward.Models = []string{"judge"}
	c.Advantage.Inference.Method, c.Align.Method, c.Fuse.Keep = "vote", "exact", "winner"
	c.Evaluate.MaxNewTokens = 64
	c.Plan = config.Plan{
		ResponseTokens: 200, Entries: 10, EntryBytes: 3, TokenLatency: 20 * time.Millisecond, RequestLatency: time.Second,
		TokensWritten: 2000, TokensRead: 10000, GPUHourPrice: 4, PromptPrice: 0.5, ResponsePrice: 1.5, Currency: "EUR",
		Models: []config.PlanModel{{Name: "llama", ResponseTokens: 100, GPUHourPrice: 2}},
	}
	return c
}

func look() Survey {
	return Survey{
		Rows: 10000, Parts: 40, Items: 500, Read: 1000, WithReference: 0.8, WithExternalID: 1, PromptRowBytes: 150, ItemRowBytes: 160,
		Readers:     map[string]Tokens{"target": {Prompt: 50, Reference: 80, Fits: 1}, "llama": {Prompt: 60, Reference: 100, Fits: 0.9}},
		Judges:      map[string]Tokens{"judge": {Prompt: 55, Reference: 88, Fits: 1, Approximate: true}},
		ItemReaders: map[string]Tokens{"target": {Prompt: 40, Reference: 10, Fits: 1}, "llama": {Prompt: 45, Reference: 12, Fits: 1}},
	}
}

func find(t *testing.T, p Plan, label string) Step {
	t.Helper()
	for _, s := range p.Steps {
		if s.Label == label {
			return s
		}
	}
	t.Fatalf("no step %s in %+v", label, p.Steps)
	return Step{}
}

// TestSums computes a plan by hand.
func TestSums(t *testing.T) {
	p := Make(configuration(), look(), Measured{})
	near := cmpopts.EquateApprox(1e-9, 0)
	hours := (9000*100/2000.0 + 9000*60/10000.0) / 3600
	want := Step{
		Label: "generate llama", Rows: 9000, Requests: 9000, PromptTokens: 9000 * 60, TextTokens: 9000 * 100, written: 9000 * 100, ShuffleBytes: 40 * partRecord,
		Bytes: 9000*(generationRow+100*(sourcePosition+10*3)) + 40*partBytes, GPUHours: hours, Seconds: 9000 * (1 + 100*0.02) / 100,
		Cost: 2*hours + (9000*60*0.5+9000*100*1.5)/1e6,
	}
	if d := cmp.Diff(want, find(t, p, "generate llama"), near, cmp.AllowUnexported(Step{})); d != "" {
		t.Errorf("generate llama (-want +got):\n%s", d)
	}
	// 10,000 answers of 200 tokens of the target and 9,000 of 100, in the judge's tokens.
	want = Step{Label: "reward judge", Rows: 19000, Requests: 19000, PromptTokens: 10000*(55+200*88/80.0) + 9000*(55+100*88/100.0), ShuffleBytes: 40 * partRecord, Bytes: 19000*rewardRow + 40*rewardPartBytes}
	want.GPUHours = want.PromptTokens / 10000 / 3600
	want.Seconds = math.Max(19000*1/10.0, want.GPUHours*3600)
	want.Cost = 4*want.GPUHours + want.PromptTokens*0.5/1e6
	if d := cmp.Diff(want, find(t, p, "reward judge"), near, cmp.AllowUnexported(Step{})); d != "" {
		t.Errorf("reward judge (-want +got):\n%s", d)
	}
	read := find(t, p, "crossentropy target")
	if read.Requests != 8000 || read.TextTokens != 8000*80 || read.Seconds != read.GPUHours*3600 {
		t.Errorf("crossentropy target: %+v", read)
	}
	if e := find(t, p, "evaluate target"); e.Requests != 1000 || e.TextTokens != 500*(64+10) {
		t.Errorf("evaluate target: %+v", e)
	}
	var total Step
	for _, s := range p.Steps {
		total.Rows, total.Bytes, total.Cost, total.Seconds = total.Rows+s.Rows, total.Bytes+s.Bytes, total.Cost+s.Cost, total.Seconds+s.Seconds
	}
	if p.Total.Rows != total.Rows || p.Total.Bytes != total.Bytes || p.Total.Cost != total.Cost || p.Total.Seconds != total.Seconds {
		t.Errorf("total %+v, want %+v", p.Total, total)
	}
}

// TestMeasured: what datasets say replaces what is assumed.
func TestMeasured(t *testing.T) {
	m := Measured{
		Where:    "a probe of 64 prompts",
		Datasets: map[string]Dataset{"prompts": {Parts: 1, Rows: 100, Bytes: 10000}, "generations/llama": {Parts: 1, Rows: 96, Rejects: 4, Bytes: 100000, PartBytes: 4000, TextTokens: 123}},
		Latency:  map[string]float64{"generate llama": 3, "generate target": 3}, Seconds: map[string]float64{"generate llama": 1, "generate target": 0.5},
	}
	p := Make(configuration(), look(), m)
	s := find(t, p, "generate llama")
	if s.Requests != 9000 || s.Rows != 9000*0.96 || s.TextTokens != 9000*123 || s.Bytes != 9000*0.96*1000+40*4000 || s.Seconds != 9000*3/100.0 {
		t.Errorf("generate llama: %+v", s)
	}
	if d := cmp.Diff([]string{"tokens", "bytes", "time"}, s.Measured); d != "" {
		t.Errorf("measured (-want +got):\n%s", d)
	}
	if s := find(t, p, "generate target"); s.Seconds != 10000*0.5 { // in the process: all its calls together
		t.Errorf("generate target: %+v", s)
	}
	if text := strings.Join(p.Assumptions, "\n"); !strings.Contains(text, "a probe of 64 prompts") {
		t.Errorf("assumptions:\n%s", text)
	}
}

// TestMethods: steps that only some methods need.
func TestMethods(t *testing.T) {
	c := configuration()
	c.Advantage.Inference.Method, c.Advantage.Inference.Judge, c.Generate.Samples, c.Fuse.Keep = "judge", "llama", 2, "all"
	p := Make(c, look(), Measured{})
	if s := find(t, p, "generate llama"); s.Requests != 18000 {
		t.Errorf("two samples: %+v", s)
	}
	if s := find(t, p, "judge llama"); math.Abs(s.Requests-10000*3.8*2.8) > 1e-6 { // 2 and 1.8 answers to a prompt, each pair twice
		t.Errorf("judge: %+v", s)
	}
	c.Advantage.Inference.Method = "perplexity"
	p = Make(c, look(), Measured{})
	if s := find(t, p, "responses of llama"); s.Requests != 18000 || s.PromptTokens != 18000*50 || s.TextTokens != 18000*100*80/100.0 {
		t.Errorf("the target reads answers: %+v", s)
	}
	if s := find(t, p, "fuse"); s.Rows != 18000+2*18000 {
		t.Errorf("fuse, all kept: %+v", s)
	}
}

// TestText prints plans for people: testdata/plans.
func TestText(t *testing.T) {
	datadriven.RunTest(t, "testdata/plans", func(t *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		m := Measured{}
		if d.HasArg("measured") {
			m = Measured{Where: "the datasets in out", Datasets: map[string]Dataset{"generations/llama": {Parts: 40, Rows: 9000, Bytes: 5e6, PartBytes: 4000, TextTokens: 123}}}
		}
		c := configuration()
		if d.HasArg("free") {
			c.Plan.GPUHourPrice, c.Plan.PromptPrice, c.Plan.ResponsePrice, c.Plan.Models = 0, 0, 0, nil
		}
		p := Make(c, look(), m)
		p.Checks = []Check{{Name: "model target in t"}, {Name: "model llama at http://a", Skipped: true}, {Name: "writing to out", Fault: "permission denied"}}
		if err := p.Write(&out); err != nil {
			t.Error(err)
		}
		if p.Faults() != 1 {
			t.Errorf("%d faults", p.Faults())
		}
		return out.String()
	})
}

// TestJSON: what is printed for machines has no infinite number and reads back.
func TestJSON(t *testing.T) {
	p := Make(configuration(), Survey{Readers: map[string]Tokens{}}, Measured{})
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back Plan
	if err := json.Unmarshal(data, &back); err != nil || len(back.Steps) != len(p.Steps) {
		t.Errorf("%v, %d steps", err, len(back.Steps))
	}
}

func TestCompare(t *testing.T) {
	p := Make(configuration(), look(), Measured{})
	truth := Measured{Datasets: map[string]Dataset{
		"prompts":           {Rows: 10000, Bytes: 1.5e6},
		"generations/llama": {Rows: 8900, Rejects: 100, Bytes: 3e6, PromptTokens: 60, TextTokens: 100},
		"rewards/judge":     {Rows: 19000, Bytes: 250000},
		"selections":        {Rows: 1}, // without fusion/ fuse is not compared
	}}
	differences := Compare(p, truth)
	got := map[string]float64{}
	for _, d := range differences {
		got[d.Label+" "+d.Quantity] = d.Share()
	}
	if len(got) != 10 || got["ingest rows"] != 0 || got["generate llama requests"] != 0 || math.Abs(got["generate llama rows"]-100/8900.0) > 1e-9 {
		t.Errorf("differences: %v", got)
	}
	var out strings.Builder
	err := WriteComparison(&out, differences, 0.2)
	if err == nil || !strings.HasSuffix(err.Error(), "20 %: generate llama bytes") || !strings.Contains(out.String(), "| ingest | rows | 10,000 | 10,000 | +0.0 % |\n") {
		t.Errorf("error %v, table:\n%s", err, out.String())
	}
	if err := WriteComparison(&out, nil, 0.2); err == nil {
		t.Error("nothing to compare with is no error")
	}
}

func TestUnits(t *testing.T) {
	for x, want := range map[float64]string{0: "0 B", 1000: "1000 B", 1024: "1.0 KiB", 102400: "100 KiB", 1023.6 * 1024: "1.0 MiB", 5e12: "4.5 TiB"} {
		if got := Bytes(x); got != want {
			t.Errorf("Bytes(%g) is %s, want %s", x, got, want)
		}
	}
	for x, want := range map[float64]string{0.4: "under 1s", 59.6: "1m00s", 3599.7: "1h00m", 3725: "1h02m", 400000: "4d15h"} {
		if got := clock(x); got != want {
			t.Errorf("clock(%g) is %s, want %s", x, got, want)
		}
	}
}
