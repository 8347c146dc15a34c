package progress

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/profuser/profuser/transforms/tally"
)

// family is one metric of the Prometheus text format.
type family struct {
	name, kind, help string
	// samples are the lines of one step: suffix of the name, further labels, value.
	samples func(s Status, add func(suffix, labels string, value float64))
}

// plain is a family with one number a step.
func plain(name, kind, help string, value func(Status) float64) family {
	return family{name, kind, help, func(s Status, add func(suffix, labels string, value float64)) { add("", "", value(s)) }}
}

var families = []family{
	{"profuser_step_state", "gauge", "1 for the state in which the step is, 0 for the others.", func(s Status, add func(suffix, labels string, value float64)) {
		for _, state := range []State{Waiting, Running, Done, Stopped} {
			value := 0.0
			if state == s.State {
				value = 1
			}
			add("", label("state", string(state)), value)
		}
	}},
	plain("profuser_step_seconds", "gauge", "How long the step has run.", func(s Status) float64 { return s.Elapsed.Seconds() }),
	plain("profuser_parts", "gauge", "Parts that the step's datasets will have.", func(s Status) float64 { return float64(s.Work.Parts) }),
	plain("profuser_parts_done", "gauge", "Parts that are there, those of earlier runs included.", func(s Status) float64 { return float64(s.Parts) }),
	plain("profuser_rows", "gauge", "Rows that the step has to do in all.", func(s Status) float64 { return float64(s.Work.Rows) }),
	plain("profuser_rows_total", "counter", "Rows done by this run, rejected ones included.", func(s Status) float64 { return float64(s.Counters[tally.Rows]) }),
	plain("profuser_rejected_rows_total", "counter", "Rows rejected by this run.", func(s Status) float64 { return float64(s.Rejects) }),
	{"profuser_rejects_total", "counter", "Rejects by code; a row can have one for each mode.", func(s Status, add func(suffix, labels string, value float64)) {
		codes := tally.RejectCodes(s.Counters)
		for _, code := range slices.Sorted(maps.Keys(codes)) {
			add("", label("code", code), float64(codes[code]))
		}
	}},
	{"profuser_tokens_total", "counter", "Tokens given to models (prompt), and written or read by them (text).", func(s Status, add func(suffix, labels string, value float64)) {
		add("", label("kind", "prompt"), float64(s.Counters[tally.PromptTokens]))
		add("", label("kind", "text"), float64(s.Counters[tally.TextTokens]))
	}},
	plain("profuser_calls_in_flight", "gauge", "Calls to models that have begun and not ended.", func(s Status) float64 { return float64(s.InFlight) }),
	{"profuser_call_seconds", "histogram", "How long calls to models took, waiting and retries included. The sum is estimated from the buckets.", callSeconds},
	plain("profuser_seconds_left", "gauge", "Estimated time until the running step ends, NaN where nobody knows.", func(s Status) float64 {
		if !s.LeftKnown {
			return math.NaN()
		}
		return s.Left.Seconds()
	}),
}

// callSeconds writes the histogram of latencies.
func callSeconds(s Status, add func(suffix, labels string, value float64)) {
	var calls int64
	for i, n := range s.Latencies.Counts {
		calls += n
		add("_bucket", label("le", number(s.Latencies.Bounds[i])), float64(calls))
	}
	add("_sum", "", s.Latencies.Seconds())
	add("_count", "", float64(calls))
}

// WriteMetrics writes all steps in Prometheus' text format 0.0.4. The label step is the step with its model.
func WriteMetrics(w io.Writer, steps []Status) error {
	var b strings.Builder
	for _, f := range families {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", f.name, f.help, f.name, f.kind)
		for _, s := range steps {
			f.samples(s, func(suffix, labels string, value float64) {
				if labels != "" {
					labels = "," + labels
				}
				fmt.Fprintf(&b, "%s%s{%s%s} %s\n", f.name, suffix, label("step", s.Label), labels, number(value))
			})
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

var escapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

func label(name, value string) string { return name + `="` + escapes.Replace(value) + `"` }

func number(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
