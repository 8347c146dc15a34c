package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"gorgonia.org/tensor"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/models/decoder"
)

// GenerateRequest asks for one continuation.
type GenerateRequest struct {
	// PromptIDs are the tokens before the answer, at least one.
	PromptIDs []int32
	// MaxTokens is the longest answer in tokens, end-of-turn included.
	MaxTokens int
	// Temperature divides the logits before sampling; 0 takes the most probable token.
	Temperature float64
	// TopP keeps the smallest set of tokens whose probability reaches it, in (0, 1]; 0 means 1.
	TopP float64
	// Seed of this request's random numbers.
	Seed int64
	// Truncate says which entries of each distribution are kept.
	Truncate dist.Truncate
}

// GenerateResult is an answer of T tokens with the model's distributions at temperature 1, whatever the sampling.
type GenerateResult struct {
	// IDs [T] are the tokens; the last is a stop id when Stopped.
	IDs []int32
	// TokenLogProbs [T] are their log-probs in nats.
	TokenLogProbs []float32
	// TextRank [T] is each token's place among the stored entries, -1 if it was added to them.
	TextRank []int32
	// Dist holds the T distributions.
	Dist dist.Sparse
	// Stopped is true when the model ended its turn, false when it was cut at MaxTokens.
	Stopped bool
}

// Generate continues a prompt. A prompt and MaxTokens over the context are ErrTooLong.
func (e *Engine) Generate(ctx context.Context, r GenerateRequest) (GenerateResult, error) {
	if len(r.PromptIDs) == 0 || r.MaxTokens < 1 {
		return GenerateResult{}, fmt.Errorf("generating with %s: %d prompt tokens and at most %d new ones; both must be positive", e.dir, len(r.PromptIDs), r.MaxTokens)
	}
	if r.Temperature < 0 || r.TopP < 0 || r.TopP > 1 {
		return GenerateResult{}, fmt.Errorf("generating with %s: temperature %g must not be negative, top_p %g must lie in (0, 1]", e.dir, r.Temperature, r.TopP)
	}
	if err := e.fits(len(r.PromptIDs)+r.MaxTokens, r.PromptIDs); err != nil {
		return GenerateResult{}, err
	}
	return e.generate.do(ctx, r)
}

func (e *Engine) generateKey(r GenerateRequest) shape {
	prompt := bucket(len(r.PromptIDs))
	return shape{rows: e.options.BatchRows, length: prompt, keys: prompt + bucket(r.MaxTokens)}
}

// row is one sequence of a running batch.
type row struct {
	request GenerateRequest
	random  *rand.Rand
	result  GenerateResult
	done    bool
}

// take samples one token from logits [V] and records its distribution. Ids from tokens on, with which models pad their
// vocabulary, keep their log-probs but are never drawn: they stand for no text.
func (w *row) take(logits []float32, tokens int, stops []int32) (int32, error) {
	id := sample(logits[:tokens], w.request.Temperature, w.request.TopP, w.random)
	block := tensor.New(tensor.WithShape(1, len(logits)), tensor.WithBacking(logits))
	d, logprobs, rank, err := dist.FromLogits(block, []int32{id}, w.request.Truncate)
	if err != nil {
		return 0, err
	}
	r := &w.result
	r.IDs = append(r.IDs, id)
	r.TokenLogProbs = append(r.TokenLogProbs, logprobs...)
	r.TextRank = append(r.TextRank, rank...)
	r.Dist.Append(d.IDs, d.LogProbs)
	r.Stopped = slices.Contains(stops, id)
	w.done = r.Stopped || len(r.IDs) == w.request.MaxTokens
	return id, nil
}

// generateBatch runs one batch to its end: the prompts at once, then a token for all rows a step.
func (e *Engine) generateBatch(s shape, requests []GenerateRequest) (results []GenerateResult, err error) {
	rows := make([]row, len(requests))
	for i, r := range requests {
		rows[i] = row{request: r, random: rand.New(rand.NewPCG(uint64(r.Seed), 1))}
	}
	if err = e.guard(func() error { return e.decode(s, rows) }); err != nil {
		return nil, err
	}
	for i := range rows {
		results = append(results, rows[i].result)
	}
	return results, nil
}

// decode alternates between the graph and the sampling of all rows.
func (e *Engine) decode(s shape, rows []row) error {
	prefill, step, err := e.decoders(s)
	if err != nil {
		return err
	}
	prompts := make([][]int32, len(rows))
	starts, last, next := make([]int32, s.rows), make([]int32, s.rows), make([]int32, s.rows)
	for i := range rows {
		prompts[i] = rows[i].request.PromptIDs
		last[i] = int32(len(prompts[i]) - 1)
	}
	vector := func(x []int32, dims ...int) *tensors.Tensor {
		return tensors.FromFlatDataAndDimensions(slices.Clone(x), dims...)
	}
	out, err := prefill.Call(tokens(s, prompts), vector(last, s.rows))
	for position := 0; err == nil; position++ {
		logits, copyErr := tensors.CopyFlatData[float32](out[0])
		out[0].MustFinalizeAll()
		if copyErr != nil {
			return copyErr
		}
		running := false
		for i := range rows {
			starts[i] = last[i] + int32(len(rows[i].result.IDs)) + 1
			if rows[i].done {
				starts[i], next[i] = 0, 0
				continue
			}
			if next[i], err = rows[i].take(logits[i*e.VocabSize():(i+1)*e.VocabSize()], e.format.Tokenizer().Size(), e.format.StopIDs()); err != nil {
				return fmt.Errorf("generating with %s: %w", e.dir, err)
			}
			running = running || !rows[i].done
		}
		if !running {
			break
		}
		inputs := []any{vector(next, s.rows, 1), vector(starts, s.rows)}
		for _, cache := range out[1:] {
			donated, donateErr := DonateTensorBuffer(cache, e.backend, 0)
			if donateErr != nil {
				return donateErr
			}
			inputs = append(inputs, donated)
		}
		out, err = step.Call(inputs...)
	}
	for _, t := range out {
		t.MustFinalizeAll()
	}
	return err
}

// decoders are the two functions of a shape: prompts [R, S] and last [R] to logits [R, V] and caches; tokens [R, 1],
// starts [R] and caches to the same.
func (e *Engine) decoders(s shape) (prefill, step *model.Exec, err error) {
	finish := func(scope *model.Scope, hidden *Node, cache []decoder.KV) []*Node {
		out := []*Node{e.network.Head(scope, hidden)}
		for _, layer := range cache {
			out = append(out, layer.K, layer.V)
		}
		return out
	}
	prefill, err = e.exec(fmt.Sprintf("prompt of %d keys", s.keys), func() (*model.Exec, error) {
		return model.NewExec(e.backend, e.store, func(scope *model.Scope, in []*Node) []*Node {
			last := in[1]
			hidden, cache := e.network.Begin(scope, in[0], AddScalar(last, 1), s.keys)
			d := hidden.Shape().Dimensions
			at := Add(MulScalar(Iota(last.Graph(), last.Shape(), 0), float64(d[1])), last)
			return finish(scope, Gather(Reshape(hidden, d[0]*d[1], d[2]), Reshape(at, d[0], 1)), cache)
		})
	})
	if err != nil {
		return nil, nil, err
	}
	step, err = e.exec(fmt.Sprintf("step of %d keys", s.keys), func() (*model.Exec, error) {
		return model.NewExec(e.backend, e.store, func(scope *model.Scope, in []*Node) []*Node {
			cache := make([]decoder.KV, e.config.Layers)
			for l := range cache {
				cache[l] = decoder.KV{K: in[2+2*l], V: in[3+2*l]}
			}
			hidden := e.network.Continue(scope, in[0], in[1], cache)
			return finish(scope, Reshape(hidden, s.rows, e.config.Dim), cache)
		})
	})
	return prefill, step, err
}
