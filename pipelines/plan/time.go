package plan

import (
	"fmt"
	"strings"
	"time"
)

// time sets a step's wall time: by measured calls, or by what is assumed of servers and devices.
func (e *estimator) time(s *Step, model string) {
	entry, _ := e.config.Model(model)
	slots, devices := 1.0, 1.0
	if entry.Endpoint != nil {
		devices = float64(len(entry.Endpoint.URLs))
		slots = devices * float64(entry.Endpoint.Concurrency)
	}
	seconds, together := e.measured.Seconds[s.Label]
	latency, alone := e.measured.Latency[s.Label]
	switch {
	case alone && entry.Endpoint != nil: // few calls do not fill the server's places
		s.Seconds = s.Requests * latency / slots
		s.Measured = append(s.Measured, "time")
	case together:
		s.Seconds = s.Requests * seconds
		s.Measured = append(s.Measured, "time")
	case entry.Endpoint != nil:
		e.used.latency = true
		p := e.config.Plan.For(model)
		answers := (s.Requests*p.RequestLatency.Seconds() + s.written*p.TokenLatency.Seconds()) / slots
		s.Seconds = max(answers, s.GPUHours*time.Hour.Seconds()/devices)
	default:
		e.used.device = true
		s.Seconds = s.GPUHours * time.Hour.Seconds()
	}
}

// assumptions puts into words what the numbers rest on.
func (e *estimator) assumptions() {
	p := e.config.Plan
	say := func(format string, args ...any) {
		e.plan.Assumptions = append(e.plan.Assumptions, fmt.Sprintf(format, args...))
	}
	say("Prompts and references were counted with each model's tokenizer, on %s of %s prompts.", whole(float64(e.survey.Read)), whole(e.survey.Rows))
	if e.used.approximate {
		say("A model whose tokenizer is not here counts like the target.")
	}
	if e.used.measured {
		say("What the last column names was measured: %s.", e.measured.Where)
	}
	if e.used.responses {
		say("Answers have %g tokens, at most generate.max_new_tokens %d (plan.response_tokens).", p.ResponseTokens, e.config.Generate.MaxNewTokens)
	}
	if e.used.entries {
		say("A position stores %g entries of %g bytes (plan.entries, plan.entry_bytes).", p.Entries, p.EntryBytes)
	}
	if e.used.latency {
		say("A served model takes %v for a request and %v for each token of an answer, endpoint.concurrency requests at a time at each URL, and no less than its GPU, one a URL (plan.request_latency, plan.token_latency).", p.RequestLatency, p.TokenLatency)
	}
	if e.used.device {
		say("A model in the process is as fast as one GPU; a processor is slower (--probe measures it).")
	}
	say("A GPU writes %s and reads %s tokens a second (plan.tokens_written, plan.tokens_read).", whole(p.TokensWritten), whole(p.TokensRead))
	if e.plan.Total.Cost == 0 {
		say("There are no prices, so no cost (plan.gpu_hour_price, plan.prompt_price, plan.response_price).")
	} else {
		say("Prices: %g %s a GPU hour, %g a million tokens given, %g a million written (plan.gpu_hour_price, plan.prompt_price, plan.response_price).",
			p.GPUHourPrice, p.Currency, p.PromptPrice, p.ResponsePrice)
	}
	var names []string
	for _, m := range p.Models {
		names = append(names, m.Name)
	}
	if len(names) > 0 {
		say("Other numbers for %s (plan.models).", strings.Join(names, ", "))
	}
	say("Steps run one after another. Duplicates among prompts that were not read, retries and training are not counted.")
}
