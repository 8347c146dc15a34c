package engine

import (
	"context"
	"fmt"
	"slices"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/fusion/dist"
)

const (
	// logitBytes bounds the logits of one batch.
	logitBytes = 256 << 20
	// branches is the largest number of texts that share one row.
	branches = 8
)

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
}

// Score reads a text after a prompt. A text over the context is ErrTooLong.
func (e *Engine) Score(ctx context.Context, r ScoreRequest) (ScoreResult, error) {
	results, err := e.ScoreAll(ctx, r.PromptIDs, [][]int32{r.TextIDs}, r.Truncate)
	if err != nil {
		return ScoreResult{}, err
	}
	return results[0], nil
}

// ScoreAll reads texts that follow one prompt, which is computed once for as many of them as share a row. Results are
// those of Score up to float32 rounding, the order of sums being another.
func (e *Engine) ScoreAll(ctx context.Context, promptIDs []int32, texts [][]int32, truncate dist.Truncate) ([]ScoreResult, error) {
	if len(promptIDs) == 0 {
		return nil, fmt.Errorf("scoring with %s: no token before the text; a text needs at least one", e.dir)
	}
	for _, text := range texts {
		if err := e.fits(len(promptIDs)+len(text), promptIDs, text); err != nil {
			return nil, err
		}
	}
	results := make([]ScoreResult, len(texts))
	for _, t := range e.trees(promptIDs, texts) {
		t.truncate = truncate
		if len(t.ids) == len(promptIDs) {
			continue // empty texts
		}
		of, err := e.score.do(ctx, t)
		if err != nil {
			return nil, err
		}
		copy(results[t.first:], of)
	}
	return results, nil
}

// ReadAll reads whole texts from their second token on; each has one token at least. What they have in common at the start is
// computed once for as many of them as share a row. Results have a position less than the texts, and are those of Score
// after the first token up to float32 rounding.
func (e *Engine) ReadAll(ctx context.Context, lists [][]int32, truncate dist.Truncate) ([]ScoreResult, error) {
	for _, ids := range lists {
		if len(ids) == 0 {
			return nil, fmt.Errorf("reading with %s: no tokens", e.dir)
		}
		if err := e.fits(len(ids), ids); err != nil {
			return nil, err
		}
	}
	common := commonStart(lists)
	if len(common) == 0 { // nothing to share
		results := make([]ScoreResult, len(lists))
		for i, ids := range lists {
			var err error
			if results[i], err = e.Score(ctx, ScoreRequest{PromptIDs: ids[:1], TextIDs: ids[1:], Truncate: truncate}); err != nil {
				return nil, err
			}
		}
		return results, nil
	}
	var texts [][]int32
	for _, ids := range lists {
		texts = append(texts, ids[len(common):])
	}
	results := make([]ScoreResult, len(lists))
	for _, t := range e.trees(common, texts) {
		if len(t.ids) < 2 {
			continue // one token has no reading
		}
		t.truncate, t.whole = truncate, true
		of, err := e.score.do(ctx, t)
		if err != nil {
			return nil, err
		}
		copy(results[t.first:], of)
	}
	return results, nil
}

// Reward is a reward model's raw logit at the last of ids.
func (e *Engine) Reward(ctx context.Context, ids []int32) (float64, error) {
	scores, err := e.RewardAll(ctx, [][]int32{ids})
	if err != nil {
		return 0, err
	}
	return scores[0], nil
}

// RewardAll is a reward model's raw logit at the last of each of several conversations. What they have in common at the
// start is computed once for as many of them as share a row. Results are those of Reward up to float32 rounding.
func (e *Engine) RewardAll(ctx context.Context, conversations [][]int32) ([]float64, error) {
	for _, ids := range conversations {
		if len(ids) == 0 {
			return nil, fmt.Errorf("rewarding with %s: no tokens", e.dir)
		}
		if err := e.fits(len(ids), ids); err != nil {
			return nil, err
		}
	}
	common := commonStart(conversations)
	var texts [][]int32
	for _, ids := range conversations {
		texts = append(texts, ids[len(common):])
	}
	scores := make([]float64, len(texts))
	for _, t := range e.trees(common, texts) {
		of, err := e.reward.do(ctx, t)
		if err != nil {
			return nil, err
		}
		copy(scores[t.first:], of)
	}
	return scores, nil
}

// commonStart is the longest beginning that all lists share.
func commonStart(lists [][]int32) []int32 {
	if len(lists) == 0 {
		return nil
	}
	common := lists[0]
	for _, ids := range lists[1:] {
		n := 0
		for n < min(len(common), len(ids)) && common[n] == ids[n] {
			n++
		}
		common = common[:n]
	}
	return common
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

// tree is one row to read: a prompt and the texts that follow it side by side.
type tree struct {
	// ids are the prompt's tokens, then each text's; positions and branches say where each stands, as decoder.Tree wants.
	ids, positions, branches []int32
	// prompt is its length, starts the place of each text in ids, first the number of the first text in the whole request.
	prompt   int
	starts   []int
	first    int
	truncate dist.Truncate
	// whole says that each result begins with the prompt's own positions.
	whole bool
}

// trees puts texts after a prompt into as few rows as may be: at most branches of them, and what they have together within
// the tokens of a batch, unless one alone has more.
func (e *Engine) trees(prompt []int32, texts [][]int32) (out []tree) {
	for i, text := range texts {
		if n := len(out); n == 0 || len(out[n-1].starts) == branches || len(out[n-1].ids)+len(text) > e.options.BatchTokens {
			out = append(out, tree{prompt: len(prompt), first: i})
			out[n].add(prompt, 0, 0)
		}
		t := &out[len(out)-1]
		t.starts = append(t.starts, len(t.ids))
		t.add(text, len(prompt), int32(len(t.starts)))
	}
	return out
}

// add appends tokens from a position on.
func (t *tree) add(ids []int32, position int, branch int32) {
	for i, id := range ids {
		t.ids = append(t.ids, id)
		t.positions = append(t.positions, int32(position+i))
		t.branches = append(t.branches, branch)
	}
}

// text is the place of the i-th text in ids, from its first token to behind its last.
func (t *tree) text(i int) (from, to int) {
	if i+1 < len(t.starts) {
		return t.starts[i], t.starts[i+1]
	}
	return t.starts[i], len(t.ids)
}

// before is the place of the token before the k-th of the i-th text.
func (t *tree) before(i, k int) int {
	if k == 0 {
		return t.prompt - 1
	}
	return t.starts[i] + k - 1
}

// scoreKey gives every length bucket its fixed number of rows.
func (e *Engine) scoreKey(t tree) shape {
	length := bucket(len(t.ids))
	rows := min(e.options.BatchRows, e.options.BatchTokens/length, logitBytes/(4*length*e.VocabSize()))
	return shape{rows: max(1, rows), length: length}
}

// layOut makes the tokens, positions and branches [rows, length] of a batch.
func layOut(s shape, trees []tree) []any {
	var ids, positions, branch [][]int32
	for _, t := range trees {
		ids, positions, branch = append(ids, t.ids), append(positions, t.positions), append(branch, t.branches)
	}
	return []any{tokens(s, ids, 0), tokens(s, positions, 0), tokens(s, branch, -1)}
}

// tokens lays sequences out as [rows, length], padded on the right.
func tokens(s shape, sequences [][]int32, pad int32) *tensors.Tensor {
	flat := slices.Repeat([]int32{pad}, s.rows*s.length)
	for i, ids := range sequences {
		copy(flat[i*s.length:], ids)
	}
	return tensors.FromFlatDataAndDimensions(flat, s.rows, s.length)
}

// scoreBatch runs one teacher-forcing batch: logits at every position, then distributions of the texts'.
func (e *Engine) scoreBatch(s shape, trees []tree) (results [][]ScoreResult, err error) {
	var logits []float32
	err = e.guard(func() error {
		x, err := e.exec("teacher-forcing", func() (*model.Exec, error) {
			return model.NewExec(e.backend, e.store, func(scope *model.Scope, in []*Node) []*Node {
				return []*Node{e.network.Head(scope, e.network.Tree(scope, in[0], in[1], in[2]))}
			})
		})
		if err != nil {
			return err
		}
		logits, err = run1(x, layOut(s, trees)...)
		return err
	})
	if err != nil {
		return nil, err
	}
	v := e.VocabSize()
	for row, t := range trees {
		own := logits[row*s.length*v : (row+1)*s.length*v]
		var prompt ScoreResult
		if t.whole && t.prompt > 1 {
			prompt.Dist, prompt.TokenLogProbs, prompt.TextRank, err = dist.FromLogits(dist.Logits(own, t.prompt-1, v), t.ids[1:t.prompt], t.truncate)
		}
		out := make([]ScoreResult, len(t.starts))
		for i := 0; i < len(out) && err == nil; i++ {
			if out[i], err = t.read(i, own, v); err == nil && t.whole {
				out[i] = prompt.then(out[i])
			}
		}
		if err != nil {
			return nil, fmt.Errorf("scoring with %s: %w", e.dir, err)
		}
		results = append(results, out)
	}
	return results, nil
}

// read makes the result of the i-th text from a row's logits [S, V].
func (t *tree) read(i int, logits []float32, v int) (out ScoreResult, err error) {
	from, to := t.text(i)
	text := t.ids[from:to]
	if len(text) == 0 {
		return out, nil
	}
	// The token before a text stands at the end of the prompt, the others follow one another.
	first := dist.Logits(logits[t.before(i, 0)*v:], 1, v)
	if out.Dist, out.TokenLogProbs, out.TextRank, err = dist.FromLogits(first, text[:1], t.truncate); err != nil || len(text) == 1 {
		return out, err
	}
	d, logprobs, rank, err := dist.FromLogits(dist.Logits(logits[t.before(i, 1)*v:], len(text)-1, v), text[1:], t.truncate)
	if err != nil {
		return out, err
	}
	return out.then(ScoreResult{TokenLogProbs: logprobs, TextRank: rank, Dist: d}), nil
}

// then is a result followed by another one; neither is changed.
func (r ScoreResult) then(next ScoreResult) (out ScoreResult) {
	for _, part := range []ScoreResult{r, next} {
		out.TokenLogProbs = append(out.TokenLogProbs, part.TokenLogProbs...)
		out.TextRank = append(out.TextRank, part.TextRank...)
		for k := range part.TokenLogProbs {
			out.Dist.Append(part.Dist.At(k))
		}
	}
	return out
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
func (e *Engine) rewardBatch(s shape, trees []tree) (results [][]float64, err error) {
	last := make([]int32, s.rows*branches)
	for row, t := range trees {
		for i := range t.starts {
			from, to := t.text(i)
			last[row*branches+i] = int32(t.before(i, to-from))
		}
	}
	var scores []float32
	err = e.guard(func() error {
		x, err := e.exec("reward", func() (*model.Exec, error) {
			return model.NewExec(e.backend, e.store, func(scope *model.Scope, in []*Node) []*Node {
				return []*Node{e.network.RewardHead(scope, e.network.Tree(scope, in[0], in[1], in[2]), in[3])}
			})
		})
		if err != nil {
			return err
		}
		scores, err = run1(x, append(layOut(s, trees), tensors.FromFlatDataAndDimensions(last, s.rows, branches))...)
		return err
	})
	if err != nil {
		return nil, err
	}
	for row, t := range trees {
		var out []float64
		for i := range t.starts {
			out = append(out, float64(scores[row*branches+i]))
		}
		results = append(results, out)
	}
	return results, nil
}
