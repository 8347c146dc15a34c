package plan

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// Difference is one number of a plan beside what a finished run has.
type Difference struct {
	// Label is the step's, Quantity rows, requests, prompt tokens, text tokens or bytes.
	Label, Quantity string
	// Planned and Found are the two numbers.
	Planned, Found float64
}

// Share is how far the plan is off, as a share of what was found.
func (d Difference) Share() float64 {
	if d.Found == 0 {
		return math.Abs(d.Planned)
	}
	return (d.Planned - d.Found) / d.Found
}

// Compare sets a plan beside the datasets of a finished run. Steps without a dataset there are left out, and so is what
// datasets do not tell: the tokens that judges read, hours and time.
func Compare(p Plan, found Measured) (out []Difference) {
	for _, s := range p.Steps {
		d, tokens, ok := found.step(s.Label)
		if !ok {
			continue
		}
		add := func(quantity string, planned, found float64) {
			out = append(out, Difference{s.Label, quantity, planned, found})
		}
		add("rows", s.Rows, float64(d.Rows))
		if s.Requests > 0 && !strings.HasPrefix(s.Label, "evaluate ") { // which asks twice for a row
			add("requests", s.Requests, float64(d.Rows+d.Rejects))
		}
		if tokens {
			if d.PromptTokens > 0 {
				add("prompt tokens", s.PromptTokens, d.PromptTokens*float64(d.Rows))
			}
			add("text tokens", s.TextTokens, d.TextTokens*float64(d.Rows))
		}
		add("bytes", s.Bytes, float64(d.Bytes))
	}
	return out
}

// step finds the dataset, or the sum of datasets, that a step has written; tokens says whether its rows tell them.
func (m Measured) step(label string) (d Dataset, tokens, ok bool) {
	kind, name, _ := strings.Cut(label, " ")
	switch kind {
	case "ingest":
		d, ok = m.Datasets["prompts"]
	case "generate":
		d, ok = m.Datasets["generations/"+name]
		return d, true, ok
	case "reward":
		d, ok = m.Datasets["rewards/"+name]
	case "crossentropy":
		d, ok = m.Datasets["crossentropy/"+name]
		return d, true, ok
	case "responses":
		d, ok = m.Datasets["crossentropy-responses/"+strings.TrimPrefix(name, "of ")]
		return d, true, ok
	case "fuse":
		for _, part := range []string{"selections", "fusion/inference", "fusion/training"} {
			x, there := m.Datasets[part]
			if !there {
				return d, false, false
			}
			d.Rows, d.Bytes, ok = d.Rows+x.Rows, d.Bytes+x.Bytes, true
		}
	case "evaluate":
		d, ok = m.Datasets["evaluation/"+name]
	}
	return d, false, ok
}

// WriteComparison prints differences as a table in Markdown, and names those beyond tolerance in its error.
func WriteComparison(w io.Writer, differences []Difference, tolerance float64) error {
	var b strings.Builder
	var beyond []string
	b.WriteString("| step | | planned | found | difference |\n|---|---|---|---|---|\n")
	write := func(d Difference, x float64) string {
		if d.Quantity == "bytes" {
			return Bytes(x)
		}
		return whole(x)
	}
	for _, d := range differences {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %+.1f %% |\n", d.Label, d.Quantity, write(d, d.Planned), write(d, d.Found), 100*d.Share())
		if math.Abs(d.Share()) > tolerance {
			beyond = append(beyond, d.Label+" "+d.Quantity)
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	if len(differences) == 0 {
		return fmt.Errorf("the run to compare with has no finished dataset")
	}
	if len(beyond) > 0 {
		return fmt.Errorf("%d of %d numbers are off by more than %.0f %%: %s", len(beyond), len(differences), 100*tolerance, strings.Join(beyond, ", "))
	}
	return nil
}
