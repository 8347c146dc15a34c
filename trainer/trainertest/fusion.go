package trainertest

import (
	"context"
	"fmt"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/schemas"
)

// PartPrompts is the number of prompts in a part of WriteFusion.
const PartPrompts = 8

// WriteFusion writes the datasets fusion/inference and fusion/training for prompts 0 to n-1 in parts of PartPrompts,
// committed. Answers are short in inference mode and longer in training mode; every seventh prompt has no reference;
// every fifth position has no teacher, the others have three entries, the text's token first.
func WriteFusion(ctx context.Context, s dataset.Store, format *chat.Format, n int) error {
	return write(ctx, s, format, n, func(e schemas.FusionExample) schemas.FusionExample { return e })
}

// WriteChunked is WriteFusion with chunks of one, two and three tokens in turn, of half a nat a token.
func WriteChunked(ctx context.Context, s dataset.Store, format *chat.Format, n int) error {
	return write(ctx, s, format, n, func(e schemas.FusionExample) schemas.ChunkedExample {
		x := schemas.ChunkedExample{FusionExample: e}
		for at, size := 0, 1; at < len(e.TextIDs); size = size%3 + 1 {
			size := min(size, len(e.TextIDs)-at)
			at += size
			x.ChunkEnds, x.ChunkLogProbs = append(x.ChunkEnds, int32(at)), append(x.ChunkLogProbs, -0.5*float32(size))
		}
		return x
	})
}

// write writes both datasets of rows made from examples.
func write[T any](ctx context.Context, s dataset.Store, format *chat.Format, n int, of func(schemas.FusionExample) T) error {
	fingerprint := format.Tokenizer().Fingerprint()
	for _, mode := range schemas.Modes {
		name := "fusion/" + mode
		header := dataset.Header{Schema: schemas.FusionExampleSchema, ConfigDigest: "test", TargetTokenizer: fingerprint}
		if err := dataset.Begin(ctx, s, name, header); err != nil {
			return err
		}
		parts := (n + PartPrompts - 1) / PartPrompts
		for part := range parts {
			var rows []T
			for i := part * PartPrompts; i < min(n, (part+1)*PartPrompts); i++ {
				if mode == schemas.ModeTraining && i%7 == 3 {
					continue
				}
				row, err := fusionRow(format, mode, i)
				if err != nil {
					return err
				}
				rows = append(rows, of(row))
			}
			data, err := dataset.EncodePart(rows, dataset.Footer{ConfigDigest: "test", Part: part, TargetTokenizer: fingerprint})
			if err != nil {
				return err
			}
			if err := s.Create(ctx, name+"/"+dataset.PartName(part), data); err != nil {
				return err
			}
		}
		if _, err := dataset.Commit(ctx, s, name, dataset.CommitOptions{Parts: parts}); err != nil {
			return err
		}
	}
	return nil
}

// fusionRow is the example of prompt i in a mode.
func fusionRow(format *chat.Format, mode string, i int) (schemas.FusionExample, error) {
	messages := []schemas.Message{{Role: "user", Content: fmt.Sprintf("What is %d plus %d?", i, i%10)}}
	text := fmt.Sprintf("It is %d.", i+i%10)
	if mode == schemas.ModeTraining {
		text = fmt.Sprintf("We have %d and %d. So the answer is %d.", i, i%10, i+i%10)
	}
	e, err := format.Encode(messages, text, true)
	if err != nil {
		return schemas.FusionExample{}, err
	}
	row := schemas.FusionExample{ID: schemas.PromptID(messages), Mode: mode, Source: "teacher", Selected: true, Weight: 1, PromptIDs: e.PromptIDs, TextIDs: e.TextIDs, Text: text}
	for t, id := range e.TextIDs {
		if t%5 == 4 {
			row.Counts, row.Status = append(row.Counts, 0), append(row.Status, schemas.StatusNone)
			continue
		}
		row.Counts, row.Status = append(row.Counts, 3), append(row.Status, schemas.StatusExact)
		row.IDs = append(row.IDs, id, (id+1)%300, (id+7)%300)
		row.LogProbs = append(row.LogProbs, -0.375, -1.875, -2.5) // exact in bfloat16, together 0.92
	}
	return row, nil
}
