package fuse

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/fusion/align"
	"github.com/profuser/profuser/fusion/mixture"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/sink"
	"github.com/profuser/profuser/transforms/tally"
)

func init() { sink.Register[Step]() }

// Codes of rejects.
const (
	// CodeNoCandidate: no source's response or reading is left.
	CodeNoCandidate = "no_candidate"
	// CodeTooLong: prompt and text do not fit the target's context.
	CodeTooLong = "too_long"
	// CodeTemplate: the target's chat template refuses the conversation.
	CodeTemplate = "template"
	// CodeAlign: the winner's tokens do not fit its text.
	CodeAlign = "align"
	// CodeMalformed: a source's row breaks an invariant, or its tokens do not spell its text.
	CodeMalformed = "malformed"
)

// Source is one competitor with its datasets.
type Source struct {
	// Model says where its tokenizer is.
	Model inflight.Model
	// Generations and CrossEntropy are names of datasets, TargetReadings one of the target's readings of the
	// generations, "" where the method needs none. CrossEntropy is "" of a model that is not at hand.
	Generations, CrossEntropy, TargetReadings string
	// Competes is false for a target that has no vote and cannot win.
	Competes bool
}

// Step makes the selections and fusion examples of each part.
type Step struct {
	// Target is the model that will be trained; Context its longest sequence in tokens.
	Target  inflight.Model
	Context int
	// Sources are the competitors in configured order, the target first.
	Sources []Source
	// Rewards are names of datasets, one for each reward model in configured order.
	Rewards []string
	// Verdicts is the dataset of a judge's comparisons, "" where the method needs none.
	Verdicts string
	// Prompts is the dataset read; Selections, Inference and Training are those written.
	Prompts, Selections, Inference, Training string
	// Statistics is the key of the file that Statistics wrote.
	Statistics string
	// Footer is what every part says of itself.
	Footer dataset.Footer
	// Method says how the winner among responses is picked, Measure how readings are compared (advantage.PerByte or
	// PerToken).
	Method  advantage.Inference
	Measure string
	// Average, if set, mixes the distributions of all readings instead of picking a winner.
	Average *mixture.Average
	// Alignment says how distributions are moved to the target's tokens.
	Alignment Alignment
	// Chunks adds the columns of schemas.ChunkedExample.
	Chunks bool
	// KeepAll writes a row for every competitor, DropTargetWins none for prompts that the target wins.
	KeepAll, DropTargetWins bool
}

// Fuse makes the fusion examples of each part: PCollection<sink.Part> -> PCollection<sink.Done>. url is the store's
// address, open the cap on parts held in memory.
func Fuse(s beam.Scope, step Step, url string, open int, parts beam.PCollection) beam.PCollection {
	s = s.Scope("fuse.Fuse")
	return sink.Write(s, step, url, open, parts)
}

// Name implements sink.Step.
func (Step) Name() string { return "fuse" }

// Datasets implements sink.Step.
func (s Step) Datasets() []string { return []string{s.Selections, s.Inference, s.Training} }

// output gathers one part's rows; aligners are the sources'.
type output struct {
	aligners   []align.Aligner
	selections []schemas.Selection
	examples   map[string][]schemas.ChunkedExample
	rejects    map[string][]schemas.Rejected
}

// Make implements sink.Step.
func (s Step) Make(ctx context.Context, in *sink.Inputs, part int, counts *tally.Tally) ([][]byte, error) {
	rows, err := s.read(ctx, in, part)
	if err != nil {
		return nil, err
	}
	stats, err := s.readStatistics(ctx, in.Store())
	if err != nil {
		return nil, err
	}
	aligners, err := s.aligners(ctx, in.Store())
	if err != nil {
		return nil, err
	}
	out := output{aligners: aligners, examples: map[string][]schemas.ChunkedExample{}, rejects: map[string][]schemas.Rejected{}}
	for i := range rows.prompts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p := &rows.prompts[i]
		before := map[string]int{}
		for mode, rejects := range out.rejects {
			before[mode] = len(rejects)
		}
		if err := s.inference(&out, p, rows, stats); err != nil {
			return nil, err
		}
		if p.Reference != nil {
			if err := s.training(&out, p, rows); err != nil {
				return nil, err
			}
		}
		var rejected []*schemas.Rejected
		for mode, rejects := range out.rejects {
			for k := range rejects[before[mode]:] {
				rejected = append(rejected, &rejects[before[mode]+k])
			}
		}
		counts.Row(rejected...)
	}
	return s.encode(out, part, rows.inputs)
}

// reject records a prompt without a candidate; it returns false for other errors and none.
func reject(out *output, s Step, id, mode string, err error) bool {
	if !errors.Is(err, advantage.ErrNone) {
		return false
	}
	out.rejects[mode] = append(out.rejects[mode], *sink.Reject(s.Name(), id, "", CodeNoCandidate, "%s mode: %v", mode, err))
	return true
}

// encode makes the part's three files. Rejects stand with the mode they belong to; selections repeat none.
func (s Step) encode(out output, part int, inputs []dataset.Input) ([][]byte, error) {
	footer := s.Footer
	footer.Part, footer.Inputs = part, inputs
	footer.TargetTokenizer, footer.ChatTemplate = "", ""
	selections, err := dataset.EncodePart(out.selections, footer)
	if err != nil {
		return nil, fmt.Errorf("selections: %w", err)
	}
	files := [][]byte{selections}
	for _, mode := range schemas.Modes {
		footer := s.Footer
		footer.Part, footer.Inputs, footer.Rejects = part, inputs, out.rejects[mode]
		file, err := s.encodeExamples(out.examples[mode], footer)
		if err != nil {
			return nil, fmt.Errorf("fusion/%s: %w", mode, err)
		}
		files = append(files, file)
	}
	return files, nil
}

// encodeExamples makes the file of one mode's examples, with or without chunks.
func (s Step) encodeExamples(examples []schemas.ChunkedExample, footer dataset.Footer) ([]byte, error) {
	if s.Chunks {
		return dataset.EncodePart(examples, footer)
	}
	var plain []schemas.FusionExample
	for _, e := range examples {
		plain = append(plain, e.FusionExample)
	}
	return dataset.EncodePart(plain, footer)
}
