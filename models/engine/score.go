package engine

import (
	"context"
	"fmt"
	"slices"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"gorgonia.org/tensor"

	"github.com/profuser/profuser/fusion/dist"
)

// logitBytes bounds the logits of one batch.
const logitBytes = 256 << 20

// ScoreRequest asks what the model thinks of a text: teacher forcing.
type ScoreRequest struct {
	// PromptIDs are the tokens before the text, at least one.
	PromptIDs []int32
	// TextIDs [T] are the text's tokens, end-of-turn included if it is to be judged.
	TextIDs []int32
	// Truncate says which entries of each distribution are kept.
	Truncate dist.Truncate
}

// ScoreResult holds what the model would have said at each of the T text positions.
type ScoreResult struct {
	// TokenLogProbs [T] are the log-probs of TextIDs in nats.
	TokenLogProbs []float32
	// TextRank [T] is each token's place among the stored entries, -1 if it was added to them.
	TextRank []int32
	// Dist holds the T distributions.
	Dist dist.Sparse
	// score is the scalar of a reward model.
	score float64
}

// Score reads a text after a prompt. A text over the context is ErrTooLong.
func (e *Engine) Score(ctx context.Context, r ScoreRequest) (ScoreResult, error) {
	if len(r.PromptIDs) == 0 {
		return ScoreResult{}, fmt.Errorf("scoring with %s: no token before the text; a text needs at least one", e.dir)
	}
	if err := e.fits(len(r.PromptIDs)+len(r.TextIDs), r.PromptIDs, r.TextIDs); err != nil {
		return ScoreResult{}, err
	}
	if len(r.TextIDs) == 0 {
		return ScoreResult{}, nil
	}
	return e.score.do(ctx, r)
}

// Reward is a reward model's raw logit at the last of ids.
func (e *Engine) Reward(ctx context.Context, ids []int32) (float64, error) {
	if len(ids) == 0 {
		return 0, fmt.Errorf("rewarding with %s: no tokens", e.dir)
	}
	if err := e.fits(len(ids), ids); err != nil {
		return 0, err
	}
	r, err := e.reward.do(ctx, ScoreRequest{PromptIDs: ids})
	return r.score, err
}

// fits checks a request's length and ids.
func (e *Engine) fits(n int, lists ...[]int32) error {
	if n > e.Context() {
		return fmt.Errorf("%w: %d tokens, model %s has a context of %d", ErrTooLong, n, e.dir, e.Context())
	}
	for _, ids := range lists {
		for _, id := range ids {
			if id < 0 || int(id) >= e.VocabSize() {
				return fmt.Errorf("token id %d is outside the vocabulary of %s, 0 to %d", id, e.dir, e.VocabSize()-1)
			}
		}
	}
	return nil
}

// scoreKey gives every length bucket its fixed number of rows.
func (e *Engine) scoreKey(r ScoreRequest) shape {
	length := bucket(len(r.PromptIDs) + len(r.TextIDs))
	rows := min(e.options.BatchRows, e.options.BatchTokens/length, logitBytes/(4*length*e.VocabSize()))
	return shape{rows: max(1, rows), length: length}
}

// tokens lays sequences out as [rows, length], padded with zeros on the right.
func tokens(s shape, sequences [][]int32) *tensors.Tensor {
	flat := make([]int32, s.rows*s.length)
	for i, ids := range sequences {
		copy(flat[i*s.length:], ids)
	}
	return tensors.FromFlatDataAndDimensions(flat, s.rows, s.length)
}

// scoreBatch runs one teacher-forcing batch: logits at every position, then distributions of the text's.
func (e *Engine) scoreBatch(s shape, requests []ScoreRequest) (results []ScoreResult, err error) {
	var sequences [][]int32
	for _, r := range requests {
		sequences = append(sequences, slices.Concat(r.PromptIDs, r.TextIDs))
	}
	var logits []float32
	err = e.guard(func() error {
		x, err := e.exec("teacher-forcing", func() (*model.Exec, error) {
			return model.NewExec(e.backend, e.store, func(scope *model.Scope, ids *Node) *Node { return e.network.Logits(scope, ids) })
		})
		if err != nil {
			return err
		}
		logits, err = run1(x, tokens(s, sequences))
		return err
	})
	if err != nil {
		return nil, err
	}
	v := e.VocabSize()
	for i, r := range requests {
		first := (i*s.length + len(r.PromptIDs) - 1) * v // the position before the text predicts its first token
		t := len(r.TextIDs)
		block := tensor.New(tensor.WithShape(t, v), tensor.WithBacking(logits[first:first+t*v]))
		var out ScoreResult
		if out.Dist, out.TokenLogProbs, out.TextRank, err = dist.FromLogits(block, r.TextIDs, r.Truncate); err != nil {
			return nil, fmt.Errorf("scoring with %s: %w", e.dir, err)
		}
		results = append(results, out)
	}
	return results, nil
}

// run1 calls a function of one output and copies it to the host.
func run1(x *model.Exec, inputs ...any) ([]float32, error) {
	out, err := x.Call(inputs...)
	if err != nil {
		return nil, err
	}
	defer out[0].MustFinalizeAll()
	return tensors.CopyFlatData[float32](out[0])
}

// rewardBatch runs one batch of a reward model.
func (e *Engine) rewardBatch(s shape, requests []ScoreRequest) (results []ScoreResult, err error) {
	var sequences [][]int32
	last := make([]int32, s.rows)
	for i, r := range requests {
		sequences = append(sequences, r.PromptIDs)
		last[i] = int32(len(r.PromptIDs) - 1)
	}
	var scores []float32
	err = e.guard(func() error {
		x, err := e.exec("reward", func() (*model.Exec, error) {
			return model.NewExec(e.backend, e.store, func(scope *model.Scope, ids, last *Node) *Node { return e.network.Reward(scope, ids, last) })
		})
		if err != nil {
			return err
		}
		scores, err = run1(x, tokens(s, sequences), tensors.FromFlatDataAndDimensions(last, s.rows))
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range requests {
		results = append(results, ScoreResult{score: float64(scores[i])})
	}
	return results, nil
}
