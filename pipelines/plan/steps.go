package plan

import (
	"slices"
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
