package plan

import (
	"math"
	"slices"
)

// What rows take on the disk, measured on the demo's datasets with profuser inspect (docs/plan.md): ids and texts of a row,
// and for each position its token, log-prob, rank, count, start and text. Entries are a key of the section plan.
const (
	partBytes       = 3500 // footer and column headers
	generationRow   = 30
	readingRow      = 40
	rewardRow       = 9.3
	rewardPartBytes = 2000
	selectionRow    = 14
	candidateBytes  = 8
	exampleRow      = 38
	examplePosition = 1.6 // text_ids, counts, status, text
	examplePrompt   = 0.9 // prompt_ids
	sourcePosition  = 7.5 // token_ids, token_logprobs, text_rank, counts, start_bytes, text
	evaluationRow   = 24
	textToken       = 0.8 // the bytes of a token's text
)

// What a judge is told besides the answers, and the longest reply that it may write (transforms/judge).
const (
	questionTokens = 200
	mostReply      = 512
)

// What Beam shuffles: ids to find duplicates (transforms/source, repeats.go), and part numbers.
const (
	idRecord    = 32
	idList      = 12 * 16 // a part's 16 lists of ids, besides the ids
	chunkRecord = 2 * 120
	partRecord  = 40  // a part's number before it is made, and the note that it is
	sumsRecord  = 400 // a part's sums of scores
)

// shuffled is what a job of parts passes through the shuffle.
func (e *estimator) shuffled() float64 { return partRecord * e.survey.Parts }

// bytes is the size of rows on the disk: as measured, or what one row and a part of its own are assumed to take.
func (e *estimator) bytes(s *Step, dataset string, parts, own float64, row func() float64) {
	if d, ok := e.dataset(dataset); ok {
		s.Bytes = s.Rows*d.rowBytes() + parts*d.PartBytes
		if !slices.Contains(s.Measured, "bytes") {
			s.Measured = append(s.Measured, "bytes")
		}
		return
	}
	s.Bytes = s.Rows*row() + parts*own
}

// distributions is what the positions of a text and their entries take, for a model whose dataset was not measured.
func (e *estimator) distributions(model string, positions, position float64) float64 {
	p := e.config.Plan.For(model)
	e.used.entries = true
	return positions * (position + p.Entries*p.EntryBytes)
}

func (e *estimator) ingest() {
	s := Step{Label: "ingest", Rows: e.survey.Rows, ShuffleBytes: e.survey.Rows*idRecord*(1+e.survey.WithExternalID) + e.survey.Parts*(2*idList+chunkRecord+partRecord)}
	s.Bytes = s.Rows * e.survey.PromptRowBytes // parts of the prompts that were read were encoded
	e.add(s, "")
}

// responseTokens is the mean length of a source's answers.
func (e *estimator) responseTokens(name string) float64 {
	if d, ok := e.dataset("generations/" + name); ok {
		return d.TextTokens
	}
	e.used.responses = true
	return min(e.config.Plan.For(name).ResponseTokens, float64(e.config.Generate.MaxNewTokens))
}

// reference is the mean length of the references that a source reads.
func (e *estimator) reference(name string) float64 {
	t := e.survey.Readers[name]
	e.used.approximate = e.used.approximate || t.Approximate
	return t.Reference
}

// kept is the share of the requests that become rows.
func (e *estimator) kept(dataset string) float64 {
	if d, ok := e.dataset(dataset); ok {
		return d.accepted()
	}
	return 1
}

func (e *estimator) generate(name string) Step {
	dataset := "generations/" + name
	t := e.survey.Readers[name]
	s := Step{Label: "generate " + name, ShuffleBytes: e.shuffled()}
	s.Requests = e.survey.Rows * t.Fits * float64(e.config.Generate.Samples)
	s.Rows = s.Requests * e.kept(dataset)
	s.PromptTokens = s.Requests * t.Prompt
	s.written = s.Requests * e.responseTokens(name)
	s.TextTokens = s.written
	if _, ok := e.dataset(dataset); ok {
		s.Measured = append(s.Measured, "tokens")
	}
	e.bytes(&s, dataset, e.survey.Parts, partBytes, func() float64 { return generationRow + e.distributions(name, e.responseTokens(name), sourcePosition) })
	return s
}

// reward lets one judge score the answers of all; its tokens are those of prompt and answer together.
func (e *estimator) reward(name string) Step {
	dataset := "rewards/" + name
	s := Step{Label: "reward " + name, ShuffleBytes: e.shuffled()}
	t := e.survey.Judges[name]
	e.used.approximate = e.used.approximate || t.Approximate
	for _, source := range e.config.Competitors() {
		n := e.generate(source).Rows
		s.Requests += n
		s.PromptTokens += n * (t.Prompt + e.responseTokens(source)*ratio(t.Reference, e.survey.Readers[source].Reference))
	}
	s.Rows = s.Requests * e.kept(dataset)
	e.bytes(&s, dataset, e.survey.Parts, rewardPartBytes, func() float64 { return rewardRow })
	return s
}

// read lets a model read texts of so many tokens.
func (e *estimator) read(label, dataset, model string, texts, tokens float64) Step {
	s := Step{Label: label, ShuffleBytes: e.shuffled(), Requests: texts}
	s.Rows = s.Requests * e.kept(dataset)
	s.PromptTokens = s.Requests * e.survey.Readers[model].Prompt
	s.TextTokens = s.Requests * tokens
	if d, ok := e.dataset(dataset); ok {
		s.Measured = append(s.Measured, "tokens")
		s.TextTokens = s.Requests * d.TextTokens
	}
	e.bytes(&s, dataset, e.survey.Parts, partBytes, func() float64 { return readingRow + e.distributions(model, tokens, sourcePosition) })
	return s
}

// judge lets a chat model compare every pair of answers, in both orders: it reads the prompt and two answers with a
// question, and writes some sentences.
func (e *estimator) judge(name string) Step {
	answers, tokens := 0.0, 0.0 // of one prompt
	for _, source := range e.config.Competitors() {
		if source == e.config.Target.Model && !e.config.Target.Compete {
			continue
		}
		n := e.generate(source).Rows / max(1, e.survey.Rows)
		answers += n
		tokens += n * e.responseTokens(source)
	}
	s := Step{Label: "judge " + name, ShuffleBytes: e.shuffled(), Requests: e.survey.Rows * max(0, answers*(answers-1))}
	s.Rows = s.Requests * e.kept("verdicts")
	target := e.survey.Readers[e.config.Target.Model]
	e.used.approximate = true
	s.PromptTokens = s.Requests * (questionTokens + target.Prompt + 2*tokens/max(1, answers))
	s.written = s.Requests * min(mostReply, e.config.Plan.For(name).ResponseTokens)
	e.used.responses = true
	s.TextTokens = s.written
	e.bytes(&s, "verdicts", e.survey.Parts, partBytes, func() float64 { return readingRow + textToken*s.written/max(1, s.Requests) })
	return s
}

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
