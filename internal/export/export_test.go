package export

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/schemas"
)

// asked is a prompt with three candidates and two reward models; the first one's scores have mean 0 and deviation 1, the
// second's mean 0 and deviation 2.
func asked() (prompt, []*advantage.Stats) {
	messages := []schemas.Message{{Role: schemas.RoleSystem, Content: "Be short."}, {Role: schemas.RoleUser, Content: "2 + 2?"}}
	stats := []*advantage.Stats{{}, {}}
	for _, x := range []float64{-1, 1} {
		stats[0].Add(x)
		stats[1].Add(2 * x)
	}
	return prompt{
		Prompt: &schemas.Prompt{ID: schemas.PromptID(messages), Messages: messages}, winner: schemas.ResponseKey{ID: schemas.PromptID(messages), Source: "b"},
		candidates: []advantage.Response{
			{Source: "a", Text: "5", Scores: []float64{-1, 0}}, // z -1, 0
			{Source: "b", Text: "4", Scores: []float64{1, 1}},  // z 1, 0.5
			{Source: "c", Text: "?", Scores: []float64{-2, 2}}, // z -2, 1
		},
	}, stats
}

func TestPair(t *testing.T) {
	p, stats := asked()
	got, _, err := p.pair(stats, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := &Pair{
		ID: p.ID, Prompt: p.Messages, Chosen: []schemas.Message{{Role: "assistant", Content: "4"}}, Rejected: []schemas.Message{{Role: "assistant", Content: "?"}},
		ScoreChosen: 0.75, ScoreRejected: -0.5, Margin: 1.25, SourceChosen: "b", SourceRejected: "c", // of equal scores the last
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, c := range []struct {
		reason string
		margin float64
		change func(p *prompt)
	}{
		{"margin", 1.26, func(*prompt) {}},
		{"margin", 0, func(p *prompt) { p.winner.Source = "a"; p.candidates[2].Scores = []float64{0, 0} }}, // the winner has the lower score
		{"equal responses", 0, func(p *prompt) { p.candidates[2].Text = "4" }},
		{"one candidate", 0, func(p *prompt) { p.candidates = p.candidates[1:2] }},
	} {
		p, _ := asked()
		c.change(&p)
		if p.winner.Source == "a" {
			p.candidates = append(p.candidates[:1], p.candidates[2])
		}
		if row, reason, err := p.pair(stats, c.margin); row != nil || reason != c.reason || err != nil {
			t.Errorf("%s: %+v, %q, %v", c.reason, row, reason, err)
		}
	}
	p.winner.Source = "z"
	if _, _, err := p.pair(stats, 0); err == nil {
		t.Error("a winner that is no candidate was taken")
	}
}

func TestConversations(t *testing.T) {
	p, _ := asked()
	rows, _ := p.conversations(SFT, 1)
	if len(rows) != 1 || rows[0].Source != "b" || rows[0].Weight != 1 || len(rows[0].Messages) != 3 || rows[0].Messages[2].Content != "4" || *rows[0].Reward != 1 {
		t.Errorf("%+v", rows)
	}
	p.candidates[0].Scores = []float64{math.NaN(), math.NaN()}
	rows, _ = p.conversations(FuseSFT, 0.5) // rewards 1 and 0 at temperature 1/2: e² : 1
	if len(rows) != 2 || math.Abs(rows[0].Weight-math.Exp(2)/(math.Exp(2)+1)) > 1e-12 || math.Abs(rows[0].Weight+rows[1].Weight-1) > 1e-12 {
		t.Errorf("%+v", rows)
	}
	if len(p.Messages) != 2 {
		t.Errorf("the prompt's messages have grown: %+v", p.Messages)
	}
	p.candidates = p.candidates[:1]
	if rows, reason := p.conversations(FuseSFT, 1); rows != nil || reason != "no reward" {
		t.Errorf("%+v, %q", rows, reason)
	}
}

func TestOptions(t *testing.T) {
	good := Options{Format: SFT, Output: "x/y.jsonl", Temperature: 1}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for flag, change := range map[string]func(o *Options){
		"--format":      func(o *Options) { o.Format = "dpo" },
		"--output":      func(o *Options) { o.Output = "x.csv" },
		"--min-margin":  func(o *Options) { o.MinMargin = math.NaN() },
		"--temperature": func(o *Options) { o.Temperature = 0 },
	} {
		o := good
		change(&o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%s: %v", flag, err)
		}
	}
}
