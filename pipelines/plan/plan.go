package plan

import (
	"time"

	"github.com/profuser/profuser/internal/config"
)

// Step is one line of a plan: what one model does in one step.
type Step struct {
	// Label is the step with its model, such as "generate sage".
	Label string `json:"step"`
	// Rows are written, Requests made; Rejected rows are those that are known not to fit.
	Rows     float64 `json:"rows"`
	Requests float64 `json:"requests"`
	// PromptTokens are given to the model, TextTokens written by it (generate) or read as the text in question.
	PromptTokens float64 `json:"prompt_tokens"`
	TextTokens   float64 `json:"text_tokens"`
	// Bytes are written to the store, ShuffleBytes pass Beam's shuffle.
	Bytes        float64 `json:"bytes"`
	ShuffleBytes float64 `json:"shuffle_bytes"`
	// GPUHours at the tokens a second assumed.
	GPUHours float64 `json:"gpu_hours"`
	// Seconds of wall time; 0 where no model works.
	Seconds float64 `json:"seconds"`
	// Cost in the currency of the section plan.
	Cost float64 `json:"cost"`
	// written are those of the text tokens that the model writes.
	written float64
	// Measured says which of the numbers come from measurements instead of assumptions: tokens, bytes, time.
	Measured []string `json:"measured,omitempty"`
}

// Check is one precondition.
type Check struct {
	// Name says of what, Fault what is wrong, "" for nothing; Skipped that nobody looked.
	Name    string `json:"name"`
	Fault   string `json:"fault,omitempty"`
	Skipped bool   `json:"skipped,omitempty"`
}

// Plan is the estimate of a whole run.
type Plan struct {
	// Prompts is how many there are, Sampled how many were read to count tokens, Parts the parts of each dataset.
	Prompts float64 `json:"prompts"`
	Sampled int     `json:"sampled"`
	Parts   float64 `json:"parts"`
	Steps   []Step  `json:"steps"`
	Total   Step    `json:"total"`
	// Assumptions are the sentences on which the numbers rest; Currency is the cost's.
	Assumptions []string `json:"assumptions"`
	Currency    string   `json:"currency"`
	Checks      []Check  `json:"checks"`
}

// Faults counts the preconditions that are not met.
func (p *Plan) Faults() (n int) {
	for _, c := range p.Checks {
		if c.Fault != "" {
			n++
		}
	}
	return n
}

// estimator makes a plan's steps.
type estimator struct {
	config   *config.Config
	survey   Survey
	measured Measured
	plan     Plan
	used     uses
}

// uses notes which assumptions some number rests on.
type uses struct {
	responses, entries, latency, device, measured, approximate bool
}

// Make estimates every step of a run. m may be the zero value.
func Make(c *config.Config, s Survey, m Measured) Plan {
	e := &estimator{config: c, survey: s, measured: m}
	e.plan = Plan{Prompts: s.Rows, Sampled: s.Read, Parts: s.Parts, Currency: c.Plan.Currency}
	e.ingest()
	for _, name := range c.Competitors() {
		e.add(e.generate(name), name)
	}
	for _, name := range c.Reward.Models {
		e.add(e.reward(name), name)
	}
	for _, name := range c.Competitors() {
		e.add(e.read("crossentropy "+name, "crossentropy/"+name, name, s.WithReference*s.Rows, e.reference(name)), name)
	}
	if c.Advantage.Inference.Method == "perplexity" || c.Align.Method == "transport" {
		for _, name := range c.Competitors() {
			target := c.Target.Model
			text := e.responseTokens(name) * ratio(s.Readers[target].Reference, s.Readers[name].Reference)
			e.add(e.read("responses of "+name, "crossentropy-responses/"+name, target, e.generate(name).Rows, text), target)
		}
	}
	if in := c.Advantage.Inference; in.Method == "judge" {
		e.add(e.judge(in.Judge), in.Judge)
	}
	e.fuse()
	e.evaluate()
	e.assumptions()
	return e.plan
}

// ratio is a/b, 1 where one of them is not known.
func ratio(a, b float64) float64 {
	if a <= 0 || b <= 0 {
		return 1
	}
	return a / b
}

// dataset is a measured dataset; ok is false if it was not.
func (e *estimator) dataset(name string) (d Dataset, ok bool) {
	d, ok = e.measured.Datasets[name]
	return d, ok && d.Rows > 0
}

// add prices a step of one model, "" for none, and takes it into the plan.
func (e *estimator) add(s Step, model string) {
	if model != "" {
		p := e.config.Plan.For(model)
		read := s.PromptTokens + s.TextTokens - s.written
		s.GPUHours = (s.written/p.TokensWritten + read/p.TokensRead) / time.Hour.Seconds()
		s.Cost = s.GPUHours*p.GPUHourPrice + (read*p.PromptPrice+s.written*p.ResponsePrice)/1e6
		e.time(&s, model)
		if len(s.Measured) > 0 {
			e.used.measured = true
		}
	}
	e.plan.Steps = append(e.plan.Steps, s)
	t := &e.plan.Total
	t.Label = "total"
	t.Rows, t.Requests, t.PromptTokens, t.TextTokens = t.Rows+s.Rows, t.Requests+s.Requests, t.PromptTokens+s.PromptTokens, t.TextTokens+s.TextTokens
	t.Bytes, t.ShuffleBytes, t.GPUHours, t.Seconds, t.Cost = t.Bytes+s.Bytes, t.ShuffleBytes+s.ShuffleBytes, t.GPUHours+s.GPUHours, t.Seconds+s.Seconds, t.Cost+s.Cost
}
