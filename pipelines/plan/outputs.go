package plan

import "math"

// fuse writes selections and examples; no model is asked.
func (e *estimator) fuse() {
	c := e.config
	target := e.survey.Readers[c.Target.Model]
	competitors, each := float64(len(c.Competitors())), 1.0
	if c.Fuse.Keep == "all" {
		each = competitors
	}
	training := e.survey.Rows * e.survey.WithReference
	example := func(text float64) func() float64 {
		return func() float64 {
			return exampleRow + examplePrompt*target.Prompt + e.distributions(c.Target.Model, text, examplePosition)
		}
	}
	s := Step{Label: "fuse", ShuffleBytes: e.shuffled() + sumsRecord*e.survey.Parts}
	for _, out := range []struct {
		dataset string
		rows    float64
		row     func() float64
	}{
		{"selections", e.survey.Rows + training, func() float64 { return selectionRow + candidateBytes*competitors }},
		{"fusion/inference", e.survey.Rows * each, example(e.responseTokens(c.Target.Model))},
		{"fusion/training", training * each, example(target.Reference)},
	} {
		part := Step{Rows: out.rows, Measured: s.Measured}
		if d, ok := e.dataset(out.dataset); ok && e.measured.Datasets["prompts"].Rows > 0 {
			part.Rows = e.survey.Rows * float64(d.Rows) / float64(e.measured.Datasets["prompts"].Rows)
		}
		e.bytes(&part, out.dataset, e.survey.Parts, partBytes, out.row)
		s.Rows, s.Bytes, s.Measured = s.Rows+part.Rows, s.Bytes+part.Bytes, part.Measured
	}
	e.add(s, "")
}

// evaluate lets everybody answer the held-out items and read their references.
func (e *estimator) evaluate() {
	items := e.survey.Items
	if items == 0 {
		return
	}
	parts := math.Ceil(items / float64(e.config.Prompts.PartRows))
	s := Step{Label: "evaluate items", Rows: items, ShuffleBytes: items*idRecord + parts*(2*idList+chunkRecord+partRecord)}
	s.Bytes = s.Rows * e.survey.ItemRowBytes
	e.add(s, "")
	for _, name := range e.config.Competitors() {
		t := e.survey.ItemReaders[name]
		s := Step{Label: "evaluate " + name, Rows: items, Requests: 2 * items, PromptTokens: 2 * items * t.Prompt, ShuffleBytes: partRecord * parts}
		s.written = items * min(e.responseTokens(name), float64(e.config.Evaluate.MaxNewTokens))
		s.TextTokens = s.written + items*t.Reference
		e.bytes(&s, "evaluation/"+name, parts, partBytes, func() float64 { return evaluationRow + textToken*s.written/items })
		e.add(s, name)
	}
}
