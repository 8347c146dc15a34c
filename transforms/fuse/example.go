package fuse

import (
	"github.com/profuser/profuser/fusion/align"
	"github.com/profuser/profuser/fusion/chunk"
	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/fusion/mixture"
	"github.com/profuser/profuser/fusion/spelling"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/sink"
)

// text is a response or reference with the distributions of a source.
type text struct {
	mode        string
	source      int
	sample      int32
	selected    bool
	text        string
	closed      bool
	tokens      *schemas.TokenDistributions
	natsPerByte float64
	reward      *float64
	margin      *float64
	own         *schemas.TokenDistributions // the target's reading of the text, nil if there is none
}

// response is a source's own answer; reading is the target's of it, nil if there is none.
func response(g *schemas.Generation, source int, selected bool, reward, margin *float64, reading *schemas.TeacherForcing) text {
	nats := max(0, dist.Nats(g.TokenLogProbs))
	return text{
		mode: schemas.ModeInference, source: source, sample: g.Sample, selected: selected, text: g.Text, closed: g.FinishReason == schemas.FinishStop,
		tokens: &g.TokenDistributions, natsPerByte: nats / float64(max(1, len(g.Text))), reward: reward, margin: margin, own: distributions(reading),
	}
}

// distributions are those of a reading, nil without one.
func distributions(r *schemas.TeacherForcing) *schemas.TokenDistributions {
	if r == nil {
		return nil
	}
	return &r.TokenDistributions
}

// reference is the ground-truth answer as a source read it; reading is the target's of it.
func reference(reference string, r *schemas.TeacherForcing, source int, selected bool, margin *float64, reading *schemas.TeacherForcing) text {
	return text{
		mode: schemas.ModeTraining, source: source, selected: selected, text: reference, closed: true,
		tokens: &r.TokenDistributions, natsPerByte: r.NatsPerByte, margin: margin, own: distributions(reading),
	}
}

// alignedText is a text in target tokens: its row without distributions, and these.
type alignedText struct {
	row    schemas.FusionExample
	chunks chunk.Chunks // none unless asked for
	mixture.Aligned
}

// example aligns a text for the target and adds its row, or a reject.
func (s Step) example(out *output, p *schemas.Prompt, t text) error {
	x, rejected, err := s.aligned(out, p, t)
	switch {
	case err != nil:
		return err
	case rejected != nil:
		out.rejects[t.mode] = append(out.rejects[t.mode], *rejected)
	default:
		out.examples[t.mode] = append(out.examples[t.mode], schemas.ChunkedExample{FusionExample: fill(x.row, x.Aligned), ChunkEnds: x.chunks.Ends, ChunkLogProbs: x.chunks.LogProbs})
	}
	return nil
}

// fill puts distributions into a row, rounded as they are stored.
func fill(row schemas.FusionExample, x mixture.Aligned) schemas.FusionExample {
	x.Dist.RoundStored()
	row.Counts, row.IDs, row.LogProbs, row.Status = x.Dist.Counts, x.Dist.IDs, x.Dist.LogProbs, x.Status
	return row
}

// aligned encodes the text for the target and moves the source's distributions to its tokens; or a reject.
func (s Step) aligned(out *output, p *schemas.Prompt, t text) (x alignedText, rejected *schemas.Rejected, err error) {
	source := s.Sources[t.source].Model
	reject := func(code, form string, args ...any) (alignedText, *schemas.Rejected, error) {
		return alignedText{}, sink.Reject(s.Name(), p.ID, source.Name, code, form, args...), nil
	}
	target, err := format(s.Target)
	if err != nil {
		return x, nil, err
	}
	encoded, err := target.Encode(p.Messages, t.text, t.closed)
	if err != nil {
		return reject(CodeTemplate, "rendering for the target: %v", err)
	}
	if n := len(encoded.PromptIDs) + len(encoded.TextIDs); n > s.Context {
		return reject(CodeTooLong, "prompt and %s text of %d tokens exceed the target's context of %d", t.mode, n, s.Context)
	}
	x.row = schemas.FusionExample{
		ID: p.ID, Mode: t.mode, Source: source.Name, Sample: t.sample, Selected: t.selected, Weight: 1, Reward: t.reward,
		PromptIDs: encoded.PromptIDs, TextIDs: encoded.TextIDs, NatsPerByte: t.natsPerByte, Margin: t.margin, Text: t.text,
	}
	if len(t.tokens.TokenIDs) == 0 { // an imported response: nothing is known of its source's opinion
		x.Dist.Counts, x.Status = make([]int32, len(encoded.TextIDs)), make([]schemas.Status, len(encoded.TextIDs))
		return x, nil, nil
	}
	from := align.Tokens{IDs: t.tokens.TokenIDs, Starts: t.tokens.StartBytes, Closed: t.closed}
	to := align.Tokens{IDs: encoded.TextIDs, Starts: encoded.Starts, Closed: t.closed}
	aligned, err := out.aligners[t.source].AlignBeside([]byte(t.text), from,
		dist.Sparse{Counts: t.tokens.Counts, IDs: t.tokens.IDs, LogProbs: t.tokens.LogProbs}, t.tokens.TextRank,
		to, ownDistributions(t.own, encoded.TextIDs))
	if err != nil {
		return reject(CodeAlign, "%v", err)
	}
	if s.Chunks {
		if x.chunks, err = chunk.Of(len(t.text), from, to, t.tokens.TokenLogProbs); err != nil {
			return reject(CodeAlign, "%v", err)
		}
	}
	x.Dist, x.Status = aligned.Dist, aligned.Status
	return x, nil, nil
}

// sound checks a source's row with the tokenizer that it claims to be of; a row that is not becomes a reject, and its
// source takes no part in the prompt.
func (s Step) sound(out *output, mode string, source Source, record, id, text string, closed bool, d *schemas.TokenDistributions) (bool, error) {
	f, err := format(source.Model)
	if err != nil {
		return false, err
	}
	if fault := spelling.Check(f.Tokenizer(), record, id, text, closed, d, spelling.NoLimit); fault != nil {
		out.rejects[mode] = append(out.rejects[mode], *sink.Reject(s.Name(), id, source.Model.Name, CodeMalformed, "%v", fault))
		return false, nil
	}
	return true, nil
}
