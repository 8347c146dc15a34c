package samples

import (
	"fmt"
	"slices"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/trainer/batch"
	"github.com/profuser/profuser/trainer/loop"
)

// Greedy answers always the same prompts.
type Greedy struct {
	forward *loop.Forward
	prompts [][]int32
	most    []int // tokens of each answer
	stops   []int32
	s       int
	vocab   int
}

// Answer is a model's answer to a prompt.
type Answer struct {
	// IDs are its tokens, the stop token left out.
	IDs []int32
	// Finished is true when a stop token ended it, false when the limit did.
	Finished bool
}

// NewGreedy prepares answers of at most most tokens to prompts [P] of tokens, each as far as the model's context lets it be.
func NewGreedy(l *loop.Learner, c decoder.Config, prompts [][]int32, most int, stops []int32) (*Greedy, error) {
	g := &Greedy{prompts: prompts, stops: stops, vocab: c.Vocab}
	longest := 1
	for i, p := range prompts {
		if len(p) == 0 || len(p) >= c.Context() {
			return nil, fmt.Errorf("prompt %d has %d tokens, must have 1 to %d to be answered", i, len(p), c.Context()-1)
		}
		g.most = append(g.most, min(most, c.Context()-len(p)))
		longest = max(longest, len(p)+g.most[i]-1) // the last token of an answer is never read
	}
	g.s = min(batch.Bucket(longest), c.Context())
	var err error
	g.forward, err = l.NewForward(func(scope *model.Scope, in []*graph.Node) []*graph.Node {
		logits, _ := loop.NewNetwork(scope, c, in[0]).Rows(in[1], "")
		return []*graph.Node{logits}
	})
	return g, err
}

// Answers reads the weights as they are now.
func (g *Greedy) Answers() ([]Answer, error) {
	n := len(g.prompts)
	answers := make([]Answer, n)
	rows, last := make([]int32, n*g.s), make([]int32, n)
	for i, p := range g.prompts {
		copy(rows[i*g.s:], p)
		last[i] = int32(i*g.s + len(p) - 1)
	}
	open := func(i int) bool { return !answers[i].Finished && len(answers[i].IDs) < g.most[i] }
	for {
		logits, err := g.forward.Call(tensors.FromFlatDataAndDimensions(rows, n, g.s), tensors.FromFlatDataAndDimensions(last, n))
		if err != nil {
			return nil, fmt.Errorf("answering prompts: %w", err)
		}
		more := false
		for i := range answers {
			if !open(i) {
				continue
			}
			id := argmax(logits[0][i*g.vocab : (i+1)*g.vocab])
			if answers[i].Finished = slices.Contains(g.stops, id); answers[i].Finished {
				continue
			}
			answers[i].IDs = append(answers[i].IDs, id)
			if open(i) {
				last[i]++
				rows[last[i]] = id
				more = true
			}
		}
		if !more {
			return answers, nil
		}
	}
}

// argmax is the place of the largest value, the first of equal ones; 0 where all are NaN.
func argmax(x []float32) int32 {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return int32(best)
}
