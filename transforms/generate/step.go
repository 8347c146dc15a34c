package generate

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/sink"
	"github.com/profuser/profuser/transforms/tally"
)

func init() { sink.Register[Step]() }

// Codes of rejects.
const (
	// CodeTooLong: prompt and answer do not fit the model's context.
	CodeTooLong = "too_long"
	// CodeTemplate: the model's chat template refuses the conversation.
	CodeTemplate = "template"
	// CodeNotText: the answer has no prefix of tokens that is UTF-8.
	CodeNotText = "not_text"
)

// Step lets one source answer every prompt.
type Step struct {
	// Source is the model.
	Source inflight.Model
	// Prompts and Output are names of datasets.
	Prompts, Output string
	// Footer is what every part says of itself: digests and fingerprints.
	Footer dataset.Footer
	// Temperature and TopP shape the sampling; temperature 0 is greedy. TopP in (0, 1].
	Temperature, TopP float64
	// MaxNewTokens is the longest answer in tokens, 1 or more.
	MaxNewTokens int
	// Samples is the number of answers to each prompt, 1 or more.
	Samples int
	// Seed of the run.
	Seed int64
	// Truncate says which entries of each distribution are kept.
	Truncate dist.Truncate
}

// Generate answers the prompts of each part: PCollection<sink.Part> -> PCollection<sink.Done>. url is the store's
// address, open the cap on parts held in memory.
func Generate(s beam.Scope, step Step, url string, open int, parts beam.PCollection) beam.PCollection {
	s = s.Scope("generate.Generate")
	return sink.Write(s, step, url, open, parts)
}

// Name implements sink.Step.
func (Step) Name() string { return "generate" }

// Datasets implements sink.Step.
func (s Step) Datasets() []string { return []string{s.Output} }

// Make implements sink.Step.
func (s Step) Make(ctx context.Context, in *sink.Inputs, part int, counts *tally.Tally) ([][]byte, error) {
	prompts, input, err := sink.Read[schemas.Prompt](ctx, in, s.Prompts, part)
	if err != nil {
		return nil, err
	}
	model, err := Models.Get(ctx, s.Source)
	if err != nil {
		return nil, err
	}
	n := len(prompts) * s.Samples
	rows, rejects := make([]*schemas.Generation, n), make([]*schemas.Rejected, n)
	feed, calls := s.Source.Calls()
	err = inflight.Rows(ctx, feed, calls, n, func(ctx context.Context, i int) error {
		var err error
		rows[i], rejects[i], err = s.answer(ctx, model, &prompts[i/s.Samples], i%s.Samples, counts)
		if err == nil {
			counts.Row(rejects[i])
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return sink.Encode(s.Footer, part, []dataset.Input{input}, rows, rejects)
}

// answer asks for one sample of one prompt: a row, or a reject.
func (s Step) answer(ctx context.Context, model Generator, p *schemas.Prompt, sample int, counts *tally.Tally) (*schemas.Generation, *schemas.Rejected, error) {
	reject := func(code, format string, args ...any) (*schemas.Generation, *schemas.Rejected, error) {
		if s.Samples > 1 {
			format, args = "sample %d: "+format, append([]any{sample}, args...)
		}
		return nil, sink.Reject(s.Name(), p.ID, s.Source.Name, code, format, args...), nil
	}
	ids, err := model.Prompt(p.Messages)
	if err != nil {
		return reject(CodeTemplate, "rendering messages: %v", err)
	}
	if len(ids)+s.MaxNewTokens > model.Context() {
		return reject(CodeTooLong, "prompt of %d tokens and max_new_tokens %d exceed the context of %d", len(ids), s.MaxNewTokens, model.Context())
	}
	seed := SeedOf(s.Seed, p.ID, s.Source.Name, sample)
	end := counts.Call()
	answer, err := model.Generate(ctx, Request{
		PromptIDs: ids, MaxTokens: s.MaxNewTokens, Temperature: s.Temperature, TopP: s.TopP, Seed: seed, Truncate: s.Truncate,
	})
	end(len(ids), len(answer.IDs))
	if rejected := sink.Failed(s.Name(), p.ID, s.Source.Name, err); rejected != nil {
		return nil, rejected, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("prompt %s, source %s: generating: %w", p.ID, s.Source.Name, err)
	}
	text, starts, closed := model.Answer(answer.IDs)
	keep, text := cut(text, starts)
	if keep == 0 {
		return reject(CodeNotText, "the answer's first token is no UTF-8 text")
	}
	finish := schemas.FinishLength
	if closed && keep == len(answer.IDs) {
		finish = schemas.FinishStop
	}
	return &schemas.Generation{
		ID: p.ID, Source: s.Source.Name, Sample: int32(sample), Text: text, FinishReason: finish,
		PromptTokens: int32(len(ids)), Temperature: s.Temperature, TopP: s.TopP, Seed: seed,
		TokenDistributions: distributions(answer, starts, keep),
	}, nil, nil
}

// cut returns how many tokens to keep of an answer, and their text: all, or those before the first byte that is not
// UTF-8, such as the first half of a character when the answer ended at the token limit.
func cut(text string, starts []int32) (keep int, kept string) {
	if utf8.ValidString(text) {
		return len(starts), text
	}
	for keep = len(starts) - 1; keep > 0; keep-- {
		begin := int(max(starts[keep], 0))
		if int(max(starts[keep-1], 0)) < begin && begin <= len(text) && utf8.ValidString(text[:begin]) {
			return keep, text[:begin]
		}
	}
	return 0, ""
}

// distributions is the record of the first keep tokens.
func distributions(a Answer, starts []int32, keep int) schemas.TokenDistributions {
	entries := 0
	for _, count := range a.Dist.Counts[:keep] {
		entries += int(count)
	}
	return schemas.TokenDistributions{
		TokenIDs: a.IDs[:keep], TokenLogProbs: a.TokenLogProbs[:keep], TextRank: a.TextRank[:keep],
		Counts: a.Dist.Counts[:keep], IDs: a.Dist.IDs[:entries], LogProbs: a.Dist.LogProbs[:entries], StartBytes: starts[:keep],
	}
}

// SeedOf is the seed of one sample: 63 bits of the SHA-256 over the run's seed, prompt id, source and sample.
func SeedOf(seed int64, id, source string, sample int) int64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\x1f%s\x1f%s\x1f%d", seed, id, source, sample))
	return int64(binary.BigEndian.Uint64(sum[:8]) >> 1)
}
