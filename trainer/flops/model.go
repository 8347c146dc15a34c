package flops

import "github.com/profuser/profuser/models/decoder"

// Model is the shape of a decoder, as far as its arithmetic goes.
type Model struct {
	// Body counts the weights that every position is multiplied with: all but embedding and head. Head counts the head's.
	Body, Head int64
	// Adapters counts the weights that are trained where they are adapters and all others are frozen; 0 trains all.
	Adapters int64
	// Layers and Width are the number of blocks and of values a position has in all heads of one.
	Layers, Width int
}

// Of is the shape of a configuration whose weights, embedding and head included, are parameters many, trained ones of
// them trained.
func Of(c decoder.Config, parameters, trained int64) Model {
	table := int64(c.Vocab) * int64(c.Dim)
	m := Model{Body: parameters - table, Head: table, Layers: c.Layers, Width: c.Heads * c.HeadDim}
	if !c.Tied {
		m.Body -= table
	}
	if trained < parameters {
		m.Adapters = trained
	}
	return m
}

// Step is the number of floating-point operations, forward and backward, of training on texts with these numbers of
// positions, of which predicted ones in all have a loss:
//
//	6·(Body·T + Head·A) + 12·Layers·Width·Σ s²,   T = Σ s positions, A predicted ones
//
// A weight takes two operations a position forward and four backward, two of them for its own gradient, which a frozen one
// has not: with adapters 4·(Body·T + Head·A) + 2·Adapters·T stands for the first term. A pair of positions in attention takes four a value
// forward and eight backward. Only predicted positions meet the head. Pairs that the causal mask hides count, lookups and
// norms do not.
//
// Source: Chowdhery et al. 2022 (PaLM, arXiv 2204.02311), appendix B, where all positions meet the head.
func (m Model) Step(lengths []int, predicted int) float64 {
	sum, squares := 0.0, 0.0
	for _, s := range lengths {
		sum += float64(s)
		squares += float64(s) * float64(s)
	}
	products := float64(m.Body)*sum + float64(m.Head)*float64(predicted)
	gradients := products
	if m.Adapters > 0 {
		gradients = float64(m.Adapters) * sum
	}
	return 4*products + 2*gradients + 12*float64(m.Layers)*float64(m.Width)*squares
}
