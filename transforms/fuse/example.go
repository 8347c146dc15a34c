package fuse

import (
	"fmt"
	"sync"

	"github.com/profuser/profuser/fusion/align"
	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/sink"
)

// text is a response or reference with the distributions of a source.
type text struct {
	mode        string
	source      int
	selected    bool
	text        string
	closed      bool
	tokens      *schemas.TokenDistributions
	natsPerByte float64
	reward      *float64
	margin      *float64
}

// example encodes the text for the target, aligns the source's distributions to it and adds the row, or a reject.
func (s Step) example(out *output, p *schemas.Prompt, t text) error {
	source := s.Sources[t.source].Model
	target, err := format(s.Target)
	if err != nil {
		return err
	}
	reject := func(code, form string, args ...any) error {
		out.rejects[t.mode] = append(out.rejects[t.mode], *sink.Reject(s.Name(), p.ID, source.Name, code, form, args...))
		return nil
	}
	encoded, err := target.Encode(p.Messages, t.text, t.closed)
	if err != nil {
		return reject(CodeTemplate, "rendering for the target: %v", err)
	}
	if n := len(encoded.PromptIDs) + len(encoded.TextIDs); n > s.Context {
		return reject(CodeTooLong, "prompt and %s text of %d tokens exceed the target's context of %d", t.mode, n, s.Context)
	}
	aligner, err := alignerOf(source, s.Target)
	if err != nil {
		return err
	}
	aligned, err := aligner.Align([]byte(t.text),
		align.Tokens{IDs: t.tokens.TokenIDs, Starts: t.tokens.StartBytes, Closed: t.closed},
		dist.Sparse{Counts: t.tokens.Counts, IDs: t.tokens.IDs, LogProbs: t.tokens.LogProbs}, t.tokens.TextRank,
		align.Tokens{IDs: encoded.TextIDs, Starts: encoded.Starts, Closed: t.closed})
	if err != nil {
		return reject(CodeAlign, "%v", err)
	}
	for i, lp := range aligned.Dist.LogProbs {
		aligned.Dist.LogProbs[i] = dist.RoundBFloat16(lp)
	}
	out.examples[t.mode] = append(out.examples[t.mode], schemas.FusionExample{
		ID: p.ID, Mode: t.mode, Source: source.Name, Selected: t.selected, Weight: 1, Reward: t.reward,
		PromptIDs: encoded.PromptIDs, TextIDs: encoded.TextIDs, Counts: aligned.Dist.Counts, IDs: aligned.Dist.IDs, LogProbs: aligned.Dist.LogProbs,
		Status: aligned.Status, NatsPerByte: t.natsPerByte, Margin: t.margin, Text: t.text,
	})
	return nil
}

// formats and aligners of this process, made at their first use; a vocabulary is large, and many parts share it.
var formats, aligners sync.Map

// format loads a model's tokenizer and template once.
func format(m inflight.Model) (*chat.Format, error) {
	load, _ := formats.LoadOrStore(m, sync.OnceValues(func() (*chat.Format, error) {
		f, err := chat.Load(m.Dir, chat.Options{ChatTemplate: m.ChatTemplate, EndOfTurn: m.EndOfTurn, BOS: m.BOS})
		if err != nil {
			return nil, fmt.Errorf("model %s: %w", m.Name, err)
		}
		return f, nil
	}))
	return load.(func() (*chat.Format, error))()
}

// alignerOf prepares a pair of vocabularies once.
func alignerOf(source, target inflight.Model) (*align.Exact, error) {
	make, _ := aligners.LoadOrStore([2]inflight.Model{source, target}, sync.OnceValues(func() (*align.Exact, error) {
		from, err := format(source)
		if err != nil {
			return nil, err
		}
		to, err := format(target)
		if err != nil {
			return nil, err
		}
		a, b := from.Tokenizer(), to.Tokenizer()
		return align.NewExact(a, from.StopIDs(), a.Fingerprint(), b, to.EndOfTurn(), b.Fingerprint()), nil
	}))
	return make.(func() (*align.Exact, error))()
}
