package fusing

import (
	"slices"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/profuser/profuser/trainer/batch"
	"github.com/profuser/profuser/trainer/objective"
)

// global counts what a batch's losses are divided by: of each mode the prompts with examples, and of the examples by their
// shares the text tokens and what taught positions weigh.
type global struct {
	examples [modes]int
	tokens   [modes]float64
	taught   [modes]float64
}

// collect lists a batch's examples of the modes that weigh something, prompt by prompt, and counts them.
func collect(prompts []prompt, needs flags) (examples []*example, g global) {
	for _, p := range prompts {
		for m, of := range p.examples {
			if len(of) == 0 || !needs[m] {
				continue
			}
			g.examples[m]++
			for _, e := range of {
				examples = append(examples, e)
				g.tokens[m] += e.share * float64(e.Answers())
				g.taught[m] += e.share * e.taught
			}
		}
	}
	return examples, g
}

// shares are what the cross-entropy and the divergence of one of an example's positions are multiplied with.
//
//	example: weight/(n·N) and weight/(Σm·N);   token: weight over the mode's tokens and taught positions in the global batch
func (g global) shares(e *example, normalize string) (text, teacher float64) {
	if normalize == PerToken {
		return e.weight / g.tokens[e.mode], e.weight / orOne(g.taught[e.mode])
	}
	n := float64(g.examples[e.mode])
	return e.weight / (float64(e.Answers()) * n), e.weight / (orOne(e.taught) * n)
}

// orOne is what positions weigh together, to divide by: 1 where they weigh nothing.
func orOne(n float64) float64 {
	if n == 0 {
		return 1
	}
	return n
}

// micro is a micro-batch ready for the graph.
type micro struct {
	examples      []*example
	rows          *batch.Rows
	k             int
	byChunks      bool // ids and probs [A, 1] are those of chunks, see objective.Fusion
	goldWeight    []float32
	teacherWeight []float32
	ids           []int32
	probs, rest   []float32
}

// leastRows is what a micro-batch gathers before padding counts: smaller products run slower than padding costs.
const leastRows = 16

// cut makes micro-batches of examples and weighs them.
func cut(examples []*example, g global, o *Options, weights [modes]float64, blend objective.Blend) []*micro {
	micros := layOut(examples, o)
	for _, m := range micros {
		m.weigh(g, o.Normalize, weights, blend)
	}
	return micros
}

// layOut makes micro-batches of examples, without weights.
func layOut(examples []*example, o *Options) []*micro {
	lengths := make([]int, len(examples))
	for i, e := range examples {
		lengths[i] = e.Inputs()
	}
	var out []*micro
	if o.Packing {
		for _, p := range batch.Packings(lengths, o.MicroPositions) {
			out = append(out, newMicro(examples, o, p.Members, func(rows [][]batch.Sequence, a int) *batch.Rows {
				return batch.PackTogether(rows, p.B, p.S, a)
			}))
		}
	} else {
		for _, group := range batch.Groups(lengths, o.MicroPositions, leastRows) {
			out = append(out, newMicro(examples, o, [][]int{group.Members}, func(rows [][]batch.Sequence, a int) *batch.Rows {
				return batch.PackInto(rows[0], group.B, group.S, a)
			}))
		}
	}
	return out
}

// newMicro lays out the members in their order; lay is given their sequences and the room for predicting positions.
func newMicro(examples []*example, o *Options, members [][]int, lay func(rows [][]batch.Sequence, a int) *batch.Rows) *micro {
	m := &micro{byChunks: o.Teaching.Kind == objective.ALM}
	rows := make([][]batch.Sequence, len(members))
	answers, widest := 0, 1
	for row, of := range members {
		for _, i := range of {
			e := examples[i]
			m.examples = append(m.examples, e)
			rows[row] = append(rows[row], e.Sequence)
			answers += e.Answers()
			for t := range e.rest {
				widest = max(widest, int(e.starts[t+1]-e.starts[t]))
			}
		}
	}
	m.rows = lay(rows, batch.Count(answers, 32))
	m.k = (widest + 7) / 8 * 8
	if m.byChunks {
		m.k = 1
	}
	m.fill()
	return m
}

// fill lays out the teachers of the predicting positions, in the order of rows.Index.
func (m *micro) fill() {
	a := len(m.rows.Index)
	m.rest, m.ids, m.probs = make([]float32, a), make([]int32, a*m.k), make([]float32, a*m.k)
	at := 0
	for _, e := range m.examples {
		for t := range e.Answers() {
			m.rest[at] = e.rest[t]
			from, to := e.starts[t], e.starts[t+1]
			if m.byChunks {
				m.ids[at], m.probs[at] = int32(at-t)+e.first[t], e.logProbs[t]
			} else {
				copy(m.ids[at*m.k:], e.ids[from:to])
				copy(m.probs[at*m.k:], e.probs[from:to])
			}
			at++
		}
	}
	for m.byChunks && at < a { // padding is no part of a chunk
		m.ids[at] = int32(at)
		at++
	}
}

// weigh sets the weights of the predicting positions. weights are w_I and w_T, blend those of cross-entropy and divergence;
// the weights hold all divisions, so that the graph's sums are the loss.
func (m *micro) weigh(g global, normalize string, weights [modes]float64, blend objective.Blend) {
	a := len(m.rows.Index)
	m.goldWeight, m.teacherWeight = make([]float32, a), make([]float32, a)
	at := 0
	for _, e := range m.examples {
		text, teacher := g.shares(e, normalize)
		for t := range e.Answers() {
			m.goldWeight[at] = float32(weights[e.mode] * blend.Text * text)
			m.teacherWeight[at] = float32(weights[e.mode] * blend.Teacher * teacher * float64(e.weights[t]))
			at++
		}
	}
}

// inputs are the graph's tensors.
func (m *micro) inputs() []any {
	a := len(m.rows.Index)
	tokens := tensors.FromFlatDataAndDimensions(m.rows.Tokens, m.rows.B, m.rows.S)
	if m.rows.Blocks != nil {
		tokens = tensors.FromFlatDataAndDimensions(slices.Concat(m.rows.Tokens, m.rows.Positions, m.rows.Blocks), 3, m.rows.B, m.rows.S)
	}
	return []any{
		tokens,
		tensors.FromFlatDataAndDimensions(m.rows.Index, a), tensors.FromFlatDataAndDimensions(m.rows.Gold, a),
		tensors.FromFlatDataAndDimensions(m.goldWeight, a), tensors.FromFlatDataAndDimensions(m.teacherWeight, a),
		tensors.FromFlatDataAndDimensions(m.ids, a, m.k), tensors.FromFlatDataAndDimensions(m.probs, a, m.k), tensors.FromFlatDataAndDimensions(m.rest, a),
	}
}

// losses are the parts of a batch's loss by mode: Σ of cross-entropies and divergences, each times its share, as in the loss.
type losses struct {
	text, teacher [modes]float64
}

// add takes a micro-batch's cross-entropies and divergences [A] in, in float64.
func (l *losses) add(m *micro, g global, normalize string, crossEntropy, divergence []float32) {
	at := 0
	for _, e := range m.examples {
		text, teacher := g.shares(e, normalize)
		for t := range e.Answers() {
			l.text[e.mode] += float64(crossEntropy[at]) * text
			if w := float64(e.weights[t]); w > 0 {
				l.teacher[e.mode] += float64(divergence[at]) * teacher * w
			}
			at++
		}
	}
}
